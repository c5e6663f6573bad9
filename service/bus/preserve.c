/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/preserve.h"

#include <assert.h>

#include "base/log.h"
#include "bus/daemon-private.h"
#include "bus/inhibitor.h"
#include "bus/libvirt-guests.h"
#include "bus/manager.h"

struct VbPreserve {
        VbDaemon *daemon;
        VbInhibitor *inhibitor;
        sd_bus_slot *question; /* whether the host goes down */
        sd_bus_slot *rival;    /* whether libvirt-guests.service goes first; at the start, for the log */

        unsigned n_busy;
        bool under_way;
        bool left_alone; /* what still runs is not to be saved, and holds up nobody */
        bool stands_back; /* libvirt-guests.service goes first; what it leaves is seen to when the service manager ends the daemon, after it */
        bool quits;      /* when it is over */
};

static void update_lock(VbPreserve *preserve) {
        if (preserve->inhibitor)
                vb_inhibitor_want(preserve->inhibitor, preserve->under_way ||
                                                               (preserve->n_busy > 0 && !preserve->left_alone && !preserve->stands_back));
}

static void begin(VbPreserve *preserve) {
        const VbDaemonInfo *info = vb_daemon_info(preserve->daemon);

        if (preserve->under_way)
                return;
        preserve->rival = sd_bus_slot_unref(preserve->rival);
        preserve->under_way = true;
        preserve->left_alone = preserve->stands_back = false;
        update_lock(preserve);
        info->preserve(preserve->daemon);
}

void vb_preserve_finished(VbPreserve *preserve) {
        assert(preserve->under_way);

        preserve->under_way = false;
        preserve->left_alone = vb_inhibitor_is_preparing(preserve->inhibitor);
        update_lock(preserve);
        if (preserve->quits)
                vb_daemon_quit(preserve->daemon);
}

static void on_rival(bool acts, void *userdata) {
        VbPreserve *preserve = userdata;

        preserve->rival = sd_bus_slot_unref(preserve->rival);
        if (!acts) {
                begin(preserve);
                return;
        }
        vb_log_notice("libvirt-guests.service is active, and sees to guests first; virtbus stands back until it has ended");
        preserve->stands_back = true;
        update_lock(preserve);
}

/* Where nothing runs, there is nobody to be asked about. In a session, libvirt-guests.service has no part. */
static void begin_unless_rival(VbPreserve *preserve) {
        int r;

        preserve->rival = sd_bus_slot_unref(preserve->rival);
        if (preserve->n_busy == 0 || vb_daemon_is_session(preserve->daemon)) {
                begin(preserve);
                return;
        }
        r = vb_libvirt_guests_ask(&preserve->rival, vb_daemon_bus(preserve->daemon), on_rival, preserve);
        if (r < 0) {
                (void) vb_log_warning_errno(r, "cannot ask the service manager for libvirt-guests.service: %m");
                begin(preserve);
        }
}

static void on_prepare(VbInhibitor *inhibitor, bool begins, void *userdata) {
        VbPreserve *preserve = userdata;
        const VbDaemonInfo *info = vb_daemon_info(preserve->daemon);

        /* Without guests there are only jobs, which hold the lock until they end. */
        if (!info->preserve)
                return;
        if (begins) {
                vb_log_notice("the host is about to go down");
                begin_unless_rival(preserve);
                return;
        }
        vb_log_notice("the host stays up after all");
        preserve->rival = sd_bus_slot_unref(preserve->rival);
        preserve->left_alone = preserve->stands_back = false;
        update_lock(preserve);
        if (info->preserve_called_off && !preserve->quits)
                info->preserve_called_off(preserve->daemon);
}

static void on_goes_down(bool goes_down, void *userdata) {
        VbPreserve *preserve = userdata;

        preserve->question = sd_bus_slot_unref(preserve->question);
        if (goes_down)
                begin(preserve);
        else
                vb_daemon_quit(preserve->daemon);
}

bool vb_preserve_terminate(VbPreserve *preserve) {
        int r;

        if (!preserve || !vb_daemon_info(preserve->daemon)->preserve)
                return false;
        if (preserve->under_way || preserve->question) {
                preserve->quits = true;
                vb_manager_tell_stopping();
                /* From now on the manager listens to how long it may take. */
                if (preserve->under_way)
                        vb_daemon_info(preserve->daemon)->preserve(preserve->daemon);
                return true;
        }
        if (preserve->n_busy == 0 || preserve->left_alone)
                return false;

        r = vb_manager_ask_goes_down(&preserve->question, vb_daemon_bus(preserve->daemon), on_goes_down, preserve);
        if (r < 0) {
                (void) vb_log_warning_errno(r, "cannot ask the service manager whether the host goes down: %m");
                return false;
        }
        preserve->quits = true;
        vb_manager_tell_stopping();
        return true;
}

void vb_preserve_and_quit(VbPreserve *preserve) {
        if (!vb_daemon_info(preserve->daemon)->preserve) {
                vb_daemon_quit(preserve->daemon);
                return;
        }
        preserve->quits = true;
        begin(preserve);
}

void vb_preserve_busy(VbPreserve *preserve) {
        if (!preserve)
                return;
        preserve->n_busy++;
        update_lock(preserve);
}

void vb_preserve_done(VbPreserve *preserve) {
        if (!preserve)
                return;
        assert(preserve->n_busy > 0);
        preserve->n_busy--;
        update_lock(preserve);
}

int vb_preserve_new(VbPreserve **ret, VbDaemon *daemon) {
        g_autoptr(VbPreserve) preserve = g_new(VbPreserve, 1);
        int r;

        *preserve = (VbPreserve){ .daemon = daemon };
        r = vb_inhibitor_new(&preserve->inhibitor, daemon, VB_INHIBITOR_SHUTDOWN, vb_daemon_info(daemon)->holds_shutdown_for ?: "work is under way",
                             on_prepare, preserve);
        if (r < 0)
                return r;
        if (vb_daemon_info(daemon)->preserve && !vb_daemon_is_session(daemon)) {
                r = vb_libvirt_guests_tell(&preserve->rival, vb_daemon_bus(daemon));
                if (r < 0)
                        (void) vb_log_warning_errno(r, "cannot ask the service manager for libvirt-guests.service: %m");
        }
        *ret = g_steal_pointer(&preserve);
        return 0;
}

void vb_preserve_unwatch(VbPreserve *preserve) {
        vb_inhibitor_unwatch(preserve->inhibitor);
        preserve->rival = sd_bus_slot_unref(preserve->rival);
}

void vb_preserve_watch_again(VbPreserve *preserve) {
        int r;

        r = vb_inhibitor_watch_again(preserve->inhibitor);
        if (r < 0)
                (void) vb_log_warning_errno(r, "cannot watch for the host's shutdown: %m");
}

VbPreserve *vb_preserve_free(VbPreserve *preserve) {
        if (!preserve)
                return NULL;
        sd_bus_slot_unref(preserve->question);
        sd_bus_slot_unref(preserve->rival);
        (void) vb_inhibitor_free(preserve->inhibitor);
        g_free(preserve);
        return NULL;
}
