/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypervisor/host-sleep.h"

#include "base/error.h"
#include "bus/inhibitor.h"
#include "hypervisor/host-settings.h"
#include "hypervisor/hypervisor.h"
#include "hypervisor/lifecycle.h"

/* A guest whose emulator hangs shall not hold up the host for the whole of what logind allows, which is five seconds by default. */
#define PATIENCE_USEC (UINT64_C(3) * 1000000)

struct VbHostSleep {
        VbHypervisor *hypervisor;
        VbInhibitor *inhibitor;
        GPtrArray *changes;        /* of Change: guests that are being paused, or go on */
        unsigned pausing;          /* … how many of them are being paused */
        sd_event_source *patience; /* while the host waits for these */
        GArray *unsure;            /* of VbUuid: guests whose emulators have not answered, and may stop them late */
};

/* A guest that is being paused, or goes on. */
typedef struct Change {
        VbHostSleep *sleep; /* NULL: the daemon ends */
        VbUuid uuid;
        bool pauses;
} Change;

static void pause_guest(VbHostSleep *sleep, VbDomain *domain);
static void resume_guest(VbHostSleep *sleep, VbDomain *domain);

static bool is_asleep(const VbHostSleep *sleep) {
        return sleep->inhibitor && vb_inhibitor_is_preparing(sleep->inhibitor);
}

/* Whether the settings want this guest paused. */
static bool is_meant(const VbDomain *domain) {
        int which = domain->config ? VB_HOST_SCOPE_PERSISTENT : VB_HOST_SCOPE_TRANSIENT;

        return domain->hypervisor->host.sleep_pause & which;
}

static bool is_paused_for_sleep(const VbDomain *domain) {
        return domain->state == VB_DOMAIN_PAUSED && domain->reason == VB_REASON_HOST_SLEEP;
}

/* Also one of which we know no better than that it runs: being told to go on does it no harm. */
static bool is_resumable(const VbDomain *domain) {
        return domain->state == VB_DOMAIN_RUNNING || is_paused_for_sleep(domain);
}

static Change *change_new(VbHostSleep *sleep, const VbDomain *domain, bool pauses) {
        Change *change = g_new(Change, 1);

        *change = (Change){ .sleep = sleep, .uuid = domain->uuid, .pauses = pauses };
        g_ptr_array_add(sleep->changes, change);
        sleep->pausing += pauses;
        return change;
}

/* The host may sleep: all guests stand still, or were waited for long enough. */
static void let_sleep(VbHostSleep *sleep) {
        sleep->patience = sd_event_source_disable_unref(sleep->patience);
        vb_inhibitor_want(sleep->inhibitor, false);
}

static void change_free(Change *change) {
        VbHostSleep *sleep = change->sleep;

        if (sleep) {
                (void) g_ptr_array_remove_fast(sleep->changes, change);
                sleep->pausing -= change->pauses;
                if (change->pauses && sleep->pausing == 0 && is_asleep(sleep))
                        let_sleep(sleep);
        }
        g_free(change);
}

static void on_paused(int r, const sd_bus_error *error, void *userdata) {
        Change *change = userdata;
        VbHostSleep *sleep = change->sleep;
        VbDomain *domain = sleep ? vb_registry_find(sleep->hypervisor->registry, &change->uuid) : NULL;

        if (r < 0 && domain)
                vb_log_warning_for(VB_DOMAIN_LOG(domain), "domain '%s' may not be paused while the host sleeps: %s", domain->name,
                                   error->message);
        change_free(change);
        if (!domain || !is_resumable(domain))
                return;
        if (!is_asleep(sleep))
                resume_guest(sleep, domain); /* the host has woken up meanwhile */
        else if (r < 0)
                g_array_append_val(sleep->unsure, domain->uuid);
}

static void pause_guest(VbHostSleep *sleep, VbDomain *domain) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        Change *change = change_new(sleep, domain, /* pauses= */ true);

        if (vb_domain_suspend(domain, VB_REASON_HOST_SLEEP, on_paused, change, &error) < 0) {
                vb_log_warning_for(VB_DOMAIN_LOG(domain), "%s; it is not paused while the host sleeps", error.message);
                change_free(change);
        }
}

static void on_resumed(int r, const sd_bus_error *error, void *userdata) {
        Change *change = userdata;
        VbHostSleep *sleep = change->sleep;
        VbDomain *domain = sleep ? vb_registry_find(sleep->hypervisor->registry, &change->uuid) : NULL;

        if (r < 0 && domain)
                vb_log_error_for(VB_DOMAIN_LOG(domain), "domain '%s' does not go on after the host's sleep: %s", domain->name,
                                 error->message);
        change_free(change);
        if (r < 0 || !domain)
                return;
        if (domain->hypervisor->driver->catch_up && domain->hypervisor->host.start_sync_time)
                domain->hypervisor->driver->catch_up(domain);
        /* The host may be about to sleep again. */
        if (is_asleep(sleep) && domain->state == VB_DOMAIN_RUNNING && is_meant(domain))
                pause_guest(sleep, domain);
}

static void resume_guest(VbHostSleep *sleep, VbDomain *domain) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        Change *change = change_new(sleep, domain, /* pauses= */ false);

        if (vb_domain_resume(domain, on_resumed, change, &error) < 0) {
                vb_log_error_for(VB_DOMAIN_LOG(domain), "%s; it does not go on after the host's sleep", error.message);
                change_free(change);
        }
}

static int on_impatient(sd_event_source *source, uint64_t usec, void *userdata) {
        VbHostSleep *sleep = userdata;

        vb_log_warning("the host sleeps before %u guests are paused: their emulators do not answer", sleep->pausing);
        let_sleep(sleep);
        return 0;
}

static void pause_all(VbHostSleep *sleep) {
        VbDomain *domain;
        int r;

        /* Held until the last one is under way. */
        sleep->pausing++;
        for (VbRegistryIter i = vb_registry_iterate(sleep->hypervisor->registry); (domain = vb_registry_next(&i));)
                if (domain->state == VB_DOMAIN_RUNNING && is_meant(domain))
                        pause_guest(sleep, domain);
        sleep->pausing--;
        if (sleep->pausing == 0) {
                let_sleep(sleep);
                return;
        }
        vb_log_info("the host is about to sleep: %u guests are paused", sleep->pausing);
        r = sd_event_add_time_relative(vb_daemon_event(sleep->hypervisor->daemon), &sleep->patience, CLOCK_MONOTONIC,
                                       PATIENCE_USEC, /* accuracy= */ 0, on_impatient, sleep);
        if (r < 0)
                (void) vb_log_warning_errno(r, "cannot limit the time in which guests are paused: %m");
}

static void resume_all(VbHostSleep *sleep) {
        VbDomain *domain;

        for (VbRegistryIter i = vb_registry_iterate(sleep->hypervisor->registry); (domain = vb_registry_next(&i));)
                if (is_paused_for_sleep(domain) && !domain->operation)
                        resume_guest(sleep, domain);
        for (unsigned i = 0; i < sleep->unsure->len; i++) {
                domain = vb_registry_find(sleep->hypervisor->registry, &g_array_index(sleep->unsure, VbUuid, i));
                if (domain && is_resumable(domain) && !domain->operation)
                        resume_guest(sleep, domain);
        }
        g_array_set_size(sleep->unsure, 0);
}

static void on_prepare(VbInhibitor *inhibitor, bool begins, void *userdata) {
        VbHostSleep *sleep = userdata;

        sleep->patience = sd_event_source_disable_unref(sleep->patience);
        if (begins) {
                pause_all(sleep);
                return;
        }
        resume_all(sleep);
        vb_host_sleep_update(sleep);
}

int vb_host_sleep_new(VbHostSleep **ret, VbHypervisor *hypervisor) {
        g_autoptr(VbHostSleep) sleep = g_new(VbHostSleep, 1);
        int r;

        *sleep = (VbHostSleep){
                .hypervisor = hypervisor,
                .changes = g_ptr_array_new(),
                .unsure = g_array_new(FALSE, FALSE, sizeof(VbUuid)),
        };
        r = vb_inhibitor_new(&sleep->inhibitor, hypervisor->daemon, VB_INHIBITOR_SLEEP, "guests are paused", on_prepare, sleep);
        if (r < 0)
                return r;
        *ret = g_steal_pointer(&sleep);
        return 0;
}

VbHostSleep *vb_host_sleep_free(VbHostSleep *sleep) {
        if (!sleep)
                return NULL;

        for (unsigned i = 0; i < sleep->changes->len; i++)
                ((Change *) sleep->changes->pdata[i])->sleep = NULL;
        g_ptr_array_free(sleep->changes, TRUE);
        g_array_free(sleep->unsure, TRUE);
        sleep->patience = sd_event_source_disable_unref(sleep->patience);
        sleep->inhibitor = vb_inhibitor_free(sleep->inhibitor);
        g_free(sleep);
        return NULL;
}

void vb_host_sleep_begin(VbHostSleep *sleep) {
        if (!is_asleep(sleep))
                resume_all(sleep);
        vb_host_sleep_update(sleep);
}

void vb_host_sleep_update(VbHostSleep *sleep) {
        /* Meanwhile it is let_sleep() that gives the lock back. */
        if (!is_asleep(sleep))
                vb_inhibitor_want(sleep->inhibitor,
                                  sleep->hypervisor->active > 0 && sleep->hypervisor->host.sleep_pause != VB_HOST_SCOPE_NONE);
}
