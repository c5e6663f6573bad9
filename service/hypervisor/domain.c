/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypervisor/domain.h"

#include <assert.h>

#include "base/error.h"
#include "hypervisor/driver.h"
#include "hypervisor/host-sleep.h"
#include "hypervisor/hypervisor.h"
#include "hypervisor/registry.h"

/* One who waits for a guest to be off. */
typedef struct Waiter {
        VbDomain *domain;
        sd_event_source *timer;
        VbDone done;
        void *userdata;
} Waiter;

static void waiter_tell(Waiter *waiter, int r, const sd_bus_error *error) {
        sd_event_source_disable_unref(waiter->timer);
        waiter->done(r, error, waiter->userdata);
        g_free(waiter);
}

static void waiters_tell(GPtrArray *waiters, int r, const sd_bus_error *error) {
        for (unsigned i = 0; i < waiters->len; i++)
                waiter_tell(g_ptr_array_index(waiters, i), r, error);
        g_ptr_array_free(waiters, TRUE);
}

static int on_waited_long_enough(sd_event_source *source, uint64_t usec, void *userdata) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        Waiter *waiter = userdata;
        int r;

        r = sd_bus_error_setf(&error, VB_ERROR_TIMEOUT, "domain '%s': the guest was not off in time", waiter->domain->name);
        (void) g_ptr_array_remove_fast(waiter->domain->waiters, waiter);
        waiter_tell(waiter, r, &error);
        return 0;
}

void vb_domain_wait_off(VbDomain *domain, uint64_t timeout_usec, VbDone done, void *userdata) {
        sd_event *event = vb_daemon_event(domain->hypervisor->daemon);
        Waiter *waiter = g_new(Waiter, 1);
        int r;

        *waiter = (Waiter){ .domain = domain, .done = done, .userdata = userdata };
        g_ptr_array_add(domain->waiters, waiter);
        if (timeout_usec == 0)
                return;

        r = sd_event_add_time_relative(event, &waiter->timer, CLOCK_MONOTONIC, timeout_usec, /* accuracy= */ 0,
                                       on_waited_long_enough, waiter);
        if (r < 0)
                (void) vb_log_warning_errno(r, "domain '%s': cannot limit the time to wait: %m", domain->name);
}

/* What no call can change now, as it is being changed. */
static VbTurns busy(void *userdata, const char **ret_what) {
        const VbDomain *domain = userdata;
        VbTurns turns = 0;

        if (domain->operation)
                turns |= VB_TURN_GUEST | (domain->operation_saves ? VB_TURN_DEFINITION : 0);
        if (domain->being_destroyed)
                turns |= VB_TURN_GUEST;
        if (domain->saving)
                turns |= VB_TURN_DEFINITION;
        *ret_what = domain->operation ?: domain->being_destroyed ? "destroy" : domain->saving;
        return turns;
}

static VbSubject describe(void *userdata) {
        const VbDomain *domain = userdata;

        return (VbSubject){ .name = domain->name, .uuid = domain->uuid_string, .owner = domain->owner };
}

static void make_turns(VbDomain *domain) {
        const VbTurnOwner owner = {
                .daemon = domain->hypervisor->daemon,
                .noun = "domain",
                .busy = busy,
                .describe = describe,
                .userdata = domain,
                .turn_timeout_usec = &domain->hypervisor->turn_timeout_usec,
        };

        domain->turns = vb_turn_queue_new(&owner);
}

int vb_domain_new(VbDomain **ret, VbHypervisor *hypervisor, const VbUuid *uuid, const char *name, uid_t owner) {
        g_autoptr(VbDomain) domain = g_new(VbDomain, 1);
        int r;

        *domain = (VbDomain){
                .hypervisor = hypervisor,
                .uuid = *uuid,
                .name = g_strdup(name),
                .owner = owner,
                .state = VB_DOMAIN_SHUTOFF,
                .id = -1,
                .agent_timeout_usec = VB_AGENT_TIMEOUT_USEC,
                .waiters = g_ptr_array_new(),
        };
        (void) vb_uuid_format(uuid, domain->uuid_string);
        make_turns(domain);

        if (hypervisor->driver->attach) {
                r = hypervisor->driver->attach(domain);
                if (r < 0)
                        return r;
        }

        *ret = g_steal_pointer(&domain);
        return 0;
}

/* A domain with a guest keeps the daemon, holds off the host's shutdown, and has the daemon know when the host sleeps. */
static void hold(VbDomain *domain) {
        VbHypervisor *hypervisor = domain->hypervisor;

        if (domain->hold)
                return;
        domain->hold = vb_idle_hold(hypervisor->daemon, "a guest runs");
        vb_daemon_hold_shutdown(hypervisor->daemon);
        hypervisor->active++;
        if (hypervisor->sleep)
                vb_host_sleep_update(hypervisor->sleep);
}

static void release(VbDomain *domain) {
        VbHypervisor *hypervisor = domain->hypervisor;

        if (!domain->hold)
                return;
        domain->hold = vb_idle_release(domain->hold);
        vb_daemon_release_shutdown(hypervisor->daemon);
        hypervisor->active--;
        if (hypervisor->sleep)
                vb_host_sleep_update(hypervisor->sleep);
}

VbDomain *vb_domain_free(VbDomain *domain) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

        if (!domain)
                return NULL;

        /* The driver first: whatever it still waits for must not come back to a domain that is half gone. */
        if (domain->driver_data)
                domain->hypervisor->driver->detach(domain);
        vb_object_unexport(&domain->object);

        (void) sd_bus_error_setf(&error, VB_ERROR_CANCELED, "domain '%s': the daemon no longer has it", domain->name);
        vb_domain_finish(domain, -ECANCELED, &error);
        waiters_tell(g_steal_pointer(&domain->waiters), -ECANCELED, &error);
        domain->turns = vb_turn_queue_free(domain->turns);

        (void) vb_caller_watch_free(domain->bound_to);
        release(domain);
        (void) vb_claims_free(domain->claims);
        (void) vb_domain_definition_free(domain->live);
        (void) vb_domain_definition_free(domain->config);
        vb_domain_job_clear(&domain->last_job);
        for (size_t i = 0; i < VB_METADATA_CHANGES_KEPT; i++)
                g_free(domain->changed_uris[i]);
        g_free(domain->name);
        g_free(domain);
        return NULL;
}

uint32_t vb_domain_vcpus(const VbDomain *domain) {
        return vb_domain_definition_vcpus(vb_domain_definition(domain));
}

uint64_t vb_domain_memory(const VbDomain *domain) {
        if (domain->live && domain->memory > 0)
                return domain->memory;
        return vb_domain_definition(domain)->current_memory * 1024;
}

uint64_t vb_domain_max_memory(const VbDomain *domain) {
        return vb_domain_definition(domain)->memory * 1024;
}

static void changed(VbDomain *domain, uint64_t properties) {
        vb_domain1_changed(&domain->object, properties);
}

/* What follows from the definition that counts, where it may differ from the one before. */
#define DEFINITION_PROPERTIES (VB_DOMAIN1_VCPUS | VB_DOMAIN1_MEMORY | VB_DOMAIN1_MAX_MEMORY)

void vb_domain_set_config(VbDomain *domain, VbDomainDefinition *config) {
        bool was_persistent = domain->config;

        (void) vb_domain_definition_free(domain->config);
        domain->config = config;

        if (was_persistent != (config != NULL))
                changed(domain, VB_DOMAIN1_PERSISTENT);
        if (!domain->live)
                changed(domain, DEFINITION_PROPERTIES);
}

void vb_domain_set_live(VbDomain *domain, VbDomainDefinition *live, int id) {
        (void) vb_domain_definition_free(domain->live);
        domain->live = live;
        domain->live->id = (VbOptInt) VB_OPT(id);
        domain->memory = 0;
        domain->id = id;
        domain->started_as = id;
        vb_registry_index_id(domain->hypervisor->registry, domain);
        hold(domain);
        changed(domain, VB_DOMAIN1_ID | DEFINITION_PROPERTIES);
}

void vb_domain_live_changed(VbDomain *domain) {
        changed(domain, DEFINITION_PROPERTIES);
        if (domain->hypervisor->driver->live_changed)
                domain->hypervisor->driver->live_changed(domain);
}

void vb_domain_set_state(VbDomain *domain, VbDomainState state, VbDomainReason reason) {
        assert(vb_domain_state_allows(state, reason));

        if (domain->state == state && domain->reason == reason)
                return;

        domain->state = state;
        domain->reason = reason;
        /* Both together: who hears of a state hears why. */
        changed(domain, VB_DOMAIN1_STATE | VB_DOMAIN1_STATE_REASON);
        vb_log_info_for(VB_DOMAIN_LOG(domain), "domain '%s' is %s (%s)", domain->name, vb_domain_state_to_string(state),
                        vb_domain_reason_to_string(reason));
}

void vb_domain_set_job(VbDomain *domain, VbJob *job) {
        domain->job = job;
        changed(domain, VB_DOMAIN1_JOB);
}

void vb_domain_set_memory(VbDomain *domain, uint64_t bytes) {
        if (domain->memory == bytes)
                return;
        domain->memory = bytes;
        changed(domain, VB_DOMAIN1_MEMORY);
}

void vb_domain_set_agent_connected(VbDomain *domain, bool connected) {
        if (domain->agent_connected == connected)
                return;
        domain->agent_connected = connected;
        changed(domain, VB_DOMAIN1_AGENT_CONNECTED);
}

void vb_domain_set_lease_state(VbDomain *domain, VbClaimsState state) {
        if (!domain->claims || domain->claims->state == state)
                return;
        domain->claims->state = state;
        changed(domain, VB_DOMAIN1_LEASE_STATE);
}

void vb_domain_set_managed_save(VbDomain *domain, bool exists) {
        if (domain->has_managed_save == exists)
                return;
        domain->has_managed_save = exists;
        changed(domain, VB_DOMAIN1_HAS_MANAGED_SAVE);
}

void vb_domain_set_autostart(VbDomain *domain, bool autostart) {
        if (domain->autostart == autostart)
                return;
        domain->autostart = autostart;
        changed(domain, VB_DOMAIN1_AUTOSTART);
}

void vb_domain_set_agent_timeout(VbDomain *domain, uint64_t timeout_usec) {
        if (domain->agent_timeout_usec == timeout_usec)
                return;
        domain->agent_timeout_usec = timeout_usec;
        changed(domain, VB_DOMAIN1_AGENT_TIMEOUT_USEC);
}

void vb_domain_set_autostart_once(VbDomain *domain, bool autostart_once) {
        if (domain->autostart_once == autostart_once)
                return;
        domain->autostart_once = autostart_once;
        changed(domain, VB_DOMAIN1_AUTOSTART_ONCE);
}

/* Back to what the disk has. */
static void forget_guest(VbDomain *domain) {
        vb_registry_forget_id(domain->hypervisor->registry, domain);
        vb_domain_set_agent_connected(domain, false);
        vb_domain_set_lease_state(domain, VB_CLAIMS_NONE);
        domain->claims = vb_claims_free(domain->claims);
        domain->id = -1;
        domain->memory = 0;
        release(domain);
        domain->bound_to = vb_caller_watch_free(domain->bound_to);
        changed(domain, VB_DOMAIN1_ID | DEFINITION_PROPERTIES);

        /* A transient one keeps its definition to its end: it is still asked for its properties when the end is announced. */
        if (domain->config)
                domain->live = vb_domain_definition_free(domain->live);
}

void vb_domain_settle(VbDomain *domain) {
        if (!domain->config && !vb_domain_is_active(domain) && !domain->operation && !domain->saving)
                vb_registry_remove(domain->hypervisor->registry, domain);
}

/* Nothing is under way any more. */
static void clear_operation(VbDomain *domain) {
        domain->operation = NULL;
        domain->operation_done = NULL;
        domain->operation_userdata = NULL;
        domain->operation_saves = false;
        vb_turn_queue_advance(domain->turns);
        vb_host_shutdown_wake(domain->hypervisor->host_shutdown);
}

void vb_domain_stopped(VbDomain *domain, VbDomainReason reason, int r, const sd_bus_error *error) {
        VbDone done = domain->operation_done;
        void *userdata = domain->operation_userdata;
        GPtrArray *waiters = domain->waiters;

        domain->waiters = g_ptr_array_new();
        domain->being_destroyed = false;
        clear_operation(domain);

        vb_domain_set_state(domain, VB_DOMAIN_SHUTOFF, reason);
        forget_guest(domain);
        vb_domain_settle(domain);

        /* Now that all of it has been announced. */
        if (done)
                done(r, error, userdata);
        waiters_tell(waiters, 0, NULL);
}

int vb_domain_check_active(const VbDomain *domain, sd_bus_error *reterr) {
        if (vb_domain_is_active(domain))
                return 0;
        return sd_bus_error_setf(reterr, VB_ERROR_INVALID_STATE, "domain '%s': the guest is off", domain->name);
}

static int refuse_for_operation(const VbDomain *domain, sd_bus_error *reterr) {
        return sd_bus_error_setf(reterr, VB_ERROR_INVALID_STATE, "domain '%s': %s is under way", domain->name,
                                 domain->operation);
}

int vb_domain_check_off(const VbDomain *domain, sd_bus_error *reterr) {
        if (domain->operation)
                return refuse_for_operation(domain, reterr);
        if (!vb_domain_is_active(domain))
                return 0;
        return sd_bus_error_setf(reterr, VB_ERROR_INVALID_STATE, "domain '%s': the guest runs already (it is %s)",
                                 domain->name, vb_domain_state_to_string(domain->state));
}

int vb_domain_begin(VbDomain *domain, const char *name, VbDone done, void *userdata, sd_bus_error *reterr) {
        if (domain->operation)
                return refuse_for_operation(domain, reterr);

        domain->operation = name;
        domain->operation_done = done;
        domain->operation_userdata = userdata;
        return 0;
}

void vb_domain_operation_saves(VbDomain *domain) {
        domain->operation_saves = true;
}

void vb_domain_set_saving(VbDomain *domain, const char *what) {
        domain->saving = what;
        if (!what)
                vb_turn_queue_advance(domain->turns);
}

void vb_domain_abandon(VbDomain *domain) {
        clear_operation(domain);
}

void vb_domain_finish(VbDomain *domain, int r, const sd_bus_error *error) {
        VbDone done = domain->operation_done;
        void *userdata = domain->operation_userdata;

        clear_operation(domain);
        if (done)
                done(r, error, userdata);
}
