/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Hypervisor1: definitions come in, domains are found. Figures are in stats.c. */

#include "base/error.h"
#include "hypervisor/define.h"
#include "hypervisor/handlers.h"
#include "hypervisor/host-plan.h"
#include "hypervisor/hypervisor.h"
#include "hypervisor/lifecycle.h"
#include "hypervisor/restore.h"
#include "hypervisor/rights.h"
#include "hypervisor/start-order.h"
#include "interfaces/actions.h"

/* Define and Create: a definition is read, completed by the driver (which may take a while, if it has to get to know the
 * emulator first), and then used. What the domain was when the caller's rights were checked, it must still be then. */
typedef struct Submission {
        VbCall *call;
        VbHypervisor *hypervisor;
        VbDomainDefinition *definition;
        VbUuid uuid;
        bool existed; /* at the check of rights: a domain with this UUID */
        uid_t owner;  /* … of this owner, or the owner to be */

        const VbHypervisor1DefineArgs *define; /* one of the two; the call's */
        const VbHypervisor1CreateArgs *create;
} Submission;

static void submission_free(Submission *submission) {
        (void) vb_call_unref(submission->call);
        (void) vb_domain_definition_free(submission->definition);
        g_free(submission);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Submission, submission_free)

static char *submission_path(const Submission *submission) {
        char label[VB_UUID_PATH_SIZE];

        return g_strdup_printf("%s/domain/%s", vb_objects_root(vb_daemon_objects(submission->hypervisor->daemon)),
                               vb_uuid_path_format(&submission->uuid, label));
}

static void on_defined(int r, const sd_bus_error *error, void *userdata) {
        g_autoptr(Submission) submission = userdata;
        g_autofree char *path = submission_path(submission);

        if (r < 0)
                (void) vb_call_fail(submission->call, r, error);
        else
                (void) vb_hypervisor1_reply_define(submission->call, path);
}

static void on_created(int r, const sd_bus_error *error, void *userdata) {
        g_autoptr(Submission) submission = userdata;
        g_autofree char *path = submission_path(submission);

        if (r < 0)
                (void) vb_call_fail(submission->call, r, error);
        else
                (void) vb_hypervisor1_reply_create(submission->call, path);
}

/* The domain must be the one that the caller was allowed to touch. */
static int check_unchanged(const Submission *submission, sd_bus_error *reterr) {
        const VbDomain *domain = vb_registry_find(submission->hypervisor->registry, &submission->uuid);

        if ((domain != NULL) == submission->existed && (!domain || domain->owner == submission->owner))
                return 0;
        return sd_bus_error_setf(reterr, VB_ERROR_INVALID_STATE,
                                 "domain '%s': it was defined or undefined by another in the meantime",
                                 submission->definition->name);
}

static int define(Submission *submission, sd_bus_error *reterr) {
        const VbHypervisor1DefineArgs *args = submission->define;
        uid_t owner = args->options.has_owner ? args->options.owner : submission->owner;

        return vb_hypervisor_define(submission->hypervisor, g_steal_pointer(&submission->definition), owner,
                                    args->options.has_owner, on_defined, submission, reterr);
}

static int create(Submission *submission, sd_bus_error *reterr) {
        const VbHypervisor1CreateArgs *args = submission->create;
        const VbStartOptions options = {
                .files = args->files,
                .paused = args->options.paused,
                .bind_to = args->options.bind ? submission->call : NULL,
        };
        VbDomain *domain;
        int r;

        r = vb_hypervisor_prepare_transient(submission->hypervisor, submission->definition, submission->owner, &domain,
                                            reterr);
        if (r < 0)
                return r;
        r = vb_domain_start(domain, g_steal_pointer(&submission->definition), &options, on_created, submission, reterr);
        if (r < 0)
                return r;

        /* From here on the answer, and the submission, are on_created()'s. */
        if (!vb_object_is_exported(&domain->object)) {
                r = vb_hypervisor_export_domain(submission->hypervisor, domain);
                if (r < 0)
                        (void) vb_log_warning_errno(r, "domain '%s': cannot be shown on the bus: %m", domain->name);
        }
        return 0;
}

static void on_completed(int r, const sd_bus_error *error, void *userdata) {
        g_auto(sd_bus_error) own = SD_BUS_ERROR_NULL;
        g_autoptr(Submission) submission = userdata;

        if (r >= 0) {
                error = &own;
                r = check_unchanged(submission, &own);
        }
        if (r >= 0)
                r = submission->define ? define(submission, &own) : create(submission, &own);
        if (r < 0)
                (void) vb_call_fail(submission->call, r, error);
        else
                (void) g_steal_pointer(&submission); /* on_defined() or on_created() has it */
}

/* Reads the definition, checks the caller's rights on what is there, and has the driver complete it. */
static int submit(Submission *given, const char *xml, bool validate, const VbAction *const *actions,
                  sd_bus_error *reterr) {
        g_autoptr(Submission) submission = given;
        const VbDriver *driver = submission->hypervisor->driver;
        VbDomain *domain;
        int r;

        r = vb_domain_definition_parse(&submission->definition, xml, strlen(xml),
                                       validate ? VB_DOMAIN_PARSE_VALIDATE : 0, reterr);
        if (r < 0)
                return r;
        r = vb_start_order_check(submission->definition, reterr);
        if (r < 0)
                return r;
        r = vb_host_plan_check(submission->definition, reterr);
        if (r < 0)
                return r;
        if (sd_id128_is_null(submission->definition->uuid)) {
                r = sd_id128_randomize(&submission->definition->uuid);
                if (r < 0)
                        return r;
        }
        submission->uuid = vb_domain_definition_uuid(submission->definition);
        r = vb_require_definition(submission->call, submission->hypervisor, submission->definition, actions, &domain,
                                  &submission->owner, reterr);
        if (r <= 0)
                return r;
        submission->existed = domain != NULL;
        if (domain) {
                r = vb_turn_take(domain->turns, submission->call, submission->define ? VB_TURN_DEFINITION : VB_TURN_GUEST, reterr);
                if (r <= 0)
                        return r;
        }

        r = driver->complete(submission->hypervisor, submission->definition, on_completed, submission, reterr);
        if (r < 0)
                return r;
        if (r > 0)
                on_completed(0, NULL, submission);
        (void) g_steal_pointer(&submission);
        return 0;
}

static Submission *submission_new(VbCall *call, VbObject *root) {
        Submission *submission = g_new(Submission, 1);

        *submission = (Submission){
                .call = vb_call_ref(call),
                .hypervisor = vb_hypervisor_of(root),
                .owner = vb_call_uid(call),
        };
        return submission;
}

static int on_define(VbCall *call, VbObject *root, const VbHypervisor1DefineArgs *args, sd_bus_error *reterr) {
        static const VbAction *const actions[] = { &vb_action_domain_define, NULL };
        Submission *submission = submission_new(call, root);

        submission->define = args;
        return submit(submission, args->xml, args->options.validate, actions, reterr);
}

static int on_create(VbCall *call, VbObject *root, const VbHypervisor1CreateArgs *args, sd_bus_error *reterr) {
        static const VbAction *const actions[] = { &vb_action_domain_define, &vb_action_domain_control, NULL };
        Submission *submission = submission_new(call, root);

        submission->create = args;
        return submit(submission, args->xml, args->options.validate, actions, reterr);
}

/* Those that are still on their way to the disk are not there yet. */
static const char *path_of(const VbDomain *domain) {
        return domain ? vb_object_path(&domain->object) : NULL;
}

static int on_get_domain_by_name(VbCall *call, VbObject *root, const VbHypervisor1GetDomainByNameArgs *args,
                                 sd_bus_error *reterr) {
        const char *path = path_of(vb_registry_find_name(vb_hypervisor_of(root)->registry, args->name));

        if (!path)
                return sd_bus_error_setf(reterr, VB_ERROR_NO_DOMAIN, "there is no domain '%s'", args->name);
        return vb_hypervisor1_reply_get_domain_by_name(call, path);
}

static int on_get_domain_by_uuid(VbCall *call, VbObject *root, const VbHypervisor1GetDomainByUuidArgs *args,
                                 sd_bus_error *reterr) {
        const char *path;
        VbUuid uuid;

        if (vb_uuid_parse(args->uuid, &uuid) < 0)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "'%s' is not a UUID", args->uuid);
        path = path_of(vb_registry_find(vb_hypervisor_of(root)->registry, &uuid));
        if (!path)
                return sd_bus_error_setf(reterr, VB_ERROR_NO_DOMAIN, "there is no domain with UUID %s", args->uuid);
        return vb_hypervisor1_reply_get_domain_by_uuid(call, path);
}

static int on_get_domain_by_id(VbCall *call, VbObject *root, const VbHypervisor1GetDomainByIdArgs *args,
                               sd_bus_error *reterr) {
        const char *path = path_of(vb_registry_find_id(vb_hypervisor_of(root)->registry, args->id));

        if (!path)
                return sd_bus_error_setf(reterr, VB_ERROR_NO_DOMAIN, "no running domain has the id %d", args->id);
        return vb_hypervisor1_reply_get_domain_by_id(call, path);
}

/* The contract's words for states, in the order of its enumeration. */
static const VbDomainState listed_states[] = {
        [VB_HYPERVISOR1_LIST_DOMAINS_STATE_RUNNING] = VB_DOMAIN_RUNNING,
        [VB_HYPERVISOR1_LIST_DOMAINS_STATE_PAUSED] = VB_DOMAIN_PAUSED,
        [VB_HYPERVISOR1_LIST_DOMAINS_STATE_SHUTDOWN] = VB_DOMAIN_SHUTDOWN,
        [VB_HYPERVISOR1_LIST_DOMAINS_STATE_SHUTOFF] = VB_DOMAIN_SHUTOFF,
        [VB_HYPERVISOR1_LIST_DOMAINS_STATE_CRASHED] = VB_DOMAIN_CRASHED,
        [VB_HYPERVISOR1_LIST_DOMAINS_STATE_PMSUSPENDED] = VB_DOMAIN_PMSUSPENDED,
};

static bool is_listed(const VbDomain *domain, const VbHypervisor1ListDomainsArgs *args) {
        if (args->filters.has_active && args->filters.active != vb_domain_is_active(domain))
                return false;
        if (args->filters.has_persistent && args->filters.persistent != (domain->config != NULL))
                return false;
        if (args->filters.has_autostart && args->filters.autostart != domain->autostart)
                return false;
        if (args->filters.has_autostart_once && args->filters.autostart_once != domain->autostart_once)
                return false;
        if (args->filters.has_managed_save && args->filters.managed_save != domain->has_managed_save)
                return false;
        if (args->filters.has_state && listed_states[args->filters.state] != domain->state)
                return false;
        return !args->filters.has_owner || args->filters.owner == domain->owner;
}

static int on_list_domains(VbCall *call, VbObject *root, const VbHypervisor1ListDomainsArgs *args,
                           sd_bus_error *reterr) {
        g_autoptr(GPtrArray) paths = g_ptr_array_new();
        const VbDomain *domain;

        for (VbRegistryIter i = vb_registry_iterate(vb_hypervisor_of(root)->registry); (domain = vb_registry_next(&i));)
                if (path_of(domain) && is_listed(domain, args))
                        g_ptr_array_add(paths, (char *) path_of(domain));
        g_ptr_array_add(paths, NULL);
        return vb_hypervisor1_reply_list_domains(call, (const char *const *) paths->pdata);
}

const VbHypervisor1Handlers vb_hypervisor_layer_handlers = {
        .define = on_define,
        .create = on_create,
        .get_domain_by_name = on_get_domain_by_name,
        .get_domain_by_uuid = on_get_domain_by_uuid,
        .get_domain_by_id = on_get_domain_by_id,
        .list_domains = on_list_domains,
        .get_stats = vb_hypervisor_on_get_stats,
        .restore = vb_hypervisor_on_restore,
        .get_saved_xml = vb_hypervisor_on_get_saved_xml,
        .set_saved_xml = vb_hypervisor_on_set_saved_xml,
        .get_host_name = vb_hypervisor_get_host_name,
        .get_host_info = vb_hypervisor_on_get_host_info,
        .get_host_nodes = vb_hypervisor_on_get_host_nodes,
        .get_host_cpu_stats = vb_hypervisor_on_get_host_cpu_stats,
        .get_host_memory_stats = vb_hypervisor_on_get_host_memory_stats,
        .set_host_pages = vb_hypervisor_on_set_host_pages,
        .get_page_merging = vb_hypervisor_on_get_page_merging,
        .set_page_merging = vb_hypervisor_on_set_page_merging,
        .suspend_host = vb_hypervisor_on_suspend_host,
        .get_sysinfo = vb_hypervisor_on_get_sysinfo,
};
