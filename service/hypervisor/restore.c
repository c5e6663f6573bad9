/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypervisor/restore.h"

#include <fcntl.h>
#include <string.h>

#include "base/error.h"
#include "base/worker.h"
#include "hypervisor/define.h"
#include "hypervisor/handlers.h"
#include "hypervisor/hypervisor.h"
#include "hypervisor/rights.h"
#include "hypervisor/saved-state.h"
#include "interfaces/actions.h"

/* Reading the file's header: in a thread, as it may lie anywhere. What the thread uses is its own. */
typedef struct Reading {
        char *path; /* opened here, or */
        int fd;
        VbSavedState *state;
} Reading;

static int read_in_thread(void *data, sd_bus_error *reterr) {
        Reading *reading = data;

        if (reading->path) {
                reading->fd = open(reading->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);
                if (reading->fd < 0)
                        return sd_bus_error_setf(reterr, VB_ERROR_STORAGE_FAILED, "cannot open %s: %s", reading->path,
                                                 g_strerror(errno));
        }
        return vb_saved_state_read(reading->fd, &reading->state, reterr);
}

static void reading_free(gpointer data) {
        Reading *reading = data;

        reading->fd = vb_close(reading->fd);
        reading->state = vb_saved_state_free(reading->state);
        g_free(reading->path);
        g_free(reading);
}

/* fd is duplicated. */
static Reading *reading_new(const char *path, int fd) {
        Reading *reading = g_new0(Reading, 1);

        reading->path = g_strdup(path);
        reading->fd = fd < 0 ? -EBADF : fcntl(fd, F_DUPFD_CLOEXEC, 3);
        return reading;
}

/* A managed save */

typedef struct Boot {
        VbHypervisor *hypervisor;
        VbUuid uuid; /* the domain may go meanwhile */
        VbStartOptions options;
        VbWorker *worker;
        VbDone done;
        void *userdata;
} Boot;

static Boot *boot_free(Boot *boot) {
        if (!boot)
                return NULL;
        boot->worker = vb_worker_free(boot->worker);
        g_free(boot);
        return NULL;
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Boot, boot_free)

static Boot *boot_new(VbDomain *domain, const VbStartOptions *options, VbDone done, void *userdata) {
        Boot *boot = g_new0(Boot, 1);

        *boot = (Boot){
                .hypervisor = domain->hypervisor,
                .uuid = domain->uuid,
                .options = *options,
                .done = done,
                .userdata = userdata,
        };
        return boot;
}

/* What was begun with vb_domain_begin(), so that nobody else starts it meanwhile, goes on with vb_domain_start(). */
static int find_domain(const Boot *boot, VbDomain **ret, sd_bus_error *reterr) {
        VbDomain *domain = vb_registry_find(boot->hypervisor->registry, &boot->uuid);

        if (domain)
                vb_domain_abandon(domain);
        if (domain && domain->config) {
                *ret = domain;
                return 0;
        }
        if (domain)
                vb_domain_settle(domain);
        return sd_bus_error_set(reterr, VB_ERROR_NO_DOMAIN, "the domain was undefined while it was to be started");
}

static int start_saved(VbDomain *domain, Boot *boot, Reading *reading, sd_bus_error *reterr) {
        g_autoptr(VbDomainDefinition) definition = NULL;
        g_autofree char *path = NULL;
        int r;

        r = vb_domain_definition_parse(&definition, reading->state->xml, strlen(reading->state->xml), VB_DOMAIN_PARSE_PRIVATE,
                                       reterr);
        if (r < 0)
                return vb_error_prefix(reterr, "domain '%s': its managed save", domain->name);

        path = vb_domain_managed_save_path(domain);
        boot->options.restore = true;
        boot->options.state_fd = reading->fd;
        boot->options.state_path = path;
        boot->options.paused_by_state = !boot->options.paused && !reading->state->running;
        boot->options.paused = boot->options.paused || boot->options.paused_by_state;
        return vb_domain_start(domain, g_steal_pointer(&definition), &boot->options, boot->done, boot->userdata, reterr);
}

static void on_managed_read(VbWorker *worker, int r, const sd_bus_error *error, void *data, void *userdata) {
        g_auto(sd_bus_error) own = SD_BUS_ERROR_NULL;
        g_autoptr(Boot) boot = userdata;
        VbDomain *domain;
        int q = find_domain(boot, &domain, &own);

        if (r >= 0) {
                r = q < 0 ? q : start_saved(domain, boot, data, &own);
                error = &own;
        }
        if (r < 0)
                boot->done(r, error, boot->userdata);
}

static int boot_saved(VbDomain *domain, const VbStartOptions *options, VbDone done, void *userdata, sd_bus_error *reterr) {
        g_autoptr(Boot) boot = boot_new(domain, options, done, userdata);
        g_autofree char *path = vb_domain_managed_save_path(domain);
        Reading *reading = reading_new(path, -1);
        int r;

        r = vb_worker_start(&boot->worker, vb_daemon_event(domain->hypervisor->daemon), read_in_thread, reading, reading_free,
                            on_managed_read, boot, reterr);
        if (r < 0) {
                reading_free(reading);
                vb_domain_abandon(domain);
                return r;
        }
        (void) g_steal_pointer(&boot);
        return 0;
}

static void on_save_removed(int r, void *userdata) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        g_autoptr(Boot) boot = userdata;
        VbDomain *domain;
        int q = find_domain(boot, &domain, &error);

        if (r < 0) {
                sd_bus_error_free(&error);
                r = sd_bus_error_setf(&error, VB_ERROR_STORAGE_FAILED, "the managed save cannot be removed: %s", g_strerror(-r));
        } else
                r = q;
        if (r >= 0) {
                vb_domain_set_managed_save(domain, false);
                r = vb_domain_start(domain, NULL, &boot->options, boot->done, boot->userdata, &error);
        }
        if (r < 0)
                boot->done(r, &error, boot->userdata);
}

int vb_domain_boot(VbDomain *domain, const VbStartOptions *options, VbDone done, void *userdata, sd_bus_error *reterr) {
        g_autofree char *path = NULL;
        int r;

        if (!domain->has_managed_save)
                return vb_domain_start(domain, NULL, options, done, userdata, reterr);

        r = vb_domain_check_off(domain, reterr);
        if (r >= 0)
                r = vb_domain_begin(domain, "start", /* done= */ NULL, /* userdata= */ NULL, reterr);
        if (r < 0)
                return r;
        if (!options->force_boot)
                return boot_saved(domain, options, done, userdata, reterr);

        path = vb_domain_managed_save_path(domain);
        vb_writer_unlink(domain->hypervisor->writer, path, on_save_removed, boot_new(domain, options, done, userdata));
        return 0;
}

/* Hypervisor1.Restore and GetSavedXML */

typedef struct Restore {
        VbCall *call;
        VbHypervisor *hypervisor;
        const VbHypervisor1RestoreArgs *args; /* NULL: only the XML is wanted */
        bool secure; /* … with its secrets */
        VbWorker *worker;
        char *path; /* of the domain's object, for the reply */
} Restore;

static Restore *restore_free(Restore *restore) {
        if (!restore)
                return NULL;
        restore->worker = vb_worker_free(restore->worker);
        (void) vb_call_unref(restore->call);
        g_free(restore->path);
        g_free(restore);
        return NULL;
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Restore, restore_free)

static int read_definition(const Restore *restore, const Reading *reading, VbDomainDefinition **ret, sd_bus_error *reterr) {
        g_autoptr(VbDomainDefinition) saved = NULL, wanted = NULL;
        const char *xml = restore->args && restore->args->options.has_xml ? restore->args->options.xml : NULL;
        int r;

        /* What the file says of an owner is the word of whoever wrote the file. */
        r = vb_domain_definition_parse(&saved, reading->state->xml, strlen(reading->state->xml), 0, reterr);
        if (r < 0)
                return vb_error_prefix(reterr, "saved guest");
        if (xml) {
                r = vb_domain_definition_parse(&wanted, xml, strlen(xml), 0, reterr);
                if (r < 0)
                        return r;
                r = vb_domain_definition_check_same_guest(saved, wanted, reterr);
                if (r < 0)
                        return r;
        }
        *ret = wanted ? g_steal_pointer(&wanted) : g_steal_pointer(&saved);
        return 0;
}

static void on_restored(int r, const sd_bus_error *error, void *userdata) {
        g_autoptr(Restore) restore = userdata;

        if (r < 0)
                (void) vb_call_fail(restore->call, r, error);
        else
                (void) vb_hypervisor1_reply_restore(restore->call, restore->path);
}

static char *path_of(const VbHypervisor *hypervisor, const VbUuid *uuid) {
        char label[VB_UUID_PATH_SIZE];

        return g_strdup_printf("%s/domain/%s", vb_objects_root(vb_daemon_objects(hypervisor->daemon)),
                               vb_uuid_path_format(uuid, label));
}

/* 1: on_restored() has the restore from now on. 0: the handler will run again. */
static int restore_start(Restore *restore, const Reading *reading, sd_bus_error *reterr) {
        static const VbAction *const actions[] = { &vb_action_domain_define, &vb_action_domain_control, NULL };
        g_autoptr(VbDomainDefinition) definition = NULL;
        VbStartOptions options = { .restore = true, .state_fd = reading->fd, .call = restore->call };
        VbDomain *domain;
        uid_t owner;
        int r;

        r = read_definition(restore, reading, &definition, reterr);
        if (r < 0)
                return r;
        r = vb_require_definition(restore->call, restore->hypervisor, definition, actions, &domain, &owner, reterr);
        if (r <= 0)
                return r;
        if (domain) {
                r = vb_domain_check_off(domain, reterr);
                if (r < 0)
                        return r;
        }
        options.paused = options.paused_by_state = restore->args->options.has_paused ? restore->args->options.paused : !reading->state->running;

        r = vb_hypervisor_prepare_transient(restore->hypervisor, definition, owner, &domain, reterr);
        if (r < 0)
                return r;
        restore->path = path_of(restore->hypervisor, &domain->uuid);
        r = vb_domain_start(domain, g_steal_pointer(&definition), &options, on_restored, restore, reterr);
        if (r < 0)
                return r;

        /* From here on the answer is on_restored()'s. */
        if (!vb_object_is_exported(&domain->object)) {
                r = vb_hypervisor_export_domain(restore->hypervisor, domain);
                if (r < 0)
                        (void) vb_log_warning_errno(r, "domain '%s': cannot be shown on the bus: %m", domain->name);
        }
        return 1;
}

static int reply_xml(Restore *restore, const Reading *reading, sd_bus_error *reterr) {
        g_autoptr(VbDomainDefinition) definition = NULL;
        g_autofree char *xml = NULL;
        int r;

        r = read_definition(restore, reading, &definition, reterr);
        if (r < 0)
                return r;
        xml = vb_domain_definition_format(definition,
                                          VB_DOMAIN_FORMAT_INACTIVE | (restore->secure ? VB_DOMAIN_FORMAT_SECURE : 0));
        return vb_hypervisor1_reply_get_saved_xml(restore->call, xml);
}

static void on_read(VbWorker *worker, int r, const sd_bus_error *error, void *data, void *userdata) {
        g_auto(sd_bus_error) own = SD_BUS_ERROR_NULL;
        g_autoptr(Restore) restore = userdata;

        if (r >= 0) {
                error = &own;
                r = restore->args ? restore_start(restore, data, &own) : reply_xml(restore, data, &own);
                if (r > 0 && restore->args) {
                        /* The worker, in whose callback this is, goes with the restore; it has done its work. */
                        (void) g_steal_pointer(&restore);
                        return;
                }
        }
        if (r < 0)
                (void) vb_call_fail(restore->call, r, error);
}

static int restore_begin(VbCall *call, VbObject *root, const VbHypervisor1RestoreArgs *args, bool secure, int file,
                         sd_bus_error *reterr) {
        g_autoptr(Restore) restore = g_new0(Restore, 1);
        Reading *reading;
        int r;

        *restore = (Restore){ .call = vb_call_ref(call), .hypervisor = vb_hypervisor_of(root), .args = args, .secure = secure };
        reading = reading_new(NULL, file);
        r = vb_worker_start(&restore->worker, vb_daemon_event(restore->hypervisor->daemon), read_in_thread, reading,
                            reading_free, on_read, restore, reterr);
        if (r < 0) {
                reading_free(reading);
                return r;
        }
        (void) g_steal_pointer(&restore);
        return 0;
}

int vb_hypervisor_on_restore(VbCall *call, VbObject *root, const VbHypervisor1RestoreArgs *args, sd_bus_error *reterr) {
        return restore_begin(call, root, args, /* secure= */ false, args->file, reterr);
}

int vb_hypervisor_on_get_saved_xml(VbCall *call, VbObject *root, const VbHypervisor1GetSavedXmlArgs *args,
                                   sd_bus_error *reterr) {
        return restore_begin(call, root, NULL, args->options.secure, args->file, reterr);
}
