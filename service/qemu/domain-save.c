/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Domain1.Save, ManagedSave, RemoveManagedSave, CoreDump: calls become jobs. */

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/file.h"
#include "hypervisor/define.h"
#include "hypervisor/hypervisor.h"
#include "hypervisor/restore.h"
#include "hypervisor/saved-state.h"
#include "qemu/handlers.h"
#include "qemu/save-private.h"

#define SECONDS(n) (UINT64_C(n) * 1000000)

static int write_header(int fd, const char *xml, bool resume_running, bool bypass_cache, int *moves, sd_bus_error *reterr) {
        return vb_saved_state_begin(fd, xml, resume_running, reterr);
}

static int finish_file(int fd, const char *xml, bool resume_running, bool bypass_cache, int *moves, sd_bus_error *reterr) {
        return vb_saved_state_finish(fd, bypass_cache, moves, reterr);
}

static int sync_file(int fd, const char *xml, bool resume_running, bool bypass_cache, int *moves, sd_bus_error *reterr) {
        /* A pipe has nothing to sync. */
        if (fsync(fd) < 0 && errno != EINVAL && errno != EROFS)
                return sd_bus_error_setf(reterr, VB_ERROR_STORAGE_FAILED, "cannot sync the dump: %s", g_strerror(errno));
        return 0;
}

static int step_header(VbOperation *operation, void *userdata, sd_bus_error *reterr) {
        return qemu_save_run(userdata, write_header, reterr);
}

static int step_finish(VbOperation *operation, void *userdata, sd_bus_error *reterr) {
        QemuSave *save = userdata;

        vb_job_set_cancelable(save->job, false);
        return qemu_save_run(save, finish_file, reterr);
}

static int step_sync(VbOperation *operation, void *userdata, sd_bus_error *reterr) {
        return qemu_save_run(userdata, sync_file, reterr);
}

static void on_kept(int r, void *userdata) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        QemuSave *save = userdata;

        if (r < 0)
                r = sd_bus_error_setf(&error, VB_ERROR_STORAGE_FAILED, "the managed save cannot be put into place: %s",
                                      g_strerror(-r));
        vb_operation_step_done(save->operation, r, r < 0 ? &error : NULL);
}

static int step_keep(VbOperation *operation, void *userdata, sd_bus_error *reterr) {
        QemuSave *save = userdata;

        save->keeping = true;
        vb_writer_rename(save->qemu->driver->hypervisor->writer, save->new_path, save->path, on_kept, save);
        return VB_STEP_PENDING;
}

/* The memory takes as long as it takes; the job tells how far it is, and can be cancelled. */
static const VbStep save_steps[] = {
        { "pause the guest", qemu_save_pause, qemu_save_pause_undo, SECONDS(40) },
        { "write the header", step_header, NULL, 0 },
        { "write the memory", qemu_save_write_memory, qemu_save_write_memory_undo, 0 },
        { "sync", step_finish, NULL, 0 },
        { "keep", step_keep, NULL, 0 },
};
enum { SAVE_STEPS_TO_CALLER = G_N_ELEMENTS(save_steps) - 1 };

static const VbStep dump_steps[] = {
        { "pause the guest", qemu_save_pause, qemu_save_pause_undo, SECONDS(40) },
        { "write the memory", qemu_save_write_memory, qemu_save_write_memory_undo, 0 },
        { "sync", step_sync, NULL, 0 },
        { "let the guest go on", qemu_save_continue, NULL, SECONDS(40) },
};

/* The call is the done function's from here on, if all is well. */
static int begun(VbCall *call, int r) {
        if (r < 0)
                vb_call_unref(call);
        return r < 0 ? r : 0;
}

static int check_writable(int fd, bool must_be_regular, sd_bus_error *reterr) {
        int flags = fcntl(fd, F_GETFL);
        struct stat st;

        if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY || flags & (O_APPEND | O_PATH))
                return sd_bus_error_set(reterr, VB_ERROR_INVALID_ARGUMENT,
                                        "the file is not open for writing (and not only for appending)");
        if (must_be_regular && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)))
                return sd_bus_error_set(reterr, VB_ERROR_INVALID_ARGUMENT, "the file to save to is not a regular file");
        return 0;
}

/* What the file will say. With what the daemon itself needs to know of the domain only where nobody else writes the file. */
static int choose_xml(VbDomain *domain, const char *given, bool private, char **ret, sd_bus_error *reterr) {
        g_autoptr(VbDomainDefinition) wanted = NULL;
        int r;

        if (given) {
                r = vb_domain_definition_parse(&wanted, given, strlen(given), 0, reterr);
                if (r < 0)
                        return r;
                r = vb_domain_definition_check_same_guest(domain->live, wanted, reterr);
                if (r < 0)
                        return r;
        }
        *ret = vb_domain_definition_format(wanted ?: domain->live,
                                           VB_DOMAIN_FORMAT_SECURE | VB_DOMAIN_FORMAT_INACTIVE |
                                                   (private ? VB_DOMAIN_FORMAT_PRIVATE : 0));
        return 0;
}

int qemu_on_save(VbCall *call, VbObject *object, const VbDomain1SaveArgs *args, sd_bus_error *reterr) {
        VbDomain *domain = vb_domain_of(object);
        g_autoptr(QemuSave) save = NULL;
        int r;

        r = check_writable(args->file, /* must_be_regular= */ true, reterr);
        if (r >= 0)
                r = vb_domain_check_active(domain, reterr);
        if (r < 0)
                return r;

        save = qemu_save_new(qemu_domain_of(domain), args->file);
        save->then = QEMU_SAVE_THEN_END;
        save->paused_reason = VB_REASON_SAVE;
        save->bypass_cache = args->options.bypass_cache;
        save->resume_running = args->options.has_paused ? !args->options.paused : domain->state == VB_DOMAIN_RUNNING;
        r = choose_xml(domain, args->options.has_xml ? args->options.xml : NULL, /* private= */ false, &save->xml, reterr);
        if (r < 0)
                return r;

        return begun(call, qemu_save_begin(g_steal_pointer(&save), "save", call, save_steps, SAVE_STEPS_TO_CALLER, vb_call_reply_done,
                                           vb_call_ref(call), reterr));
}

static int open_managed_save(QemuSave *save, sd_bus_error *reterr) {
        g_autofree char *folder = NULL;
        int r;

        save->path = vb_domain_managed_save_path(save->qemu->domain);
        save->new_path = g_strconcat(save->path, ".new", NULL);
        folder = g_path_get_dirname(save->path);
        r = vb_mkdir(folder, 0700);
        if (r >= 0) {
                save->fd = open(save->new_path, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC, 0600);
                r = save->fd < 0 ? -errno : 0;
        }
        if (r < 0)
                return sd_bus_error_setf(reterr, VB_ERROR_STORAGE_FAILED, "domain '%s': cannot make %s: %s",
                                         save->qemu->domain->name, save->new_path, g_strerror(-r));
        return 0;
}

int qemu_managed_save(VbDomain *domain, const VbSaveOptions *options, VbCall *call, VbDone done, void *userdata,
                      sd_bus_error *reterr) {
        g_autoptr(QemuSave) save = NULL;
        int r;

        r = vb_domain_check_active(domain, reterr);
        if (r < 0)
                return r;
        if (!domain->config)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_STATE,
                                         "domain '%s' is transient: there would be nothing to start again; use Save",
                                         domain->name);
        /* Before the new file is made: it may be the one that is being written. */
        if (domain->operation)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_STATE, "domain '%s': %s is under way", domain->name,
                                         domain->operation);

        save = qemu_save_new(qemu_domain_of(domain), -1);
        save->then = QEMU_SAVE_THEN_END;
        save->paused_reason = VB_REASON_SAVE;
        save->bypass_cache = options->bypass_cache;
        save->resume_running = options->resume_running;
        r = choose_xml(domain, NULL, /* private= */ true, &save->xml, reterr);
        if (r >= 0)
                r = open_managed_save(save, reterr);
        if (r < 0)
                return r;
        return qemu_save_begin(g_steal_pointer(&save), "managed save", call, save_steps, G_N_ELEMENTS(save_steps), done, userdata,
                               reterr);
}

int qemu_on_managed_save(VbCall *call, VbObject *object, const VbDomain1ManagedSaveArgs *args, sd_bus_error *reterr) {
        VbDomain *domain = vb_domain_of(object);
        const VbSaveOptions options = {
                .bypass_cache = args->options.bypass_cache,
                .resume_running = args->options.running || (!args->options.paused && domain->state == VB_DOMAIN_RUNNING),
        };

        if (args->options.running && args->options.paused)
                return sd_bus_error_set(reterr, VB_ERROR_INVALID_ARGUMENT,
                                        "the options 'running' and 'paused' contradict each other");
        return begun(call, qemu_managed_save(domain, &options, call, vb_call_reply_done, vb_call_ref(call), reterr));
}

typedef struct Removal {
        VbHypervisor *hypervisor;
        VbUuid uuid;
} Removal;

static void on_removed(int r, void *userdata) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        g_autofree Removal *removal = userdata;
        VbDomain *domain = vb_registry_find(removal->hypervisor->registry, &removal->uuid);

        if (!domain)
                return;
        if (r < 0)
                r = sd_bus_error_setf(&error, VB_ERROR_STORAGE_FAILED, "domain '%s': the managed save cannot be removed: %s",
                                      domain->name, g_strerror(-r));
        else
                vb_domain_set_managed_save(domain, false);
        vb_domain_finish(domain, r, r < 0 ? &error : NULL);
}

int qemu_on_remove_managed_save(VbCall *call, VbObject *object, const VbDomain1RemoveManagedSaveArgs *args,
                                sd_bus_error *reterr) {
        VbDomain *domain = vb_domain_of(object);
        g_autofree char *path = vb_domain_managed_save_path(domain);
        Removal *removal;
        int r;

        if (!domain->has_managed_save)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_STATE, "domain '%s' has no managed save", domain->name);
        r = vb_domain_begin(domain, "remove managed save", vb_call_reply_done, call, reterr);
        if (r < 0)
                return r;
        (void) vb_call_ref(call);

        removal = g_new(Removal, 1);
        *removal = (Removal){ domain->hypervisor, domain->uuid };
        vb_writer_unlink(domain->hypervisor->writer, path, on_removed, removal);
        return 0;
}

static const char *const dump_formats[] = {
        [VB_DOMAIN1_CORE_DUMP_FORMAT_RAW] = NULL,
        [VB_DOMAIN1_CORE_DUMP_FORMAT_ELF] = "elf",
        [VB_DOMAIN1_CORE_DUMP_FORMAT_KDUMP_ZLIB] = "kdump-zlib",
        [VB_DOMAIN1_CORE_DUMP_FORMAT_KDUMP_LZO] = "kdump-lzo",
        [VB_DOMAIN1_CORE_DUMP_FORMAT_KDUMP_SNAPPY] = "kdump-snappy",
};

int qemu_on_core_dump(VbCall *call, VbObject *object, const VbDomain1CoreDumpArgs *args, sd_bus_error *reterr) {
        VbDomain *domain = vb_domain_of(object);
        g_autoptr(QemuSave) save = NULL;
        int r;

        if (args->options.live + args->options.crash + args->options.reset > 1)
                return sd_bus_error_set(reterr, VB_ERROR_INVALID_ARGUMENT,
                                        "the options 'live', 'crash' and 'reset' exclude one another");
        r = check_writable(args->file, /* must_be_regular= */ false, reterr);
        if (r >= 0)
                r = vb_domain_check_active(domain, reterr);
        if (r < 0)
                return r;

        save = qemu_save_new(qemu_domain_of(domain), args->file);
        save->then = args->options.crash ? QEMU_SAVE_THEN_CRASH
                     : args->options.reset ? QEMU_SAVE_THEN_RESET
                                           : QEMU_SAVE_THEN_CONTINUE;
        save->paused_reason = VB_REASON_DUMP;
        save->live = args->options.live;
        save->bypass_cache = args->options.bypass_cache;
        save->format = dump_formats[args->options.format];
        if (!save->format && args->options.memory_only)
                save->format = "elf";

        return begun(call, qemu_save_begin(g_steal_pointer(&save), "dump", call, dump_steps, G_N_ELEMENTS(dump_steps),
                                           vb_call_reply_done, vb_call_ref(call), reterr));
}
