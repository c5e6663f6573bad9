/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypervisor/host-shutdown.h"

#include "base/error.h"
#include "bus/manager.h"
#include "hypervisor/define.h"
#include "hypervisor/host-shutdown-private.h"
#include "hypervisor/restore.h"

/* How often it is looked whether guests move, and told how far they are. */
#define TICK_USEC (UINT64_C(500) * 1000)

struct VbHostShutdown {
        VbHypervisor *hypervisor;
        bool begun;     /* and not called off: no guest is started */
        bool under_way; /* vb_daemon_preserved() is owed */
        bool ended;
        GPtrArray *guests; /* of VbHostGuest */
        VbHostStatus status;
        sd_event_source *tick;
        sd_event_source *look; /* in the loop's next turn */
};

VbHypervisor *vb_host_shutdown_hypervisor(const VbHostShutdown *shutdown) {
        return shutdown->hypervisor;
}

bool vb_host_shutdown_is_ended(const VbHostShutdown *shutdown) {
        return shutdown->ended;
}

bool vb_host_shutdown_is_under_way(const VbHostShutdown *shutdown) {
        return shutdown && shutdown->begun;
}

uint64_t vb_host_shutdown_now(const VbHostShutdown *shutdown) {
        return (uint64_t) g_get_monotonic_time();
}

void vb_host_shutdown_wake(VbHostShutdown *shutdown) {
        if (shutdown && shutdown->under_way)
                (void) sd_event_source_set_enabled(shutdown->look, SD_EVENT_ONESHOT);
}

void vb_host_shutdown_guest_changed(VbHostShutdown *shutdown) {
        vb_host_shutdown_wake(shutdown);
}

/* --- how many at once -------------------------------------------------------------------------------------------------- */

static void begin_more(VbHostShutdown *shutdown) {
        uint64_t limit = shutdown->hypervisor->host.parallel ?: UINT64_MAX, n = 0;

        for (unsigned i = 0; i < shutdown->guests->len; i++)
                n += vb_host_guest_is_under_way(shutdown->guests->pdata[i]);
        for (unsigned i = 0; i < shutdown->guests->len && n < limit && shutdown->begun; i++) {
                VbHostGuest *guest = shutdown->guests->pdata[i];

                if (guest->phase != VB_HOST_GUEST_QUEUED)
                        continue;
                vb_host_guest_begin(guest);
                n += vb_host_guest_is_under_way(guest);
        }
}

/* --- the end ------------------------------------------------------------------------------------------------------------ */

static bool is_done(const VbHostShutdown *shutdown) {
        for (unsigned i = 0; i < shutdown->guests->len; i++) {
                const VbHostGuest *guest = shutdown->guests->pdata[i];

                if (guest->marks || vb_host_guest_is_under_way(guest) || (guest->phase == VB_HOST_GUEST_QUEUED && shutdown->begun))
                        return false;
        }
        return true;
}

static void tell_sum(VbHostShutdown *shutdown) {
        unsigned n_left = 0;

        for (unsigned i = 0; i < shutdown->guests->len; i++)
                n_left += vb_host_guest_find(shutdown->guests->pdata[i]) != NULL;
        if (shutdown->guests->len > 0)
                vb_log_notice("%u of %u guests are safe", shutdown->guests->len - n_left, shutdown->guests->len);
        vb_manager_tell_status("");
        vb_host_status_clear(&shutdown->status);
}

static void on_started_again(int r, const sd_bus_error *error, void *userdata) {
        if (r < 0)
                vb_log_error("%s", error && error->message ? error->message : g_strerror(-r));
}

/* The host stays up. What this shutdown has ended, and would have started again, is started now; its mark for the next boot goes. */
static void start_again(VbHostShutdown *shutdown) {
        for (unsigned i = 0; i < shutdown->guests->len; i++) {
                const VbHostGuest *guest = shutdown->guests->pdata[i];
                VbDomain *domain = vb_registry_find(shutdown->hypervisor->registry, &guest->uuid);
                g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
                int r = 0;

                if (!domain || !domain->config)
                        continue;
                if (guest->marked && domain->autostart_once)
                        r = vb_domain_save_autostart_once(domain, false, on_started_again, NULL, &error);
                if (r >= 0 && shutdown->hypervisor->host.restore && guest->phase == VB_HOST_GUEST_OVER && !vb_domain_is_active(domain))
                        r = vb_domain_boot(domain, &(VbStartOptions){ 0 }, on_started_again, NULL, &error);
                if (r < 0)
                        on_started_again(r, &error, NULL);
        }
}

static void finish(VbHostShutdown *shutdown) {
        shutdown->under_way = false;
        (void) sd_event_source_set_enabled(shutdown->tick, SD_EVENT_OFF);
        tell_sum(shutdown);
        if (!shutdown->begun)
                start_again(shutdown);
        vb_daemon_preserved(shutdown->hypervisor->daemon);
}

static int on_look(sd_event_source *source, void *userdata) {
        VbHostShutdown *shutdown = userdata;
        uint64_t now = vb_host_shutdown_now(shutdown);

        if (!shutdown->under_way)
                return 0;
        for (unsigned i = 0; i < shutdown->guests->len; i++)
                vb_host_guest_look(shutdown->guests->pdata[i], now);
        begin_more(shutdown);
        if (is_done(shutdown))
                finish(shutdown);
        return 0;
}

static int on_tick(sd_event_source *source, uint64_t usec, void *userdata) {
        VbHostShutdown *shutdown = userdata;

        (void) on_look(NULL, shutdown);
        if (!shutdown->under_way)
                return 0;
        vb_host_status_tell(&shutdown->status, shutdown->guests, vb_host_shutdown_now(shutdown));
        (void) sd_event_source_set_time_relative(shutdown->tick, TICK_USEC);
        return sd_event_source_set_enabled(shutdown->tick, SD_EVENT_ONESHOT);
}

/* --- the beginning ------------------------------------------------------------------------------------------------------ */

/* Those that were started last first: they may need those that were there before. */
static int compare_starts(const void *a, const void *b) {
        const VbHostGuest *one = *(const VbHostGuest *const *) a, *other = *(const VbHostGuest *const *) b;

        return other->id - one->id;
}

static void collect_guests(VbHostShutdown *shutdown) {
        VbDomain *domain;

        g_ptr_array_set_size(shutdown->guests, 0);
        for (VbRegistryIter i = vb_registry_iterate(shutdown->hypervisor->registry); (domain = vb_registry_next(&i));)
                if (domain->id >= 0)
                        g_ptr_array_add(shutdown->guests, vb_host_guest_new(shutdown, domain));
        g_ptr_array_sort(shutdown->guests, compare_starts);
}

void vb_host_shutdown_begin(VbHostShutdown *shutdown) {
        if (shutdown->under_way) {
                shutdown->begun = true; /* it may have been called off */
                vb_host_status_clear(&shutdown->status);
                return;
        }
        shutdown->begun = shutdown->under_way = true;
        collect_guests(shutdown);
        if (shutdown->guests->len > 0)
                vb_log_notice("%u guests are brought to safety", shutdown->guests->len);
        (void) sd_event_source_set_time_relative(shutdown->tick, 0);
        (void) sd_event_source_set_enabled(shutdown->tick, SD_EVENT_ONESHOT);
}

void vb_host_shutdown_call_off(VbHostShutdown *shutdown) {
        if (!shutdown->begun)
                return;
        shutdown->begun = false;
        if (shutdown->under_way)
                vb_host_shutdown_wake(shutdown);
        else
                start_again(shutdown);
}

int vb_host_shutdown_new(VbHostShutdown **ret, VbHypervisor *hypervisor) {
        g_autoptr(VbHostShutdown) shutdown = g_new(VbHostShutdown, 1);
        sd_event *event = vb_daemon_event(hypervisor->daemon);
        int r;

        *shutdown = (VbHostShutdown){
                .hypervisor = hypervisor,
                .guests = g_ptr_array_new_with_free_func((GDestroyNotify) vb_host_guest_free),
        };
        r = sd_event_add_time(event, &shutdown->tick, CLOCK_MONOTONIC, UINT64_MAX, /* accuracy= */ 0, on_tick, shutdown);
        if (r >= 0)
                r = sd_event_source_set_enabled(shutdown->tick, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_defer(event, &shutdown->look, on_look, shutdown);
        if (r >= 0)
                r = sd_event_source_set_enabled(shutdown->look, SD_EVENT_OFF);
        if (r < 0)
                return r;
        *ret = g_steal_pointer(&shutdown);
        return 0;
}

void vb_host_shutdown_end(VbHostShutdown *shutdown) {
        shutdown->ended = true;
        shutdown->under_way = false;
        (void) sd_event_source_set_enabled(shutdown->tick, SD_EVENT_OFF);
        (void) sd_event_source_set_enabled(shutdown->look, SD_EVENT_OFF);
}

VbHostShutdown *vb_host_shutdown_free(VbHostShutdown *shutdown) {
        if (!shutdown)
                return NULL;

        sd_event_source_disable_unref(shutdown->tick);
        sd_event_source_disable_unref(shutdown->look);
        g_ptr_array_unref(shutdown->guests);
        vb_host_status_clear(&shutdown->status);
        g_free(shutdown);
        return NULL;
}
