/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/tpm.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/worker.h"
#include "qemu/start.h"
#include "qemu/stop.h"

#define KILL_AFTER_USEC (UINT64_C(1000) * 1000)

static char *tpm_directory(const VbDomain *domain) {
        return g_build_filename(domain->hypervisor->state_dir, "tpm", domain->uuid_string, NULL);
}

/* The folders above are the daemon's, so nobody else can put something in this one's place. */
static int make_directory(const char *path, const QemuTpmSpec *spec) {
        g_autofree char *parent = g_path_get_dirname(path);
        uid_t owner = spec->uid == (uid_t) -1 ? geteuid() : spec->uid;
        struct stat st;
        int r;

        /* Owners must get through to their own, and see nobody else's. */
        r = vb_mkdir(parent, 0711);
        if (r < 0)
                return r;
        if (mkdir(path, 0700) < 0) {
                if (errno != EEXIST)
                        return -errno;
                if (lstat(path, &st) < 0)
                        return -errno;
                if (!S_ISDIR(st.st_mode))
                        return -ENOTDIR;
                if (st.st_uid == owner)
                        return 0;
                return -EPERM;
        }
        if (owner != geteuid() && lchown(path, spec->uid, spec->gid) < 0) {
                r = -errno;
                (void) rmdir(path);
                return r;
        }
        return 0;
}

static void on_exited(VbProcess *process, const VbProcessExit *exit, void *userdata) {
        QemuDomain *qemu = userdata;
        g_autofree char *how = vb_process_exit_to_string(exit);

        qemu->tpm = vb_process_free(qemu->tpm);
        qemu->tpm_kill_timer = sd_event_source_disable_unref(qemu->tpm_kill_timer);
        if (qemu->start)
                qemu_start_tpm_exited(qemu->start, how);
        else if (qemu->ending)
                qemu_stop_tpm_exited(qemu);
        else if (qemu->process)
                /* Most likely the guest has just ended, too. If not, it finds that its TPM does not answer any more. */
                vb_log_info_for(VB_DOMAIN_LOG(qemu->domain), "domain '%s': the TPM emulator %s", qemu->domain->name, how);
}

static int spawn(QemuDomain *qemu, const VbTpm *tpm, const char *program, const char *directory, const QemuTpmSpec *given,
                 sd_bus_error *reterr) {
        g_autofree char *state = g_strdup_printf("dir=%s,mode=0600", directory);
        g_autofree char *control = g_strdup_printf("type=unixio,clientfd=%d", given->channel);
        bool session = given->uid == (uid_t) -1;
        const char *argv[] = {
                program, "socket", "--tpmstate", state, "--ctrl", control, "--terminate",
                tpm->version == VB_TPM_VERSION_1_2 ? NULL : "--tpm2", NULL,
        };
        const VbProcessSpec spec = {
                .path = program,
                .argv = (char *const *) argv,
                .out = { .kind = VB_STREAM_FD, .fd = given->log },
                .err = { .kind = VB_STREAM_FD, .fd = given->log },
                .keep_fds = &given->channel,
                .n_keep_fds = 1,
                .change_user = !session,
                .uid = given->uid,
                .gid = given->gid,
                .drop_capabilities = !session,
                .no_new_privileges = true,
                .gated = true,
                .new_session = true,
                .umask = 0077,
                .exited = on_exited,
                .userdata = qemu,
        };

        return vb_process_spawn(&qemu->tpm, qemu_driver_event(qemu->driver), &spec, reterr);
}

int qemu_tpm_spawn(QemuDomain *qemu, const VbTpm *tpm, const QemuTpmSpec *spec, sd_bus_error *reterr) {
        g_autofree char *directory = tpm_directory(qemu->domain), *program = g_find_program_in_path("swtpm");
        const char *name = qemu->domain->name;
        int r;

        if (!program)
                return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                         "domain '%s' has a TPM, but this host has no program 'swtpm' to emulate one", name);
        /* Another choice than its own takes another program, swtpm_setup. */
        if (tpm->pcr_sha1 || tpm->pcr_sha256 || tpm->pcr_sha384 || tpm->pcr_sha512)
                return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                         "domain '%s': the TPM's <active_pcr_banks> cannot be chosen yet; without them, swtpm chooses",
                                         name);
        r = make_directory(directory, spec);
        if (r < 0)
                return sd_bus_error_setf(reterr, VB_ERROR_STORAGE_FAILED, "domain '%s': cannot use '%s' for the TPM's state: %s",
                                         name, directory, g_strerror(-r));
        return spawn(qemu, tpm, program, directory, spec, reterr);
}

int qemu_tpm_adopt(QemuDomain *qemu, pid_t pid, uint64_t start_time) {
        int r = vb_process_adopt(&qemu->tpm, qemu_driver_event(qemu->driver), pid, start_time, on_exited, qemu);

        return r == -ESRCH ? 0 : r;
}

static void kill_now(QemuDomain *qemu) {
        int r = vb_process_kill(qemu->tpm, SIGKILL);

        if (r < 0 && r != -ESRCH)
                vb_log_error_for(VB_DOMAIN_LOG(qemu->domain), "domain '%s': cannot kill the TPM emulator: %s", qemu->domain->name,
                                 g_strerror(-r));
}

static int on_hanging(sd_event_source *source, uint64_t usec, void *userdata) {
        kill_now(userdata);
        return 0;
}

bool qemu_tpm_end(QemuDomain *qemu) {
        if (!qemu->tpm)
                return false;
        qemu->waits_for_tpm = true;
        if (sd_event_add_time_relative(qemu_driver_event(qemu->driver), &qemu->tpm_kill_timer, CLOCK_MONOTONIC, KILL_AFTER_USEC,
                                       /* accuracy= */ 0, on_hanging, qemu) < 0)
                kill_now(qemu);
        return true;
}

static int remove_in_thread(void *data, sd_bus_error *reterr) {
        int r = vb_remove_tree(AT_FDCWD, data);

        if (r < 0 && r != -ENOENT)
                vb_log_warning("cannot remove '%s': %s", (const char *) data, g_strerror(-r));
        return 0;
}

static void on_removed(VbWorker *worker, int r, const sd_bus_error *error, void *data, void *userdata) {
}

void qemu_tpm_forget(const VbDomain *domain) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        g_autoptr(VbWorker) worker = NULL;
        char *directory = tpm_directory(domain);

        if (vb_worker_start(&worker, vb_daemon_event(domain->hypervisor->daemon), remove_in_thread, directory, g_free, on_removed,
                            NULL, &error) < 0) {
                vb_log_warning("cannot remove '%s': %s", directory, error.message);
                g_free(directory);
        }
        /* Whoever frees a worker leaves its thread to finish by itself. */
}
