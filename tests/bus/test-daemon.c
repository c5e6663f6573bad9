/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A daemon whose domains are no more than a name, an owner and a state: enough to see on a private bus what
 * the bus layer does. Its definitions are bare names; what its guest agent is told to do, it does. */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "interfaces/actions.h"
#include "interfaces/domain1.h"
#include "interfaces/hypervisor1.h"

#include "base/error.h"
#include "base/log.h"
#include "base/uuid.h"
#include "bus/daemon.h"
#include "bus/job.h"

typedef struct Manager {
        VbDaemon *daemon;
        GHashTable *by_name; /* name → Domain, owned */
} Manager;

typedef struct Domain {
        VbObject object;
        Manager *manager;
        char *name;
        char uuid[VB_UUID_STRING_SIZE];
        uid_t owner;
        bool running, autostart;
        VbIdleHold *hold;
        VbJob *job;
        VbCall *saving;
        VbCallerWatch *bound;
        char *keys;
} Domain;

static Domain *domain_of(VbObject *object) {
        return vb_container_of(object, Domain, object);
}

static Manager *manager_of(VbCall *call) {
        return vb_daemon_userdata(vb_call_daemon(call));
}

/* Domain1 */

static const char *get_name(VbObject *object) {
        return domain_of(object)->name;
}

static const char *get_uuid(VbObject *object) {
        return domain_of(object)->uuid;
}

static int32_t get_id(VbObject *object) {
        return domain_of(object)->running ? 1 : -1;
}

static const char *get_state(VbObject *object) {
        return domain_of(object)->running ? "running" : "shutoff";
}

static bool get_autostart(VbObject *object) {
        return domain_of(object)->autostart;
}

static uint32_t get_owner(VbObject *object) {
        return domain_of(object)->owner;
}

static const char *get_job(VbObject *object) {
        return vb_job_path(domain_of(object)->job);
}

static int set_autostart(VbCall *call, VbObject *object, const VbDomain1SetAutostartArgs *args,
                         sd_bus_error *reterr) {
        domain_of(object)->autostart = args->value;
        vb_domain1_changed(object, VB_DOMAIN1_AUTOSTART);
        return vb_domain1_reply_set_autostart(call);
}

static void set_running(Domain *domain, bool running) {
        domain->running = running;
        if (running && !domain->hold)
                domain->hold = vb_idle_hold(domain->manager->daemon, "a guest");
        if (!running)
                domain->hold = vb_idle_release(domain->hold);
        /* Two marks for one announcement. */
        vb_domain1_changed(&domain->object, VB_DOMAIN1_STATE);
        vb_domain1_changed(&domain->object, VB_DOMAIN1_ID | VB_DOMAIN1_STATE);
}

static int on_start(VbCall *call, VbObject *object, const VbDomain1StartArgs *args, sd_bus_error *reterr) {
        set_running(domain_of(object), true);
        return vb_domain1_reply_start(call);
}

static int on_destroy(VbCall *call, VbObject *object, const VbDomain1DestroyArgs *args,
                      sd_bus_error *reterr) {
        Domain *domain = domain_of(object);

        if (!domain->running)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_STATE, "domain '%s': is off", domain->name);
        set_running(domain, false);
        return vb_domain1_reply_destroy(call);
}

static int on_undefine(VbCall *call, VbObject *object, const VbDomain1UndefineArgs *args,
                       sd_bus_error *reterr) {
        Domain *domain = domain_of(object);

        g_hash_table_remove(domain->manager->by_name, domain->name);
        return vb_domain1_reply_undefine(call);
}

static int on_rename(VbCall *call, VbObject *object, const VbDomain1RenameArgs *args, sd_bus_error *reterr) {
        Domain *domain = domain_of(object);

        (void) g_hash_table_steal(domain->manager->by_name, domain->name);
        g_free(domain->name);
        domain->name = g_strdup(args->name);
        g_hash_table_insert(domain->manager->by_name, domain->name, domain);
        vb_domain1_changed(object, VB_DOMAIN1_NAME);
        return vb_domain1_reply_rename(call);
}

static int on_get_xml(VbCall *call, VbObject *object, const VbDomain1GetXmlArgs *args, sd_bus_error *reterr) {
        g_autofree char *xml = g_strdup_printf("<domain secure='%d' inactive='%d'/>", args->options.secure,
                                               args->options.inactive);

        return vb_domain1_reply_get_xml(call, xml);
}

static int on_set_metadata(VbCall *call, VbObject *object, const VbDomain1SetMetadataArgs *args,
                           sd_bus_error *reterr) {
        static const char *const kinds[] = { "title", "description", "element" };

        vb_domain1_changed(object, VB_DOMAIN1_MEMORY);
        vb_domain1_emit_metadata_changed(object, kinds[args->kind], 0);
        return vb_domain1_reply_set_metadata(call);
}

static int on_send_keys(VbCall *call, VbObject *object, const VbDomain1SendKeysArgs *args,
                        sd_bus_error *reterr) {
        g_autoptr(GString) keys =
                g_string_new(args->options.codeset == VB_DOMAIN1_SEND_KEYS_CODESET_QNUM ? "qnum" : "linux");

        g_string_append_printf(keys, " %" PRIu64, args->options.hold_usec);
        for (size_t i = 0; i < args->codes.n; i++)
                g_string_append_printf(keys, " %u", args->codes.values[i]);
        return sd_bus_error_setf(reterr, VB_ERROR_OPERATION_FAILED, "%s", keys->str);
}

/* The handler's mistakes, on order; or an echo. */
static int on_agent_command(VbCall *call, VbObject *object, const VbDomain1GuestAgentCommandArgs *args,
                            sd_bus_error *reterr) {
        if (strcmp(args->command, "drop") == 0)
                return 0;
        if (strcmp(args->command, "errno") == 0)
                return -ENOSPC;
        if (strcmp(args->command, "twice") == 0)
                (void) vb_domain1_reply_guest_agent_command(call, "first");
        return vb_domain1_reply_guest_agent_command(call, args->command);
}

/* Save: a job that advances whenever Reset is called, and ends at the fourth. */

static void end_save(Domain *domain, int r, const sd_bus_error *error) {
        g_autoptr(VbCall) call = g_steal_pointer(&domain->saving);
        VbJob *job = g_steal_pointer(&domain->job);

        set_running(domain, r < 0);
        vb_domain1_changed(&domain->object, VB_DOMAIN1_JOB);
        vb_job_end(job);
        if (r < 0)
                (void) vb_call_fail(call, r, error);
        else
                (void) vb_domain1_reply_save(call);
}

static int on_cancel(VbJob *job, void *userdata, sd_bus_error *reterr) {
        const sd_bus_error cancelled = SD_BUS_ERROR_MAKE_CONST(VB_ERROR_CANCELED, "the job was cancelled");

        end_save(userdata, -ECANCELED, &cancelled);
        return 0;
}

static int on_save(VbCall *call, VbObject *object, const VbDomain1SaveArgs *args, sd_bus_error *reterr) {
        Domain *domain = domain_of(object);
        int r;

        r = vb_job_new(&domain->job, domain->manager->daemon, "save", object, call, on_cancel, domain,
                       reterr);
        if (r < 0)
                return r;
        domain->saving = vb_call_ref(call);
        vb_domain1_changed(object, VB_DOMAIN1_JOB);
        return 0;
}

static int on_reset(VbCall *call, VbObject *object, const VbDomain1ResetArgs *args, sd_bus_error *reterr) {
        static unsigned n = 0;
        Domain *domain = domain_of(object);

        if (!domain->job)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_STATE, "no job");
        if (++n % 4 == 0)
                end_save(domain, 0, NULL);
        else
                vb_job_set_progress(domain->job, n, 4);
        return vb_domain1_reply_reset(call);
}

static void describe(VbObject *object, VbSubject *ret_subject) {
        Domain *domain = domain_of(object);

        *ret_subject = (VbSubject){ domain->name, domain->uuid, domain->owner };
}

static const VbDomain1Handlers domain_handlers = {
        .get_name = get_name,
        .get_uuid = get_uuid,
        .get_id = get_id,
        .get_state = get_state,
        .get_autostart = get_autostart,
        .get_owner = get_owner,
        .get_job = get_job,
        .set_autostart = set_autostart,
        .start = on_start,
        .destroy = on_destroy,
        .undefine = on_undefine,
        .rename = on_rename,
        .get_xml = on_get_xml,
        .set_metadata = on_set_metadata,
        .send_keys = on_send_keys,
        .guest_agent_command = on_agent_command,
        .save = on_save,
        .reset = on_reset,
};

static const VbObjectKind domain_kind = {
        .noun = "domain",
        .prefix = "domain",
        .interfaces = (const VbObjectInterface[]){ { &vb_domain1_interface, &domain_handlers }, {} },
        .describe = describe,
};

static void domain_free(void *data) {
        Domain *domain = data;

        vb_caller_watch_free(domain->bound);
        vb_job_end(domain->job);
        vb_call_unref(domain->saving);
        vb_idle_release(domain->hold);
        vb_object_unexport(&domain->object);
        g_free(domain->name);
        g_free(domain);
}

static int domain_new(Manager *manager, const char *name, uid_t owner, Domain **ret) {
        char id[VB_UUID_PATH_SIZE];
        VbUuid uuid = vb_uuid_new();
        Domain *domain = g_new0(Domain, 1);
        int r;

        domain->manager = manager;
        domain->name = g_strdup(name);
        domain->owner = owner;
        (void) vb_uuid_format(&uuid, domain->uuid);
        r = vb_object_export(&domain->object, vb_daemon_objects(manager->daemon), &domain_kind,
                             vb_uuid_path_format(&uuid, id));
        if (r < 0) {
                domain_free(domain);
                return r;
        }
        g_hash_table_insert(manager->by_name, domain->name, domain);
        *ret = domain;
        return 0;
}

/* Hypervisor1 */

static int on_define(VbCall *call, VbObject *object, const VbHypervisor1DefineArgs *args,
                     sd_bus_error *reterr) {
        Manager *manager = manager_of(call);
        Domain *domain = g_hash_table_lookup(manager->by_name, args->xml);
        int r;

        if (domain) {
                r = vb_call_require(call, &vb_action_domain_define, vb_object_describe(&domain->object),
                                    reterr);
                if (r <= 0)
                        return r;
        } else {
                r = domain_new(manager, args->xml,
                               args->options.has_owner ? args->options.owner : vb_call_uid(call), &domain);
                if (r < 0)
                        return r;
        }
        return vb_hypervisor1_reply_define(call, vb_object_path(&domain->object));
}

static void on_creator_gone(void *userdata) {
        Domain *domain = userdata;

        g_hash_table_remove(domain->manager->by_name, domain->name);
}

static int on_create(VbCall *call, VbObject *object, const VbHypervisor1CreateArgs *args,
                     sd_bus_error *reterr) {
        Domain *domain;
        int r;

        for (size_t i = 0; i < args->files.n; i++)
                if (dprintf(args->files.values[i].fd, "%s\n", args->files.values[i].name) < 0)
                        return -errno;
        r = domain_new(manager_of(call), args->xml, vb_call_uid(call), &domain);
        if (r < 0)
                return r;
        if (args->options.bind) {
                r = vb_caller_watch_new(&domain->bound, call, on_creator_gone, domain, reterr);
                if (r < 0)
                        return r;
        }
        set_running(domain, true);
        return vb_hypervisor1_reply_create(call, vb_object_path(&domain->object));
}

static int on_get_by_name(VbCall *call, VbObject *object, const VbHypervisor1GetDomainByNameArgs *args,
                          sd_bus_error *reterr) {
        Domain *domain = g_hash_table_lookup(manager_of(call)->by_name, args->name);

        if (!domain)
                return sd_bus_error_setf(reterr, VB_ERROR_NO_DOMAIN, "there is no domain '%s'", args->name);
        return vb_hypervisor1_reply_get_domain_by_name(call, vb_object_path(&domain->object));
}

static int on_list(VbCall *call, VbObject *object, const VbHypervisor1ListDomainsArgs *args,
                   sd_bus_error *reterr) {
        g_autoptr(GPtrArray) paths = g_ptr_array_new();
        GHashTableIter iterator;
        Domain *domain;

        g_hash_table_iter_init(&iterator, manager_of(call)->by_name);
        while (g_hash_table_iter_next(&iterator, NULL, (void **) &domain))
                if (!args->filters.has_active || args->filters.active == domain->running)
                        g_ptr_array_add(paths, (char *) vb_object_path(&domain->object));
        g_ptr_array_add(paths, NULL);
        return vb_hypervisor1_reply_list_domains(call, (const char *const *) paths->pdata);
}

/* Asks about each domain, but for the group "state" alone, of which it says so; or forgets to, for "vcpu". */
static int on_get_stats(VbCall *call, VbObject *object, const VbHypervisor1GetStatsArgs *args,
                        sd_bus_error *reterr) {
        VbObjects *objects = vb_daemon_objects(vb_call_daemon(call));
        g_autoptr(sd_bus_message) reply = NULL;
        int r;

        if (args->options.groups == VB_HYPERVISOR1_GET_STATS_GROUPS_STATE)
                vb_call_set_checked(call);
        else if (args->options.groups != VB_HYPERVISOR1_GET_STATS_GROUPS_VCPU)
                for (size_t i = 0; i < args->domains.n; i++) {
                        VbObject *asked = vb_objects_find(objects, &domain_kind, args->domains.values[i]);

                        if (!asked)
                                return sd_bus_error_setf(reterr, VB_ERROR_NO_DOMAIN, "%s is no domain",
                                                         args->domains.values[i]);
                        r = vb_call_require(call, &vb_action_domain_read, vb_object_describe(asked), reterr);
                        if (r <= 0)
                                return r;
                }

        r = vb_call_new_reply(call, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(oa{sv})");
        for (size_t i = 0; r >= 0 && i < args->domains.n; i++)
                r = sd_bus_message_append(reply, "(oa{sv})", args->domains.values[i], 1, "groups", "u",
                                          args->options.groups);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : vb_call_send_reply(call, reply);
}

static const VbHypervisor1Handlers hypervisor_handlers = {
        .define = on_define,
        .create = on_create,
        .get_domain_by_name = on_get_by_name,
        .list_domains = on_list,
        .get_stats = on_get_stats,
};

/* The daemon */

static int restore(Manager *manager, VbRestart *restart, sd_bus_error *reterr) {
        VbJson *domains, *object;
        int r;

        r = vb_restart_get_array(vb_restart_root(restart), "domains", 1000, &domains, reterr);
        for (size_t i = 0; r >= 0 && i < json_object_array_length(domains); i++) {
                Domain *domain;
                const char *name;
                uint64_t owner;
                bool running;

                r = vb_restart_get_entry(domains, "domains", i, &object, reterr);
                if (r >= 0)
                        r = vb_restart_get_string(object, "name", 255, &name, reterr);
                if (r >= 0)
                        r = vb_restart_get_number(object, "owner", UINT32_MAX, &owner, reterr);
                if (r >= 0)
                        r = vb_restart_get_bool(object, "running", &running, reterr);
                if (r >= 0)
                        r = domain_new(manager, name, (uid_t) owner, &domain);
                if (r >= 0)
                        set_running(domain, running);
        }
        return r;
}

static int start(VbDaemon *daemon, sd_bus_error *reterr) {
        Manager *manager = g_new0(Manager, 1);
        const char *n = g_getenv("TEST_DOMAINS");
        int r;

        manager->daemon = daemon;
        manager->by_name =
                g_hash_table_new_full(g_str_hash, g_str_equal, /* key_destroy_func= */ NULL, domain_free);
        vb_daemon_set_userdata(daemon, manager);

        if (vb_daemon_restart(daemon))
                return restore(manager, vb_daemon_restart(daemon), reterr);
        for (int i = 0; n && i < atoi(n); i++) {
                g_autofree char *name = g_strdup_printf("domain-%d", i);
                Domain *domain;

                r = domain_new(manager, name, /* owner= */ 0, &domain);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int save(VbDaemon *daemon, VbRestart *restart, sd_bus_error *reterr) {
        VbJson *domains = json_object_new_array();
        Manager *manager = vb_daemon_userdata(daemon);
        GHashTableIter iterator;
        Domain *domain;

        (void) json_object_object_add(vb_restart_root(restart), "domains", domains);
        g_hash_table_iter_init(&iterator, manager->by_name);
        while (g_hash_table_iter_next(&iterator, NULL, (void **) &domain)) {
                VbJson *object = json_object_new_object();

                (void) json_object_array_add(domains, object);
                vb_restart_put_string(object, "name", domain->name);
                vb_restart_put_number(object, "owner", domain->owner);
                vb_restart_put_bool(object, "running", domain->running);
        }
        return 0;
}

static int reload(VbDaemon *daemon, sd_bus_error *reterr) {
        return sd_bus_error_setf(reterr, VB_ERROR_OPERATION_FAILED, "there is nothing to reload");
}

static void stop(VbDaemon *daemon) {
        Manager *manager = vb_daemon_userdata(daemon);

        g_hash_table_unref(manager->by_name);
        g_free(manager);
}

static const VbDaemonInfo info = {
        .program = "test-daemon",
        .driver = "test",
        .bus_name = "org.virtbus.Test1",
        .description = "Has domains that are only names",
        .root_interfaces =
                (const VbObjectInterface[]){ { &vb_hypervisor1_interface, &hypervisor_handlers }, {} },
        .start = start,
        .reload = reload,
        .save = save,
        .stop = stop,
};

int main(int argc, char **argv) {
        return vb_daemon_run(&info, argc, argv);
}
