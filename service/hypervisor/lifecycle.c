/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypervisor/lifecycle.h"

#include "base/error.h"
#include "hypervisor/hypervisor.h"

/* How long an emulator may take to write its caches before a graceful end counts as failed. */
#define GRACEFUL_TIMEOUT_USEC (UINT64_C(30) * 1000000)

static const VbDriver *driver_of(const VbDomain *domain) {
        return domain->hypervisor->driver;
}

static int not_offered(const VbDomain *domain, const char *what, sd_bus_error *reterr) {
        return sd_bus_error_setf(reterr, VB_ERROR_NOT_SUPPORTED, "domain '%s': driver %s cannot %s guests", domain->name,
                                 driver_of(domain)->name, what);
}

/* The driver has not taken up an operation that was begun. */
static int give_up(VbDomain *domain, int r) {
        vb_domain_abandon(domain);
        return r;
}

static void on_caller_gone(void *userdata) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        VbDomain *domain = userdata;

        vb_log_info_for(VB_DOMAIN_LOG(domain), "domain '%s': ends with the client that started it", domain->name);
        if (vb_domain_destroy(domain, /* graceful= */ false, NULL, NULL, &error) < 0)
                vb_log_warning_for(VB_DOMAIN_LOG(domain), "%s", error.message);
}

int vb_domain_start(VbDomain *domain, VbDomainDefinition *definition, const VbStartOptions *options, VbDone done,
                    void *userdata, sd_bus_error *reterr) {
        g_autoptr(VbDomainDefinition) live = definition;
        int r;

        r = vb_domain_check_off(domain, reterr);
        if (r < 0)
                return r;
        if (vb_host_shutdown_is_under_way(domain->hypervisor->host_shutdown))
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_STATE, "domain '%s': cannot start: the host goes down", domain->name);
        r = vb_domain_begin(domain, "start", done, userdata, reterr);
        if (r < 0)
                return r;

        r = options->bind_to ? vb_caller_watch_new(&domain->bound_to, options->bind_to, on_caller_gone, domain, reterr) : 0;
        if (r < 0) {
                (void) give_up(domain, r);
                vb_domain_settle(domain);
                return r;
        }

        if (!live)
                live = vb_domain_definition_copy(domain->config);
        vb_domain_set_live(domain, g_steal_pointer(&live), options->id ?: ++domain->hypervisor->last_id);

        r = driver_of(domain)->start(domain, options, reterr);
        if (r < 0) {
                (void) give_up(domain, r);
                vb_domain_stopped(domain, VB_REASON_FAILED, r, reterr);
        }
        return r;
}

/* A shutdown with a time limit: first the asking, then the waiting, then perhaps the end by force. */
typedef struct Shutdown {
        VbHypervisor *hypervisor;
        VbUuid uuid;
        int id; /* of this run of the guest */
        uint64_t timeout_usec;
        bool then_destroy;
        VbDone done;
        void *userdata;
} Shutdown;

static void shutdown_end(Shutdown *shutdown, int r, const sd_bus_error *error) {
        shutdown->done(r, error, shutdown->userdata);
        g_free(shutdown);
}

static void on_shutdown_waited(int r, const sd_bus_error *error, void *userdata) {
        g_auto(sd_bus_error) reason = SD_BUS_ERROR_NULL;
        Shutdown *shutdown = userdata;
        VbDomain *domain;

        domain = vb_registry_find(shutdown->hypervisor->registry, &shutdown->uuid);
        if (r != -ETIMEDOUT || !shutdown->then_destroy || !domain || domain->id != shutdown->id) {
                shutdown_end(shutdown, r, error);
                return;
        }

        r = vb_domain_destroy(domain, /* graceful= */ false, shutdown->done, shutdown->userdata, &reason);
        if (r < 0)
                shutdown_end(shutdown, r, &reason);
        else
                g_free(shutdown);
}

static void on_shutdown_asked(int r, const sd_bus_error *error, void *userdata) {
        Shutdown *shutdown = userdata;
        VbDomain *domain;

        domain = vb_registry_find(shutdown->hypervisor->registry, &shutdown->uuid);
        if (r < 0 || !domain || domain->id != shutdown->id)
                /* Off already, if it was asked: what was wanted. */
                shutdown_end(shutdown, r, error);
        else
                vb_domain_wait_off(domain, shutdown->timeout_usec, on_shutdown_waited, shutdown);
}

int vb_domain_shutdown(VbDomain *domain, VbAskMode mode, uint64_t timeout_usec, bool then_destroy, VbDone done,
                       void *userdata, sd_bus_error *reterr) {
        g_autofree Shutdown *shutdown = NULL;
        int r;

        if (!driver_of(domain)->shutdown)
                return not_offered(domain, "shut down", reterr);
        r = vb_domain_check_active(domain, reterr);
        if (r < 0)
                return r;

        if (timeout_usec > 0) {
                shutdown = g_new(Shutdown, 1);
                *shutdown = (Shutdown){
                        .hypervisor = domain->hypervisor,
                        .uuid = domain->uuid,
                        .id = domain->id,
                        .timeout_usec = timeout_usec,
                        .then_destroy = then_destroy,
                        .done = done,
                        .userdata = userdata,
                };
                done = on_shutdown_asked;
                userdata = shutdown;
        }

        r = vb_domain_begin(domain, "shutdown", done, userdata, reterr);
        if (r < 0)
                return r;
        r = driver_of(domain)->shutdown(domain, mode, reterr);
        if (r < 0)
                return give_up(domain, r);

        (void) g_steal_pointer(&shutdown);
        return 0;
}

int vb_domain_reboot(VbDomain *domain, VbAskMode mode, VbDone done, void *userdata, sd_bus_error *reterr) {
        int r;

        if (!driver_of(domain)->reboot)
                return not_offered(domain, "reboot", reterr);
        r = vb_domain_check_active(domain, reterr);
        if (r < 0)
                return r;
        r = vb_domain_begin(domain, "reboot", done, userdata, reterr);
        if (r < 0)
                return r;
        r = driver_of(domain)->reboot(domain, mode, reterr);
        return r < 0 ? give_up(domain, r) : 0;
}

static int run_simple(VbDomain *domain, const char *name, int (*run)(VbDomain *domain, sd_bus_error *reterr), VbDone done,
                      void *userdata, sd_bus_error *reterr) {
        int r;

        if (!run)
                return not_offered(domain, name, reterr);
        r = vb_domain_check_active(domain, reterr);
        if (r < 0)
                return r;
        r = vb_domain_begin(domain, name, done, userdata, reterr);
        if (r < 0)
                return r;
        r = run(domain, reterr);
        return r < 0 ? give_up(domain, r) : 0;
}

int vb_domain_reset(VbDomain *domain, VbDone done, void *userdata, sd_bus_error *reterr) {
        return run_simple(domain, "reset", driver_of(domain)->reset, done, userdata, reterr);
}

int vb_domain_suspend(VbDomain *domain, VbDomainReason reason, VbDone done, void *userdata, sd_bus_error *reterr) {
        int r;

        if (!driver_of(domain)->suspend)
                return not_offered(domain, "suspend", reterr);
        r = vb_domain_check_active(domain, reterr);
        if (r < 0)
                return r;
        r = vb_domain_begin(domain, "suspend", done, userdata, reterr);
        if (r < 0)
                return r;
        r = driver_of(domain)->suspend(domain, reason, reterr);
        return r < 0 ? give_up(domain, r) : 0;
}

int vb_domain_resume(VbDomain *domain, VbDone done, void *userdata, sd_bus_error *reterr) {
        return run_simple(domain, "resume", driver_of(domain)->resume, done, userdata, reterr);
}

int vb_domain_destroy(VbDomain *domain, bool graceful, VbDone done, void *userdata, sd_bus_error *reterr) {
        int r;

        /* A guest that is just being started has no state of its own yet, but a number. */
        if (domain->id < 0)
                return vb_domain_check_active(domain, reterr);

        domain->being_destroyed = !graceful;
        r = driver_of(domain)->destroy(domain, graceful, reterr);
        if (r < 0) {
                domain->being_destroyed = false;
                return r;
        }
        if (done)
                vb_domain_wait_off(domain, graceful ? GRACEFUL_TIMEOUT_USEC : 0, done, userdata);
        return 0;
}
