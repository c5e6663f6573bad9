/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Domain1: arguments in, one call into the layer, reply out. */

#include "base/error.h"
#include "hypervisor/change.h"
#include "hypervisor/define.h"
#include "hypervisor/handlers.h"
#include "hypervisor/host-plan.h"
#include "hypervisor/hypervisor.h"
#include "hypervisor/lifecycle.h"
#include "hypervisor/metadata.h"
#include "hypervisor/restore.h"
#include "hypervisor/start-order.h"

static const char *get_name(VbObject *object) {
        return vb_domain_of(object)->name;
}

static const char *get_uuid(VbObject *object) {
        return vb_domain_of(object)->uuid_string;
}

static int32_t get_id(VbObject *object) {
        return vb_domain_of(object)->id;
}

static const char *get_state(VbObject *object) {
        return vb_domain_state_to_string(vb_domain_of(object)->state);
}

static const char *get_state_reason(VbObject *object) {
        return vb_domain_reason_to_string(vb_domain_of(object)->reason);
}

static bool get_persistent(VbObject *object) {
        return vb_domain_of(object)->config;
}

static bool get_autostart(VbObject *object) {
        return vb_domain_of(object)->autostart;
}

static bool get_autostart_once(VbObject *object) {
        return vb_domain_of(object)->autostart_once;
}

static uint64_t get_agent_timeout_usec(VbObject *object) {
        return vb_domain_of(object)->agent_timeout_usec;
}

static uint32_t get_owner(VbObject *object) {
        return vb_domain_of(object)->owner;
}

static uint32_t get_vcpus(VbObject *object) {
        return vb_domain_vcpus(vb_domain_of(object));
}

static uint64_t get_memory(VbObject *object) {
        return vb_domain_memory(vb_domain_of(object));
}

static uint64_t get_max_memory(VbObject *object) {
        return vb_domain_max_memory(vb_domain_of(object));
}

static bool get_has_managed_save(VbObject *object) {
        return vb_domain_of(object)->has_managed_save;
}

static bool get_agent_connected(VbObject *object) {
        return vb_domain_of(object)->agent_connected;
}

static const char *get_job(VbObject *object) {
        return vb_job_path(vb_domain_of(object)->job);
}

/* The call went along as userdata; if nothing was begun, it stays here. */
static int begun(VbCall *call, int r) {
        if (r < 0)
                (void) vb_call_unref(call);
        return r < 0 ? r : 0;
}

static int on_start(VbCall *call, VbObject *object, const VbDomain1StartArgs *args, sd_bus_error *reterr) {
        const VbStartOptions options = {
                .paused = args->options.paused,
                .bypass_cache = args->options.bypass_cache,
                .force_boot = args->options.force_boot,
                .reset_nvram = args->options.reset_nvram,
                .bind_to = args->options.bind ? call : NULL,
        };

        return begun(call, vb_domain_boot(vb_domain_of(object), &options, vb_call_reply_done, vb_call_ref(call), reterr));
}

static int on_shutdown(VbCall *call, VbObject *object, const VbDomain1ShutdownArgs *args, sd_bus_error *reterr) {
        return begun(call, vb_domain_shutdown(vb_domain_of(object), (VbAskMode) args->options.mode,
                                              args->options.timeout_usec,
                                              args->options.then == VB_DOMAIN1_SHUTDOWN_THEN_DESTROY, vb_call_reply_done,
                                              vb_call_ref(call), reterr));
}

static int on_reboot(VbCall *call, VbObject *object, const VbDomain1RebootArgs *args, sd_bus_error *reterr) {
        return begun(call, vb_domain_reboot(vb_domain_of(object), (VbAskMode) args->options.mode, vb_call_reply_done,
                                            vb_call_ref(call), reterr));
}

/* VbAskMode follows the words of the contract. */
G_STATIC_ASSERT((int) VB_ASK_DEFAULT == VB_DOMAIN1_SHUTDOWN_MODE_DEFAULT && (int) VB_ASK_DEFAULT == VB_DOMAIN1_REBOOT_MODE_DEFAULT);
G_STATIC_ASSERT((int) VB_ASK_ACPI == VB_DOMAIN1_SHUTDOWN_MODE_ACPI && (int) VB_ASK_ACPI == VB_DOMAIN1_REBOOT_MODE_ACPI);
G_STATIC_ASSERT((int) VB_ASK_AGENT == VB_DOMAIN1_SHUTDOWN_MODE_AGENT && (int) VB_ASK_AGENT == VB_DOMAIN1_REBOOT_MODE_AGENT);

static int on_reset(VbCall *call, VbObject *object, const VbDomain1ResetArgs *args, sd_bus_error *reterr) {
        return begun(call, vb_domain_reset(vb_domain_of(object), vb_call_reply_done, vb_call_ref(call), reterr));
}

static int on_destroy(VbCall *call, VbObject *object, const VbDomain1DestroyArgs *args, sd_bus_error *reterr) {
        return begun(call, vb_domain_destroy(vb_domain_of(object), args->options.graceful, vb_call_reply_done,
                                             vb_call_ref(call), reterr));
}

static int on_suspend(VbCall *call, VbObject *object, const VbDomain1SuspendArgs *args, sd_bus_error *reterr) {
        return begun(call, vb_domain_suspend(vb_domain_of(object), VB_REASON_USER, vb_call_reply_done, vb_call_ref(call), reterr));
}

static int on_resume(VbCall *call, VbObject *object, const VbDomain1ResumeArgs *args, sd_bus_error *reterr) {
        return begun(call, vb_domain_resume(vb_domain_of(object), vb_call_reply_done, vb_call_ref(call), reterr));
}

static int on_undefine(VbCall *call, VbObject *object, const VbDomain1UndefineArgs *args, sd_bus_error *reterr) {
        VbUndefineNvram nvram = VB_UNDEFINE_NVRAM_UNDECIDED;

        if (args->options.has_nvram)
                nvram = args->options.nvram == VB_DOMAIN1_UNDEFINE_NVRAM_REMOVE ? VB_UNDEFINE_NVRAM_REMOVE
                                                                                 : VB_UNDEFINE_NVRAM_KEEP;
        return begun(call, vb_domain_undefine(vb_domain_of(object), args->options.managed_save, args->options.keep_tpm, nvram,
                                              vb_call_reply_done, vb_call_ref(call), reterr));
}

static int on_rename(VbCall *call, VbObject *object, const VbDomain1RenameArgs *args, sd_bus_error *reterr) {
        return begun(call, vb_domain_rename(vb_domain_of(object), args->name, vb_call_reply_done, vb_call_ref(call), reterr));
}

static int on_set_autostart(VbCall *call, VbObject *object, const VbDomain1SetAutostartArgs *args, sd_bus_error *reterr) {
        return begun(call, vb_domain_save_autostart(vb_domain_of(object), args->value, vb_call_reply_done,
                                                    vb_call_ref(call), reterr));
}

static int on_set_autostart_once(VbCall *call, VbObject *object, const VbDomain1SetAutostartOnceArgs *args,
                                 sd_bus_error *reterr) {
        return begun(call, vb_domain_save_autostart_once(vb_domain_of(object), args->value, vb_call_reply_done,
                                                         vb_call_ref(call), reterr));
}

static int on_set_agent_timeout_usec(VbCall *call, VbObject *object, const VbDomain1SetAgentTimeoutUsecArgs *args,
                                     sd_bus_error *reterr) {
        VbDomain *domain = vb_domain_of(object);

        vb_domain_set_agent_timeout(domain, args->value);
        if (vb_domain_is_active(domain))
                vb_domain_live_changed(domain);
        return vb_call_reply(call, NULL);
}

/* The persistent definition; InvalidState if there is none. */
static int get_config(const VbDomain *domain, VbDomainDefinition **ret, sd_bus_error *reterr) {
        if (!domain->config)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_STATE,
                                         "domain '%s' is transient: it has no persistent definition", domain->name);
        *ret = domain->config;
        return 0;
}

static int on_get_xml(VbCall *call, VbObject *object, const VbDomain1GetXmlArgs *args, sd_bus_error *reterr) {
        const VbDomain *domain = vb_domain_of(object);
        VbDomainDefinition *definition = vb_domain_definition(domain);
        VbDomainFormatFlags flags = 0;
        g_autofree char *xml = NULL;
        int r;

        if (args->options.inactive) {
                r = get_config(domain, &definition, reterr);
                if (r < 0)
                        return r;
        }
        if (args->options.secure)
                flags |= VB_DOMAIN_FORMAT_SECURE;
        if (args->options.migratable)
                flags |= VB_DOMAIN_FORMAT_MIGRATABLE;
        if (definition != domain->live)
                flags |= VB_DOMAIN_FORMAT_INACTIVE;

        xml = vb_domain_definition_format(definition, flags);
        return vb_domain1_reply_get_xml(call, xml);
}

static int on_get_metadata(VbCall *call, VbObject *object, const VbDomain1GetMetadataArgs *args, sd_bus_error *reterr) {
        VbDomainDefinition *live, *config;
        g_autofree char *value = NULL;
        int r;

        r = vb_domain_choose_definitions(vb_domain_of(object), args->options.live, args->options.config, &live, &config, reterr);
        if (r < 0)
                return r;
        r = vb_metadata_get(live ?: config, (VbMetadataKind) args->kind, args->uri, &value, reterr);
        if (r < 0)
                return r;
        return vb_domain1_reply_get_metadata(call, value);
}

/* New metadata for the disk first, then for the running guest. */
typedef struct SetMetadata {
        VbCall *call;
        const VbDomain1SetMetadataArgs *args; /* the call's */
        VbHypervisor *hypervisor;
        VbUuid uuid;
        bool live;
} SetMetadata;

static void set_metadata_free(SetMetadata *set) {
        (void) vb_call_unref(set->call);
        g_free(set);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SetMetadata, set_metadata_free)

static int set_metadata(VbDomainDefinition *definition, const VbDomain1SetMetadataArgs *args, sd_bus_error *reterr) {
        g_autofree char *before = g_strdup(definition->metadata);
        int r;

        r = vb_metadata_set(definition, (VbMetadataKind) args->kind, args->uri, args->key, args->value, reterr);
        if (r < 0)
                return r;
        /* One element is for us. */
        r = vb_start_order_check(definition, reterr);
        if (r < 0)
                return r;
        r = vb_host_plan_check(definition, reterr);
        if (r < 0) {
                g_free(definition->metadata);
                definition->metadata = g_steal_pointer(&before);
        }
        return r;
}

/* The number of this change, by which those who may know are told which element it was. */
static uint64_t note_changed_uri(VbDomain *domain, const char *uri) {
        uint64_t number = ++domain->n_changed_uris;
        char **place = &domain->changed_uris[number % VB_METADATA_CHANGES_KEPT];

        g_free(*place);
        *place = g_strdup(uri);
        return number;
}

static int on_get_metadata_change(VbCall *call, VbObject *object, const VbDomain1GetMetadataChangeArgs *args, sd_bus_error *reterr) {
        const VbDomain *domain = vb_domain_of(object);
        uint64_t last = domain->n_changed_uris, number = args->change;

        if (number == 0 || number > last || last - number >= VB_METADATA_CHANGES_KEPT)
                return sd_bus_error_setf(reterr, VB_ERROR_NO_METADATA,
                                         "domain '%s': nothing is known of change %" G_GUINT64_FORMAT " of its metadata", domain->name,
                                         number);
        return vb_domain1_reply_get_metadata_change(call, domain->changed_uris[number % VB_METADATA_CHANGES_KEPT]);
}

static void tell_metadata_changed(VbDomain *domain, const VbDomain1SetMetadataArgs *args) {
        VbMetadataKind kind = (VbMetadataKind) args->kind;

        vb_domain1_emit_metadata_changed(&domain->object, vb_metadata_kind_to_string(kind),
                                         kind == VB_METADATA_ELEMENT ? note_changed_uri(domain, args->uri) : 0);
}

static void set_metadata_done(int r, const sd_bus_error *error, void *userdata) {
        g_auto(sd_bus_error) live_error = SD_BUS_ERROR_NULL;
        g_autoptr(SetMetadata) set = userdata;
        VbDomain *domain;

        domain = r < 0 ? NULL : vb_registry_find(set->hypervisor->registry, &set->uuid);
        if (domain && set->live && domain->live) {
                r = set_metadata(domain->live, set->args, &live_error);
                error = &live_error;
                if (r >= 0)
                        vb_domain_live_changed(domain);
        }
        if (r < 0) {
                (void) vb_call_fail(set->call, r, error);
                return;
        }
        if (domain)
                tell_metadata_changed(domain, set->args);
        (void) vb_domain1_reply_set_metadata(set->call);
}

static int on_set_metadata(VbCall *call, VbObject *object, const VbDomain1SetMetadataArgs *args, sd_bus_error *reterr) {
        VbDomain *domain = vb_domain_of(object);
        g_autoptr(VbDomainDefinition) new_config = NULL;
        g_autoptr(SetMetadata) set = NULL;
        VbDomainDefinition *live, *config;
        int r;

        r = vb_domain_choose_definitions(domain, args->options.live, args->options.config, &live, &config, reterr);
        if (r < 0)
                return r;
        r = config ? vb_turn_take(domain->turns, call, VB_TURN_DEFINITION, reterr) : 1;
        if (r <= 0)
                return r;

        set = g_new(SetMetadata, 1);
        *set = (SetMetadata){
                .call = vb_call_ref(call),
                .args = args,
                .hypervisor = domain->hypervisor,
                .uuid = domain->uuid,
                .live = live,
        };
        if (!config) {
                set_metadata_done(0, NULL, g_steal_pointer(&set));
                return 1;
        }

        new_config = vb_domain_definition_copy(config);
        r = set_metadata(new_config, args, reterr);
        if (r < 0)
                return r;
        r = vb_domain_save_config(domain, "set metadata", g_steal_pointer(&new_config), set_metadata_done, set, reterr);
        if (r < 0)
                return r;
        (void) g_steal_pointer(&set);
        return 0;
}

G_STATIC_ASSERT((int) VB_METADATA_TITLE == VB_DOMAIN1_SET_METADATA_KIND_TITLE && (int) VB_METADATA_TITLE == VB_DOMAIN1_GET_METADATA_KIND_TITLE);
G_STATIC_ASSERT((int) VB_METADATA_ELEMENT == VB_DOMAIN1_SET_METADATA_KIND_ELEMENT && (int) VB_METADATA_ELEMENT == VB_DOMAIN1_GET_METADATA_KIND_ELEMENT);

const VbDomain1Handlers vb_domain_layer_handlers = {
        .get_name = get_name,
        .get_uuid = get_uuid,
        .get_id = get_id,
        .get_state = get_state,
        .get_state_reason = get_state_reason,
        .get_persistent = get_persistent,
        .get_autostart = get_autostart,
        .get_autostart_once = get_autostart_once,
        .get_owner = get_owner,
        .get_vcpus = get_vcpus,
        .get_memory = get_memory,
        .get_max_memory = get_max_memory,
        .get_has_managed_save = get_has_managed_save,
        .get_agent_connected = get_agent_connected,
        .get_agent_timeout_usec = get_agent_timeout_usec,
        .set_agent_timeout_usec = on_set_agent_timeout_usec,
        .get_job = get_job,
        .get_lease_state = vb_domain_get_lease_state,
        .get_leases = vb_domain_on_get_leases,
        .start = on_start,
        .shutdown = on_shutdown,
        .reboot = on_reboot,
        .reset = on_reset,
        .destroy = on_destroy,
        .suspend = on_suspend,
        .resume = on_resume,
        .undefine = on_undefine,
        .get_xml = on_get_xml,
        .rename = on_rename,
        .set_metadata = on_set_metadata,
        .get_metadata_change = on_get_metadata_change,
        .get_metadata = on_get_metadata,
        .get_managed_save_xml = vb_domain_on_get_managed_save_xml,
        .set_managed_save_xml = vb_domain_on_set_managed_save_xml,
        .set_autostart = on_set_autostart,
        .set_autostart_once = on_set_autostart_once,
        .set_memory = vb_domain_on_set_memory,
        .set_memory_stats_period = vb_domain_on_set_memory_stats_period,
        .set_vcpus = vb_domain_on_set_vcpus,
        .enable_vcpus = vb_domain_on_enable_vcpus,
        .list_vcpus = vb_domain_on_list_vcpus,
        .pin_vcpu = vb_domain_on_pin_vcpu,
        .pin_emulator = vb_domain_on_pin_emulator,
        .get_emulator_affinity = vb_domain_on_get_emulator_affinity,
        .list_io_threads = vb_domain_on_list_io_threads,
        .add_io_thread = vb_domain_on_add_io_thread,
        .remove_io_thread = vb_domain_on_remove_io_thread,
        .pin_io_thread = vb_domain_on_pin_io_thread,
        .set_io_thread_tuning = vb_domain_on_set_io_thread_tuning,
        .get_io_thread_tuning = vb_domain_on_get_io_thread_tuning,
        .set_cpu_tuning = vb_domain_on_set_cpu_tuning,
        .set_memory_tuning = vb_domain_on_set_memory_tuning,
        .set_block_tuning = vb_domain_on_set_block_tuning,
        .set_numa_tuning = vb_domain_on_set_numa_tuning,
        .set_disk_tuning = vb_domain_on_set_disk_tuning,
        .get_cpu_tuning = vb_domain_on_get_cpu_tuning,
        .get_memory_tuning = vb_domain_on_get_memory_tuning,
        .get_block_tuning = vb_domain_on_get_block_tuning,
        .get_numa_tuning = vb_domain_on_get_numa_tuning,
        .get_disk_tuning = vb_domain_on_get_disk_tuning,
        .get_job_stats = vb_domain_on_get_job_stats,
        .set_interface_tuning = vb_domain_on_set_interface_tuning,
        .get_interface_tuning = vb_domain_on_get_interface_tuning,
        .set_lifecycle_action = vb_domain_on_set_lifecycle_action,
};
