/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypervisor/lock.h"

#include "base/error.h"
#include "hypervisor/lock-private.h"

/* "none" is no manager at all. */
static const VbLockManager *const managers[] = {
        &vb_lock_manager_lockd,
#ifdef VB_HAVE_SANLOCK
        &vb_lock_manager_sanlock,
#endif
};

const char *vb_lock_manager_name(const VbLockManager *manager) {
        return manager ? manager->name : NULL;
}

const VbLockManager *vb_lock_manager_find(const char *name) {
        for (size_t i = 0; i < G_N_ELEMENTS(managers); i++)
                if (g_strcmp0(managers[i]->name, name) == 0)
                        return managers[i];
        return NULL;
}

/* --- before a guest is started -------------------------------------------------------------------------------------- */

static int choose_manager(const VbDomain *domain, const VbLockManager **ret, sd_bus_error *reterr) {
        const VbHypervisor *hypervisor = domain->hypervisor;
        const char *name = hypervisor->locks ? hypervisor->locks->lock_manager : "none";

        *ret = NULL;
        if (g_str_equal(name, "none"))
                return 0;
        *ret = vb_lock_manager_find(name);
        if (!*ret)
                return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                         "domain '%s': cannot start: lock_manager = %s in %s.conf is none that this build has; none, lockd%s",
                                         domain->name, name, hypervisor->driver->name, G_N_ELEMENTS(managers) > 1 ? ", sanlock" : "");
        if (vb_daemon_is_session(hypervisor->daemon) && !(*ret)->in_session)
                return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                         "domain '%s': cannot start: lock_manager = %s in %s.conf is not for the daemon of a session",
                                         domain->name, name, hypervisor->driver->name);
        return 0;
}

/* Also a lock manager would find it out, and take it for another's. */
static int check_twice(const VbDomain *domain, const VbClaims *claims, sd_bus_error *reterr) {
        for (size_t i = 0; i < claims->n; i++)
                for (size_t j = 0; j < i; j++)
                        if (!claims->items[i].folder && !claims->items[j].folder &&
                            g_str_equal(claims->items[i].name, claims->items[j].name))
                                return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                                         "domain '%s': cannot start: %s and %s are the same image, '%s'", domain->name,
                                                         claims->items[j].device, claims->items[i].device, claims->items[i].name);
        return 0;
}

static int check(const VbDomain *domain, const VbClaims *claims, sd_bus_error *reterr) {
        if (claims->leaves_disks && claims->n == 0 && domain->hypervisor->locks->require_lease_for_disks)
                return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                         "domain '%s': cannot start: it writes to disks and its definition names no <lease>, as "
                                         "require_lease_for_disks in %s.conf wants",
                                         domain->name, domain->hypervisor->driver->name);
        return check_twice(domain, claims, reterr);
}

int vb_lock_prepare(VbDomain *domain, sd_bus_error *reterr) {
        const VbLockManager *manager;
        int r;

        domain->claims = vb_claims_free(domain->claims);
        r = choose_manager(domain, &manager, reterr);
        if (r < 0 || !manager)
                return r;
        domain->claims = vb_claims_new(domain->live, domain->hypervisor->locks->auto_disk_leases);
        domain->claims->manager = manager;
        r = check(domain, domain->claims, reterr);
        if (r >= 0 && domain->claims->n > 0 && manager->check)
                r = manager->check(domain, reterr);
        if (r < 0 || domain->claims->n == 0)
                domain->claims = vb_claims_free(domain->claims);
        return r;
}

int (*vb_lock_get_enroll(const VbDomain *domain))(void) {
        return domain->claims ? domain->claims->manager->enroll : NULL;
}

/* --- calls ---------------------------------------------------------------------------------------------------------- */

VbLockCall *vb_lock_call_free(VbLockCall *call) {
        if (!call)
                return NULL;

        if (call->work)
                call->free_work(call->work);
        g_free(call);
        return NULL;
}

void vb_lock_call_end(VbLockCall *call, int r, const sd_bus_error *error) {
        if (r >= 0)
                vb_domain_set_lease_state(call->domain, call->success);
        else if (call->success == VB_CLAIMS_SUSPENDED && r != -ETIMEDOUT)
                vb_domain_set_lease_state(call->domain, VB_CLAIMS_HELD);
        call->done(call, r, error, call->userdata);
}

static int begin(VbLockCall **ret, const VbLockCall *template, VbLockBegin run, sd_bus_error *reterr) {
        g_autoptr(VbLockCall) call = g_memdup2(template, sizeof(*template));
        int r;

        call->claims = call->domain->claims;
        r = run(call, reterr);
        if (r < 0)
                return r;
        *ret = g_steal_pointer(&call);
        return 1;
}

int vb_lock_acquire(VbLockCall **ret, VbDomain *domain, VbLockDone done, void *userdata, sd_bus_error *reterr) {
        const VbLockCall call = { domain, .purpose = "start", .success = VB_CLAIMS_HELD, .done = done, .userdata = userdata };

        return domain->claims ? begin(ret, &call, domain->claims->manager->acquire, reterr) : 0;
}

int vb_lock_release(VbLockCall **ret, VbDomain *domain, VbLockDone done, void *userdata, sd_bus_error *reterr) {
        const VbLockCall call = { domain, .purpose = "give its leases back", .success = VB_CLAIMS_NONE, .done = done, .userdata = userdata };

        /* Also where none are held: an answer may not have come. But whoever has not been asked for a process has nothing of it. */
        return domain->claims && domain->claims->pid > 0 ? begin(ret, &call, domain->claims->manager->release, reterr) : 0;
}

int vb_lock_suspend(VbLockCall **ret, VbDomain *domain, VbLockDone done, void *userdata, sd_bus_error *reterr) {
        const VbLockCall call = { domain, .purpose = "give its leases up", .success = VB_CLAIMS_SUSPENDED, .done = done, .userdata = userdata };

        int r;

        if (!domain->claims || domain->claims->state != VB_CLAIMS_HELD || !domain->hypervisor->locks->release_leases_on_pause)
                return 0;
        r = begin(ret, &call, domain->claims->manager->suspend, reterr);
        /* From now on nobody knows; and who resumes what is held does no harm. */
        if (r > 0)
                vb_domain_set_lease_state(domain, VB_CLAIMS_SUSPENDED);
        return r;
}

int vb_lock_resume(VbLockCall **ret, VbDomain *domain, VbLockDone done, void *userdata, sd_bus_error *reterr) {
        const VbLockCall call = { domain, .purpose = "resume", .success = VB_CLAIMS_HELD, .done = done, .userdata = userdata };

        if (!domain->claims || domain->claims->state != VB_CLAIMS_SUSPENDED)
                return 0;
        return begin(ret, &call, domain->claims->manager->resume, reterr);
}
