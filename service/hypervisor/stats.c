/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypervisor/stats.h"

#include <assert.h>
#include <stdarg.h>
#include <time.h>

#include "base/error.h"
#include "hypervisor/handlers.h"
#include "hypervisor/hypervisor.h"
#include "interfaces/actions.h"

/* How long the slowest emulator may hold up the answer. */
#define DEADLINE_USEC (UINT64_C(500) * 1000)

struct VbStatsBatch {
        VbCall *call;
        VbHypervisor *hypervisor;
        GArray *uuids; /* of VbUuid: the domains asked about, in order */
        VbStatsGroups groups;
        uint64_t since;
        unsigned holds;
        sd_event_source *deadline;
        bool answered;
};

static void batch_free(VbStatsBatch *batch) {
        sd_event_source_disable_unref(batch->deadline);
        (void) vb_call_unref(batch->call);
        g_array_free(batch->uuids, TRUE);
        g_free(batch);
}

static int append_domain(sd_bus_message *m, VbDomain *domain, VbStatsGroups groups) {
        const VbDriver *driver = domain->hypervisor->driver;
        int r;

        r = sd_bus_message_open_container(m, 'r', "oa{sv}");
        if (r < 0)
                return r;
        r = sd_bus_message_append(m, "o", vb_object_path(&domain->object));
        if (r < 0)
                return r;
        r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r < 0)
                return r;
        if (groups & VB_STATS_STATE) {
                r = vb_stats_append_string(m, vb_domain_state_to_string(domain->state), "state.state");
                if (r < 0)
                        return r;
                r = vb_stats_append_string(m, vb_domain_reason_to_string(domain->reason), "state.reason");
                if (r < 0)
                        return r;
        }
        if (driver->append_stats && (groups & ~VB_STATS_STATE)) {
                r = driver->append_stats(domain, groups, m);
                if (r < 0)
                        return r;
        }
        r = sd_bus_message_close_container(m);
        if (r < 0)
                return r;
        return sd_bus_message_close_container(m);
}

static int make_answer(VbStatsBatch *batch, sd_bus_message **ret) {
        g_autoptr(sd_bus_message) m = NULL;
        int r;

        r = vb_call_new_reply(batch->call, &m);
        if (r < 0)
                return r;
        r = sd_bus_message_open_container(m, 'a', "(oa{sv})");
        if (r < 0)
                return r;
        for (unsigned i = 0; i < batch->uuids->len; i++) {
                VbDomain *domain = vb_registry_find(batch->hypervisor->registry, &g_array_index(batch->uuids, VbUuid, i));

                /* It may have gone since it was asked about. */
                if (!domain || !vb_object_is_exported(&domain->object))
                        continue;
                r = append_domain(m, domain, batch->groups);
                if (r < 0)
                        return r;
        }
        r = sd_bus_message_close_container(m);
        if (r < 0)
                return r;
        *ret = g_steal_pointer(&m);
        return 0;
}

static void answer(VbStatsBatch *batch) {
        g_autoptr(sd_bus_message) m = NULL;
        int r;

        batch->answered = true;
        r = make_answer(batch, &m);
        if (r < 0)
                (void) vb_call_fail(batch->call, r, NULL);
        else
                (void) vb_call_send_reply(batch->call, m);
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata) {
        answer(userdata);
        return 0;
}

void vb_stats_batch_hold(VbStatsBatch *batch) {
        batch->holds++;
}

void vb_stats_batch_release(VbStatsBatch *batch) {
        assert(batch->holds > 0);
        if (--batch->holds > 0)
                return;
        if (!batch->answered)
                answer(batch);
        batch_free(batch);
}

uint64_t vb_stats_batch_since(const VbStatsBatch *batch) {
        return batch->since;
}

/* Opens the entry of a key, up to where the value comes. */
static int open_entry(sd_bus_message *m, const char *type, const char *key_format, va_list arguments) {
        char key[64];
        int r;

        (void) g_vsnprintf(key, sizeof(key), key_format, arguments);
        r = sd_bus_message_open_container(m, 'e', "sv");
        if (r < 0)
                return r;
        r = sd_bus_message_append_basic(m, 's', key);
        if (r < 0)
                return r;
        return sd_bus_message_open_container(m, 'v', type);
}

static int close_entry(sd_bus_message *m) {
        int r;

        r = sd_bus_message_close_container(m);
        if (r < 0)
                return r;
        return sd_bus_message_close_container(m);
}

#define DEFINE_APPEND(name, Type, type, type_char, pointer)                                       \
        int vb_stats_append_##name(sd_bus_message *m, Type value, const char *key, ...) {         \
                va_list arguments;                                                                \
                int r;                                                                            \
                                                                                                  \
                va_start(arguments, key);                                                         \
                r = open_entry(m, type, key, arguments);                                          \
                va_end(arguments);                                                                \
                if (r < 0)                                                                        \
                        return r;                                                                 \
                r = sd_bus_message_append_basic(m, type_char, pointer);                           \
                if (r < 0)                                                                        \
                        return r;                                                                 \
                return close_entry(m);                                                            \
        }

DEFINE_APPEND(string, const char *, "s", 's', value)
DEFINE_APPEND(u64, uint64_t, "t", 't', &value)
DEFINE_APPEND(u32, uint32_t, "u", 'u', &value)
DEFINE_APPEND(bool, bool, "b", 'b', (&(int){ value }))

/* May the caller read this domain? 1: yes. 0: polkit is asked, and the handler runs again. */
static int require_read(VbCall *call, VbDomain *domain, VbStatsGroups groups, sd_bus_error *reterr) {
        if ((groups & ~VB_STATS_STATE) == 0) {
                vb_call_set_checked(call);
                return 1;
        }
        return vb_call_require(call, &vb_action_domain_read, vb_object_describe(&domain->object), reterr);
}

static int choose_named(VbStatsBatch *batch, const VbHypervisor1GetStatsArgs *args, sd_bus_error *reterr) {
        VbHypervisor *hypervisor = batch->hypervisor;
        VbObjects *objects = vb_daemon_objects(hypervisor->daemon);
        int r;

        for (size_t i = 0; i < args->domains.n; i++) {
                VbObject *object = vb_objects_find(objects, &hypervisor->domain_kind, args->domains.values[i]);

                if (!object)
                        return sd_bus_error_setf(reterr, VB_ERROR_NO_DOMAIN, "there is no domain at '%s'",
                                                 args->domains.values[i]);
                r = require_read(batch->call, vb_domain_of(object), batch->groups, reterr);
                if (r <= 0)
                        return r;
                g_array_append_val(batch->uuids, vb_domain_of(object)->uuid);
        }
        return 1;
}

/* Those that the caller may not read are left out. */
static int choose_all(VbStatsBatch *batch, const VbHypervisor1GetStatsArgs *args, sd_bus_error *reterr) {
        VbDomain *domain;
        int r;

        vb_call_set_checked(batch->call);
        for (VbRegistryIter i = vb_registry_iterate(batch->hypervisor->registry); (domain = vb_registry_next(&i));) {
                if (!vb_object_is_exported(&domain->object))
                        continue;
                if (args->options.has_active && args->options.active != vb_domain_is_active(domain))
                        continue;
                r = 1;
                if (batch->groups & ~VB_STATS_STATE)
                        r = vb_call_may(batch->call, &vb_action_domain_read, vb_object_describe(&domain->object), reterr);
                if (r > 0)
                        g_array_append_val(batch->uuids, domain->uuid);
                else if (r != -EACCES || sd_bus_error_is_set(reterr))
                        return r;
        }
        return 1;
}

/* Asks for what is too old, and sets the time by which it must have come. */
static int collect(VbStatsBatch *batch) {
        VbHypervisor *hypervisor = batch->hypervisor;

        if ((batch->groups & ~VB_STATS_STATE) == 0 || !hypervisor->driver->collect)
                return 0;
        for (unsigned i = 0; i < batch->uuids->len; i++) {
                VbDomain *domain = vb_registry_find(hypervisor->registry, &g_array_index(batch->uuids, VbUuid, i));

                if (domain && vb_domain_is_active(domain))
                        hypervisor->driver->collect(domain, batch->groups, batch);
        }
        if (batch->holds == 1)
                return 0;
        return sd_event_add_time_relative(vb_daemon_event(hypervisor->daemon), &batch->deadline, CLOCK_MONOTONIC,
                                          DEADLINE_USEC, /* accuracy= */ 1, on_deadline, batch);
}

static uint64_t monotonic_usec(void) {
        struct timespec now;

        (void) clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
}

int vb_hypervisor_on_get_stats(VbCall *call, VbObject *root, const VbHypervisor1GetStatsArgs *args, sd_bus_error *reterr) {
        VbHypervisor *hypervisor = vb_hypervisor_of(root);
        uint64_t now = monotonic_usec();
        VbStatsBatch *batch = g_new(VbStatsBatch, 1);
        int r;

        *batch = (VbStatsBatch){
                .call = vb_call_ref(call),
                .hypervisor = hypervisor,
                .uuids = g_array_new(FALSE, FALSE, sizeof(VbUuid)),
                .groups = args->options.has_groups ? (VbStatsGroups) args->options.groups : VB_STATS_ALL,
                .since = args->options.fresh ? now : now - MIN(now, VB_STATS_AGE_MAX),
                .holds = 1,
        };

        r = args->domains.n > 0 ? choose_named(batch, args, reterr) : choose_all(batch, args, reterr);
        if (r > 0)
                r = collect(batch) < 0 ? -EIO : 1;
        if (r <= 0)
                batch->answered = true; /* by who called us, or when this runs again */
        vb_stats_batch_release(batch);
        return r < 0 ? r : 0;
}

/* The contract's words, as a set, are the groups. */
G_STATIC_ASSERT((int) VB_STATS_STATE == VB_HYPERVISOR1_GET_STATS_GROUPS_STATE);
G_STATIC_ASSERT((int) VB_STATS_CPU == VB_HYPERVISOR1_GET_STATS_GROUPS_CPU);
G_STATIC_ASSERT((int) VB_STATS_BALLOON == VB_HYPERVISOR1_GET_STATS_GROUPS_BALLOON);
G_STATIC_ASSERT((int) VB_STATS_VCPU == VB_HYPERVISOR1_GET_STATS_GROUPS_VCPU);
G_STATIC_ASSERT((int) VB_STATS_BLOCK == VB_HYPERVISOR1_GET_STATS_GROUPS_BLOCK);
G_STATIC_ASSERT((int) VB_STATS_INTERFACE == VB_HYPERVISOR1_GET_STATS_GROUPS_INTERFACE);
G_STATIC_ASSERT((int) VB_STATS_IOTHREAD == VB_HYPERVISOR1_GET_STATS_GROUPS_IOTHREAD);
