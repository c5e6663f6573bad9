/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypervisor/change.h"

#include "base/error.h"
#include "hypervisor/define.h"
#include "hypervisor/hypervisor.h"

static int get_config(const VbDomain *domain, VbDomainDefinition **ret, sd_bus_error *reterr) {
        if (!domain->config)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_STATE,
                                         "domain '%s' is transient: it has no persistent definition", domain->name);
        *ret = domain->config;
        return 0;
}

int vb_domain_choose_definitions(const VbDomain *domain, bool live, bool config, VbDomainDefinition **ret_live,
                                 VbDomainDefinition **ret_config, sd_bus_error *reterr) {
        VbDomainDefinition *persistent = NULL;
        int r;

        if (!live && !config) {
                live = vb_domain_is_active(domain);
                config = !live;
        }
        if (live) {
                r = vb_domain_check_active(domain, reterr);
                if (r < 0)
                        return r;
        }
        if (config) {
                r = get_config(domain, &persistent, reterr);
                if (r < 0)
                        return r;
        }
        *ret_live = live ? domain->live : NULL;
        *ret_config = persistent;
        return 0;
}

int vb_domain_choose_definition(const VbDomain *domain, bool live, bool config, const VbDomainDefinition **ret,
                                sd_bus_error *reterr) {
        VbDomainDefinition *of_guest, *persistent;
        int r;

        if (live && config)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT,
                                         "options 'live' and 'config': a question is about one of them");
        r = vb_domain_choose_definitions(domain, live, config, &of_guest, &persistent, reterr);
        if (r < 0)
                return r;
        *ret = of_guest ?: persistent;
        return 0;
}

/* --- changes -------------------------------------------------------------------------------------------------------- */

/* Under way. The domain is looked up by its UUID: it may go meanwhile. */
typedef struct Change {
        VbCall *call;
        const VbChangeSpec *spec;
        const void *args;
        VbHypervisor *hypervisor;
        VbUuid uuid;
        bool live, config;
} Change;

static void change_free(Change *change) {
        (void) vb_call_unref(change->call);
        g_free(change);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Change, change_free)

static int try_edit(const VbDomain *domain, bool live, const VbChangeSpec *spec, const void *args, VbDomainDefinition **ret,
                    sd_bus_error *reterr) {
        g_autoptr(VbDomainDefinition) copy = vb_domain_definition_copy(live ? domain->live : domain->config);
        const VbDriver *driver = domain->hypervisor->driver;
        int part, r;

        part = spec->edit(copy, live, args, reterr);
        if (part < 0)
                return part;
        r = vb_domain_definition_check(copy, reterr);
        if (r >= 0 && driver->check)
                r = driver->check(copy, reterr);
        if (r < 0)
                return r;
        *ret = g_steal_pointer(&copy);
        return part;
}

static void on_saved(int r, const sd_bus_error *error, void *userdata) {
        g_autoptr(Change) change = userdata;

        if (r < 0)
                (void) vb_call_fail(change->call, r, error);
        else
                (void) vb_call_reply(change->call, NULL);
}

/* The persistent definition may have been replaced while the guest was changed: it is edited as it is now. */
static int save(Change *change, VbDomain *domain, sd_bus_error *reterr) {
        g_autoptr(VbDomainDefinition) edited = NULL;
        VbDomainDefinition *config = NULL;
        int r;

        r = get_config(domain, &config, reterr);
        if (r < 0)
                return r;
        r = try_edit(domain, /* live= */ false, change->spec, change->args, &edited, reterr);
        if (r < 0)
                return r;
        return vb_domain_save_config(domain, change->spec->what, g_steal_pointer(&edited), on_saved, change, reterr);
}

/* What is told of a change, beside the properties that follow from it; nothing where there is no word. */
static const char *const tuning_words[] = {
        [VB_RESOURCE_VCPU_PIN] = "vcpu-pin",
        [VB_RESOURCE_EMULATOR_PIN] = "emulator-pin",
        [VB_RESOURCE_IOTHREAD_PIN] = "iothread-pin",
        [VB_RESOURCE_IOTHREAD_TUNING] = "iothread",
        [VB_RESOURCE_CPU_TUNING] = "cpu",
        [VB_RESOURCE_MEMORY_TUNING] = "memory",
        [VB_RESOURCE_BLOCK_TUNING] = "block",
        [VB_RESOURCE_NUMA_TUNING] = "numa",
        [VB_RESOURCE_DISK_TUNING] = "disk",
        [VB_RESOURCE_INTERFACE_TUNING] = "interface",
};

static void tell_tuning(VbDomain *domain, VbResource resource, unsigned part) {
        const char *word = resource < G_N_ELEMENTS(tuning_words) ? tuning_words[resource] : NULL, *name = NULL;
        char number[16] = "";

        if (!word)
                return;
        if (resource == VB_RESOURCE_VCPU_PIN || resource == VB_RESOURCE_IOTHREAD_PIN || resource == VB_RESOURCE_IOTHREAD_TUNING)
                (void) g_snprintf(number, sizeof(number), "%u", part);
        else if (resource == VB_RESOURCE_DISK_TUNING)
                name = domain->live->disks.items[part]->target;
        else if (resource == VB_RESOURCE_INTERFACE_TUNING)
                name = domain->live->interfaces.items[part]->target;
        vb_domain1_emit_tuning_changed(&domain->object, word, name ?: number);
}

static int take_live(Change *change, VbDomain *domain, sd_bus_error *reterr) {
        int r;

        /* Off by now: it had the change as long as it ran. */
        if (!domain->live || change->spec->told_by_events)
                return 0;
        r = change->spec->edit(domain->live, /* live= */ true, change->args, reterr);
        if (r < 0)
                return r;
        vb_domain_live_changed(domain);
        tell_tuning(domain, change->spec->resource, (unsigned) r);
        return 0;
}

static void go_on(Change *given) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        g_autoptr(Change) change = given;
        VbDomain *domain = vb_registry_find(change->hypervisor->registry, &change->uuid);
        int r = 0;

        if (domain && change->live)
                r = take_live(change, domain, &error);
        if (r >= 0 && domain && change->config) {
                r = save(change, domain, &error);
                if (r >= 0) {
                        (void) g_steal_pointer(&change);
                        return;
                }
        }
        if (r < 0)
                (void) vb_call_fail(change->call, r, &error);
        else
                (void) vb_call_reply(change->call, NULL);
}

static void on_applied(int r, const sd_bus_error *error, void *userdata) {
        g_autoptr(Change) change = userdata;

        if (r < 0)
                (void) vb_call_fail(change->call, r, error);
        else
                go_on(g_steal_pointer(&change));
}

static int apply(VbDomain *domain, const VbDomainDefinition *wanted, unsigned part, Change *change, sd_bus_error *reterr) {
        const VbDriver *driver = domain->hypervisor->driver;
        int r;

        if (!driver->apply)
                return sd_bus_error_setf(reterr, VB_ERROR_NOT_SUPPORTED, "domain '%s': driver '%s' cannot %s of a guest that runs",
                                         domain->name, driver->name, change->spec->what);
        r = vb_domain_begin(domain, change->spec->what, on_applied, change, reterr);
        if (r < 0)
                return r;
        if (change->config)
                vb_domain_operation_saves(domain);
        r = driver->apply(domain, change->spec->resource, wanted, part, reterr);
        if (r < 0)
                vb_domain_abandon(domain);
        return r;
}

int vb_domain_change(VbCall *call, VbDomain *domain, bool live, bool config, const VbChangeSpec *spec, const void *args,
                     sd_bus_error *reterr) {
        g_autoptr(VbDomainDefinition) new_live = NULL, new_config = NULL;
        VbDomainDefinition *old_live, *old_config;
        g_autoptr(Change) change = NULL;
        int part = 0, r;

        r = vb_domain_choose_definitions(domain, live, config, &old_live, &old_config, reterr);
        if (r < 0)
                return r;
        r = vb_turn_take(domain->turns, call, (old_live ? VB_TURN_GUEST : 0) | (old_config ? VB_TURN_DEFINITION : 0), reterr);
        if (r <= 0)
                return r;
        if (old_live) {
                part = try_edit(domain, /* live= */ true, spec, args, &new_live, reterr);
                if (part < 0)
                        return part;
        }
        if (old_config) {
                r = try_edit(domain, /* live= */ false, spec, args, &new_config, reterr);
                if (r < 0)
                        return r;
        }

        change = g_new(Change, 1);
        *change = (Change){
                .call = vb_call_ref(call),
                .spec = spec,
                .args = args,
                .hypervisor = domain->hypervisor,
                .uuid = domain->uuid,
                .live = old_live,
                .config = old_config,
        };
        if (old_live) {
                r = apply(domain, new_live, (unsigned) part, change, reterr);
                if (r < 0)
                        return r;
        } else
                go_on(g_steal_pointer(&change));
        (void) g_steal_pointer(&change);
        return 0;
}
