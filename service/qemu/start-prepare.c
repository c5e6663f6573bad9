/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The steps of a start before there is a process: who runs the guest, where, with what. */

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/worker.h"
#include "qemu/complete.h"
#include "qemu/guest-user.h"
#include "qemu/live.h"
#include "qemu/logs.h"
#include "qemu/nvram.h"
#include "qemu/sockets.h"
#include "qemu/start-private.h"

/* --- prepare: the run folder, and the user ---------------------------------------------------------------------- */

static int make_run_dir(QemuStart *start, sd_bus_error *reterr) {
        QemuDomain *qemu = start->qemu;
        int r;

        qemu->run_dir = qemu_domain_run_dir(qemu->domain);
        r = vb_remove_tree(AT_FDCWD, qemu->run_dir);
        if (r >= 0)
                r = vb_mkdir(qemu->run_dir, 0700);
        if (r < 0)
                return sd_bus_error_setf(reterr, VB_ERROR_STORAGE_FAILED, "domain '%s': cannot make folder '%s': %s",
                                         qemu->domain->name, qemu->run_dir, g_strerror(-r));
        return 0;
}

static void on_looked_up(VbWorker *worker, int r, const sd_bus_error *error, void *data, void *userdata) {
        QemuStart *start = userdata;

        start->gid = qemu_guest_user_group(data);
        start->worker = vb_worker_free(start->worker);
        vb_operation_step_done(start->operation, r, error);
}

static int find_user(QemuStart *start, sd_bus_error *reterr) {
        const QemuDriver *driver = start->qemu->driver;
        int r;

        r = qemu_guest_user_find(driver, start->qemu->domain->owner, &start->uid, &start->gid, reterr);
        if (r != 0)
                return r < 0 ? r : VB_STEP_DONE;
        r = qemu_guest_user_ask_group(&start->worker, driver, start->uid, on_looked_up, start, reterr);
        return r < 0 ? r : VB_STEP_PENDING;
}

int qemu_start_prepare(VbOperation *operation, void *userdata, sd_bus_error *reterr) {
        QemuStart *start = userdata;
        int r;

        r = make_run_dir(start, reterr);
        if (r >= 0)
                r = find_user(start, reterr);
        if (r < 0)
                (void) qemu_start_prepare_undo(operation, userdata);
        return r;
}

int qemu_start_prepare_undo(VbOperation *operation, void *userdata) {
        QemuStart *start = userdata;

        return vb_remove_tree(AT_FDCWD, start->qemu->run_dir);
}

/* --- capabilities: what the emulator can do, and what follows for the definition ---------------------------------- */

static int choose_firmware(QemuStart *start, sd_bus_error *reterr) {
        g_autofree char *folder = qemu_nvram_folder(start->qemu->driver, start->uid);
        VbDomainDefinition *live = qemu_start_live(start);
        int r;

        if (live->os.firmware == VB_FIRMWARE_ABSENT && !live->os.loader)
                return 0;
        r = qemu_nvram_make_folder(folder, start->uid, start->gid);
        if (r < 0)
                return sd_bus_error_setf(reterr, VB_ERROR_STORAGE_FAILED, "domain '%s': cannot make folder '%s': %s",
                                         start->qemu->domain->name, folder, g_strerror(-r));
        return qemu_command_choose_firmware(live, folder, reterr);
}

static int settle_definition(QemuStart *start, sd_bus_error *reterr) {
        QemuDomain *qemu = start->qemu;
        VbDomainDefinition *live = qemu_start_live(start);
        int r;

        /* Complete it was when it was defined; a file that was edited by hand may not be. */
        r = qemu_complete_with(qemu->driver, live, qemu->capabilities, reterr);
        if (r < 0)
                return r;
        vb_domain_definition_assign_aliases(live);
        qemu_live_forget(live, qemu->driver->hypervisor->run_dir);
        if (qemu->driver->settings.log_consoles && qemu_driver_has_logd(qemu->driver))
                qemu_live_log_consoles(live, qemu->driver->log_dir);
        r = qemu_live_choose_ports(live, reterr);
        if (r < 0)
                return r;
        return choose_firmware(start, reterr);
}

static void on_capabilities(QemuCapabilities *capabilities, const sd_bus_error *error, void *userdata) {
        g_auto(sd_bus_error) own = SD_BUS_ERROR_NULL;
        QemuStart *start = userdata;
        int r;

        if (capabilities) {
                start->qemu->capabilities = qemu_capabilities_ref(capabilities);
                error = &own;
                r = settle_definition(start, &own);
        } else
                r = -sd_bus_error_get_errno(error);
        vb_operation_step_done(start->operation, r, error);
}

int qemu_start_capabilities(VbOperation *operation, void *userdata, sd_bus_error *reterr) {
        QemuStart *start = userdata;
        QemuDomain *qemu = start->qemu;
        VbDomainDefinition *live = qemu_start_live(start);
        QemuCapabilities *known;
        int r;

        /* The administrator may have come to other conclusions since it was defined. */
        r = qemu_capabilities_check_emulator(qemu->driver->capabilities, live->emulator, reterr);
        if (r < 0)
                return r;
        known = qemu_capabilities_find(qemu->driver->capabilities, live->emulator);
        if (known) {
                qemu->capabilities = qemu_capabilities_ref(known);
                return settle_definition(start, reterr);
        }
        r = qemu_capabilities_get(qemu->driver->capabilities, live->emulator, on_capabilities, start,
                                  &start->capabilities_request, reterr);
        return r < 0 ? r : VB_STEP_PENDING;
}

/* --- open: files with the owner's rights, sockets with the daemon's ------------------------------------------------ */

/* "fd:NAME" stands for a descriptor that the caller passed. */
static int use_callers_file(const QemuStart *start, VbOpenFile *file, sd_bus_error *reterr) {
        const char *name;

        if (!g_str_has_prefix(file->path, "fd:"))
                return 0;
        name = file->path + strlen("fd:");
        for (size_t i = 0; i < start->options.files.n; i++)
                if (g_str_equal(start->options.files.values[i].name, name)) {
                        file->fd = start->options.files.values[i].fd;
                        return 0;
                }
        return sd_bus_error_setf(reterr, VB_ERROR_NO_FILE, "%s: no file '%s' was passed with the definition", file->id, name);
}

static void tell_dropped_media(const QemuStart *start) {
        const VbDomainDefinition *live = qemu_start_live(start);

        for (size_t i = 0; i < live->disks.n; i++)
                if (qemu_resources_lacks_medium(start->resources, live->disks.items[i]))
                        vb_domain1_emit_medium_dropped(&start->qemu->domain->object, live->disks.items[i]->info.alias);
}

static void on_opened(VbOpenRequest *request, int r, VbOpenResult *result, const sd_bus_error *error, void *userdata) {
        g_auto(sd_bus_error) own = SD_BUS_ERROR_NULL;
        QemuStart *start = userdata;

        if (r >= 0) {
                start->resources->opened = result;
                error = &own;
                r = qemu_resources_describe(start->resources, qemu_start_live(start), &own);
                tell_dropped_media(start);
        }
        vb_operation_step_done(start->operation, r, error);
}

static int request_files(QemuStart *start, sd_bus_error *reterr) {
        QemuResources *resources = start->resources;
        int r;

        r = vb_open_request_new(&start->open_request, qemu_driver_event(start->qemu->driver), start->uid, start->gid);
        if (r < 0)
                return r;
        for (size_t i = 0; i < resources->n_files; i++) {
                r = use_callers_file(start, &resources->files[i], reterr);
                if (r < 0)
                        return r;
                r = vb_open_request_add(start->open_request, &resources->files[i], reterr);
                if (r < 0)
                        return r;
        }
        r = vb_open_request_send(start->open_request, on_opened, start, /* timeout_usec= */ 0, reterr);
        return r < 0 ? r : VB_STEP_PENDING;
}

int qemu_start_open(VbOperation *operation, void *userdata, sd_bus_error *reterr) {
        QemuStart *start = userdata;
        QemuDomain *qemu = start->qemu;
        int r;

        r = qemu_resources_new(&start->resources, qemu_start_live(start), qemu->capabilities, qemu->run_dir,
                               qemu_driver_has_logd(qemu->driver) ? qemu->driver->log_dir : NULL, reterr);
        if (r < 0)
                return r;
        r = qemu_logs_begin(start, reterr);
        if (r < 0)
                return r;
        r = qemu_sockets_open(start->resources, qemu->domain->name, reterr);
        if (r < 0)
                return r;
        if (start->resources->n_files == 0)
                return VB_STEP_DONE;
        return request_files(start, reterr);
}

/* --- command: the command line ------------------------------------------------------------------------------------ */

static int build_command(QemuStart *start, sd_bus_error *reterr) {
        const QemuCommandOptions options = { .incoming = start->options.restore };

        return qemu_command_build(&start->command, qemu_start_live(start), start->qemu->capabilities, start->resources,
                                  &options, reterr);
}

/* Copying the firmware's variables may take as long as the owner's file system does. The thread has the resources meanwhile, so that they
 * outlive a start that is given up. */
typedef struct FillNvram {
        QemuResources *resources;
} FillNvram;

static void fill_nvram_free(void *data) {
        FillNvram *fill = data;

        (void) qemu_resources_free(fill->resources);
        g_free(fill);
}

static int fill_nvram(void *data, sd_bus_error *reterr) {
        FillNvram *fill = data;

        return qemu_resources_fill_nvram(fill->resources, reterr);
}

static void on_nvram_filled(VbWorker *worker, int r, const sd_bus_error *error, void *data, void *userdata) {
        g_auto(sd_bus_error) own = SD_BUS_ERROR_NULL;
        FillNvram *fill = data;
        QemuStart *start = userdata;

        start->resources = g_steal_pointer(&fill->resources);
        if (r >= 0) {
                error = &own;
                r = build_command(start, &own);
        }
        vb_operation_step_done(start->operation, r, error);
}

int qemu_start_command(VbOperation *operation, void *userdata, sd_bus_error *reterr) {
        QemuStart *start = userdata;
        FillNvram *fill;
        int r;

        if (!qemu_resources_find_file(start->resources, "nvram"))
                return build_command(start, reterr);

        fill = g_new(FillNvram, 1);
        *fill = (FillNvram){ .resources = g_steal_pointer(&start->resources) };
        r = vb_worker_start(&start->worker, qemu_driver_event(start->qemu->driver), fill_nvram, fill, fill_nvram_free,
                            on_nvram_filled, start, reterr);
        if (r < 0) {
                fill_nvram_free(fill);
                return r;
        }
        return VB_STEP_PENDING;
}
