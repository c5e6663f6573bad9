/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/inhibitor.h"

#include <fcntl.h>

#include "base/log.h"
#include "bus/daemon-private.h"
#include "bus/names.h"

/* logind is asked on the system's bus, also by a session's daemon. It is never started by us: where it runs, it runs always, and while
 * the host goes down the bus starts nothing any more.
 *
 * A lock is a descriptor, and outlives a logind that is started anew; but not every such end is told from one that has forgotten its
 * locks. So whenever logind comes, a lock is asked for, and replaces the old one when it has been given. Likewise it is asked whether a
 * shutdown is being prepared: its signal may have been sent before we, or it, came. */

static const struct {
        const char *what, *signal, *property;
} kinds[_VB_INHIBITOR_KIND_MAX] = {
        [VB_INHIBITOR_SHUTDOWN] = { "shutdown", "PrepareForShutdown", "PreparingForShutdown" },
        [VB_INHIBITOR_SLEEP] = { "sleep", "PrepareForSleep", "PreparingForSleep" },
};

struct VbInhibitor {
        VbDaemon *daemon;
        VbInhibitorKind kind;
        char *why;
        VbInhibitorPrepare prepare;
        void *userdata;

        sd_bus *bus;
        sd_bus_slot *signal_slot, *owner_slot;

        bool wanted, preparing;
        int fd;
        sd_bus_slot *lock_call, *state_call;
};

static void show(VbInhibitor *inhibitor) {
        if (inhibitor->kind == VB_INHIBITOR_SHUTDOWN)
                vb_daemon_set_inhibited(inhibitor->daemon, inhibitor->fd >= 0);
}

static void release(VbInhibitor *inhibitor) {
        inhibitor->lock_call = sd_bus_slot_unref(inhibitor->lock_call);
        if (inhibitor->fd < 0)
                return;
        inhibitor->fd = vb_close(inhibitor->fd);
        vb_log_debug("the host's %s is not held off any more", kinds[inhibitor->kind].what);
        show(inhibitor);
}

static int on_lock(sd_bus_message *reply, void *userdata, sd_bus_error *unused) {
        VbInhibitor *inhibitor = userdata;
        const sd_bus_error *error = sd_bus_message_get_error(reply);
        int fd, r;

        inhibitor->lock_call = sd_bus_slot_unref(inhibitor->lock_call);
        r = error ? -sd_bus_error_get_errno(error) : sd_bus_message_read(reply, "h", &fd);
        if (r >= 0) {
                fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
                r = fd < 0 ? -errno : 0;
        }
        if (r < 0) {
                vb_log_info("the host's %s cannot be held off: %s", kinds[inhibitor->kind].what,
                            error && error->message ? error->message : g_strerror(-r));
                return 0;
        }
        (void) vb_close(inhibitor->fd);
        inhibitor->fd = fd;
        vb_log_debug("the host's %s is held off", kinds[inhibitor->kind].what);
        show(inhibitor);
        return 0;
}

static int call(VbInhibitor *inhibitor, sd_bus_slot **slot, const char *interface, const char *member, sd_bus_message_handler_t handler,
                const char *types, ...) {
        g_autoptr(sd_bus_message) message = NULL;
        va_list arguments;
        int r;

        r = sd_bus_message_new_method_call(inhibitor->bus, &message, VB_LOGIN_NAME, VB_LOGIN_PATH, interface, member);
        if (r < 0)
                return r;
        va_start(arguments, types);
        r = sd_bus_message_appendv(message, types, arguments);
        va_end(arguments);
        if (r >= 0)
                r = sd_bus_message_set_auto_start(message, /* b= */ false);
        if (r >= 0)
                r = sd_bus_call_async(inhibitor->bus, slot, message, handler, inhibitor, /* usec= */ 0);
        return r;
}

static void ask_lock(VbInhibitor *inhibitor) {
        int r;

        if (inhibitor->lock_call)
                return;
        r = call(inhibitor, &inhibitor->lock_call, VB_LOGIN_INTERFACE, "Inhibit", on_lock, "ssss", kinds[inhibitor->kind].what, "virtbus",
                 inhibitor->why, "delay");
        if (r < 0)
                (void) vb_log_warning_errno(r, "cannot ask logind to hold off the host's %s: %m", kinds[inhibitor->kind].what);
}

static void take_state(VbInhibitor *inhibitor, bool preparing) {
        if (inhibitor->preparing == preparing)
                return;
        inhibitor->preparing = preparing;
        inhibitor->prepare(inhibitor, preparing, inhibitor->userdata);
}

static int on_state(sd_bus_message *reply, void *userdata, sd_bus_error *unused) {
        VbInhibitor *inhibitor = userdata;
        int preparing;

        inhibitor->state_call = sd_bus_slot_unref(inhibitor->state_call);
        if (!sd_bus_message_is_method_error(reply, NULL) && sd_bus_message_read(reply, "v", "b", &preparing) >= 0)
                take_state(inhibitor, preparing);
        return 0;
}

static int ask_state(VbInhibitor *inhibitor) {
        inhibitor->state_call = sd_bus_slot_unref(inhibitor->state_call);
        return call(inhibitor, &inhibitor->state_call, VB_DBUS_PROPERTIES_INTERFACE, "Get", on_state, "ss", VB_LOGIN_INTERFACE,
                    kinds[inhibitor->kind].property);
}

static int on_prepare(sd_bus_message *signal, void *userdata, sd_bus_error *unused) {
        VbInhibitor *inhibitor = userdata;
        int begins;

        if (sd_bus_message_read(signal, "b", &begins) < 0)
                return 0;
        /* It is the latest news. */
        inhibitor->state_call = sd_bus_slot_unref(inhibitor->state_call);
        take_state(inhibitor, begins);
        /* Whoever gave the lock back for this wants another for the next time. */
        if (!begins && inhibitor->wanted && inhibitor->fd < 0)
                ask_lock(inhibitor);
        return 0;
}

static int on_owner_changed(sd_bus_message *signal, void *userdata, sd_bus_error *unused) {
        VbInhibitor *inhibitor = userdata;
        const char *owner;

        if (sd_bus_message_read(signal, "sss", NULL, NULL, &owner) < 0 || owner[0] == '\0')
                return 0;
        inhibitor->lock_call = sd_bus_slot_unref(inhibitor->lock_call); /* its answer died with the old one */
        if (inhibitor->wanted)
                ask_lock(inhibitor);
        (void) ask_state(inhibitor);
        return 0;
}

/* All asynchronous, and in this order on the wire: what is asked after the matches cannot be older than what they tell. */
static int watch(VbInhibitor *inhibitor) {
        int r;

        r = sd_bus_match_signal_async(inhibitor->bus, &inhibitor->signal_slot, VB_LOGIN_NAME, VB_LOGIN_PATH, VB_LOGIN_INTERFACE,
                                      kinds[inhibitor->kind].signal, on_prepare, NULL, inhibitor);
        if (r < 0)
                return r;
        r = sd_bus_add_match_async(inhibitor->bus, &inhibitor->owner_slot,
                                   "type='signal',sender='" VB_DBUS_NAME "',path='" VB_DBUS_PATH "',interface='" VB_DBUS_INTERFACE
                                   "',member='NameOwnerChanged',arg0='" VB_LOGIN_NAME "'",
                                   on_owner_changed, NULL, inhibitor);
        if (r < 0)
                return r;
        return ask_state(inhibitor);
}

int vb_inhibitor_new(VbInhibitor **ret, VbDaemon *daemon, VbInhibitorKind kind, const char *why, VbInhibitorPrepare prepare,
                     void *userdata) {
        g_autoptr(VbInhibitor) inhibitor = g_new(VbInhibitor, 1);
        int r;

        *inhibitor = (VbInhibitor){
                .daemon = daemon,
                .kind = kind,
                .why = g_strdup(why),
                .prepare = prepare,
                .userdata = userdata,
                .fd = -EBADF,
        };
        inhibitor->bus = sd_bus_ref(vb_daemon_system_bus(daemon));
        if (inhibitor->bus) {
                r = watch(inhibitor);
                if (r < 0)
                        return r;
        }
        *ret = g_steal_pointer(&inhibitor);
        return 0;
}

void vb_inhibitor_unwatch(VbInhibitor *inhibitor) {
        inhibitor->owner_slot = sd_bus_slot_unref(inhibitor->owner_slot);
        inhibitor->signal_slot = sd_bus_slot_unref(inhibitor->signal_slot);
}

int vb_inhibitor_watch_again(VbInhibitor *inhibitor) {
        inhibitor->state_call = sd_bus_slot_unref(inhibitor->state_call);
        return inhibitor->bus ? watch(inhibitor) : 0;
}

VbInhibitor *vb_inhibitor_free(VbInhibitor *inhibitor) {
        if (!inhibitor)
                return NULL;

        (void) vb_close(inhibitor->fd);
        sd_bus_slot_unref(inhibitor->lock_call);
        sd_bus_slot_unref(inhibitor->state_call);
        sd_bus_slot_unref(inhibitor->owner_slot);
        sd_bus_slot_unref(inhibitor->signal_slot);
        sd_bus_unref(inhibitor->bus);
        g_free(inhibitor->why);
        g_free(inhibitor);
        return NULL;
}

void vb_inhibitor_want(VbInhibitor *inhibitor, bool want) {
        if (inhibitor->wanted == want)
                return;
        inhibitor->wanted = want;
        if (!want)
                release(inhibitor);
        else if (inhibitor->bus)
                ask_lock(inhibitor);
}

bool vb_inhibitor_is_held(const VbInhibitor *inhibitor) {
        return inhibitor->fd >= 0;
}

bool vb_inhibitor_is_preparing(const VbInhibitor *inhibitor) {
        return inhibitor->preparing;
}
