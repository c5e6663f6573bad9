/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Which emulator binaries there are, and which of them may be run. Nothing is started here. */

#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "base/error.h"
#include "qemu/capabilities-private.h"

#define EMULATOR_PREFIX "qemu-system-"

static const char *const standard_folders[] = { "/usr/bin", "/usr/local/bin", "/usr/libexec", NULL };

/* Some distributions ship one emulator, for the host's own architecture, by this name. */
static const char native_emulator[] = "qemu-kvm";

/* Guest architectures as definitions name them, and the end of their emulator's name. */
static const struct {
        const char *arch;
        const char *suffix;
        unsigned word_size;
} architectures[] = {
        { "aarch64", "aarch64", 64 },
        { "alpha", "alpha", 64 },
        { "armv7l", "arm", 32 },
        { "hppa", "hppa", 32 },
        { "i686", "i386", 32 },
        { "loongarch64", "loongarch64", 64 },
        { "m68k", "m68k", 32 },
        { "microblaze", "microblaze", 32 },
        { "microblazeel", "microblazeel", 32 },
        { "mips", "mips", 32 },
        { "mips64", "mips64", 64 },
        { "mips64el", "mips64el", 64 },
        { "mipsel", "mipsel", 32 },
        { "or32", "or1k", 32 },
        { "ppc", "ppc", 32 },
        { "ppc64", "ppc64", 64 },
        { "ppc64le", "ppc64", 64 },
        { "riscv32", "riscv32", 32 },
        { "riscv64", "riscv64", 64 },
        { "s390x", "s390x", 64 },
        { "sh4", "sh4", 32 },
        { "sh4eb", "sh4eb", 32 },
        { "sparc", "sparc", 32 },
        { "sparc64", "sparc64", 64 },
        { "x86_64", "x86_64", 64 },
        { "xtensa", "xtensa", 32 },
        { "xtensaeb", "xtensaeb", 32 },
};

const char *qemu_emulator_arch(const char *target) {
        for (size_t i = 0; i < G_N_ELEMENTS(architectures); i++)
                if (g_str_equal(architectures[i].suffix, target))
                        return architectures[i].arch;
        return NULL;
}

bool qemu_emulator_runs(const char *target, const char *arch) {
        if (g_str_equal(target, "x86_64") && g_str_equal(arch, "i686"))
                return true;
        if (g_str_equal(target, "aarch64") && g_str_equal(arch, "armv7l"))
                return true;
        for (size_t i = 0; i < G_N_ELEMENTS(architectures); i++)
                if (g_str_equal(architectures[i].suffix, target) && g_str_equal(architectures[i].arch, arch))
                        return true;
        return false;
}

void qemu_emulator_folders_init(QemuEmulatorFolders *folders, const QemuCapabilitiesOptions *options) {
        const char *const *names = options->emulator_folders ?: standard_folders;

        *folders = (QemuEmulatorFolders){
                .folders = g_strdupv((char **) names),
                .allowed = g_strdupv((char **) options->emulators), /* takes NULL */
                .session = options->session,
        };
}

void qemu_emulator_folders_done(QemuEmulatorFolders *folders) {
        g_strfreev(folders->folders);
        g_strfreev(folders->allowed);
}

static bool is_emulator_name(const char *name) {
        return g_str_has_prefix(name, EMULATOR_PREFIX) || g_str_equal(name, native_emulator);
}

/* Whether the path is one of those that may be run, by its name alone. */
static bool is_allowed_name(const QemuEmulatorFolders *folders, const char *path) {
        const char *slash = strrchr(path, '/');

        if (folders->allowed && g_strv_contains((const char *const *) folders->allowed, path))
                return true;
        if (!slash || !is_emulator_name(slash + 1))
                return false;
        for (char **folder = folders->folders; *folder; folder++)
                if (strlen(*folder) == (size_t) (slash - path) && g_str_has_prefix(path, *folder))
                        return true;
        return false;
}

static int refuse(sd_bus_error *reterr, const char *path, const char *why) {
        return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION, "emulator '%s': %s", path, why);
}

int qemu_emulator_check(const QemuEmulatorFolders *folders, const char *path, sd_bus_error *reterr) {
        struct stat st;

        if (!g_path_is_absolute(path))
                return refuse(reterr, path, "must be an absolute path");
        if (!folders->session && !is_allowed_name(folders, path))
                return refuse(reterr, path,
                              "is no emulator of this host; one is named qemu-system-ARCH and stands in a "
                              "standard folder, "
                              "or the administrator lists its path as an emulator");
        if (stat(path, &st) < 0)
                return refuse(reterr, path, g_strerror(errno));
        if (!S_ISREG(st.st_mode) || !(st.st_mode & 0111))
                return refuse(reterr, path, "is not a program");
        if (st.st_uid != 0 && !(folders->session && st.st_uid == geteuid()))
                return refuse(reterr, path, "must belong to root");
        if (st.st_mode & 0022)
                return refuse(reterr, path, "must not be writable by group or others");
        return 0;
}

/* The first folder's binary of this name that may be run. */
static char *find_name(const QemuEmulatorFolders *folders, const char *name) {
        for (char **folder = folders->folders; *folder; folder++) {
                g_autofree char *path = g_strdup_printf("%s/%s", *folder, name);

                if (access(path, F_OK) == 0 && qemu_emulator_check(folders, path, NULL) >= 0)
                        return g_steal_pointer(&path);
        }
        return NULL;
}

static char *find_arch(const QemuEmulatorFolders *folders, const char *arch, const char *suffix) {
        g_autofree char *name = g_strconcat(EMULATOR_PREFIX, suffix, NULL);
        char *path = find_name(folders, name);
        struct utsname host;

        /* A 64-bit PC runs 32-bit guests as well. */
        if (!path && g_str_equal(arch, "i686"))
                path = find_name(folders, EMULATOR_PREFIX "x86_64");
        if (!path && uname(&host) == 0 && g_str_equal(host.machine, arch))
                path = find_name(folders, native_emulator);
        return path;
}

int qemu_emulator_find(const QemuEmulatorFolders *folders, const char *arch, char **ret,
                       sd_bus_error *reterr) {
        for (size_t i = 0; i < G_N_ELEMENTS(architectures); i++) {
                char *path;

                if (!g_str_equal(architectures[i].arch, arch))
                        continue;
                path = find_arch(folders, arch, architectures[i].suffix);
                if (!path)
                        return sd_bus_error_setf(
                                reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                "no emulator for architecture '%s': qemu-system-%s is not installed", arch,
                                architectures[i].suffix);
                *ret = path;
                return 0;
        }
        return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                 "architecture '%s' is not one that QEMU emulates", arch);
}

static void emulator_free(gpointer data) {
        QemuEmulator *emulator = data;

        g_free(emulator->path);
        g_free(emulator);
}

GPtrArray *qemu_emulator_list(const QemuEmulatorFolders *folders) {
        GPtrArray *emulators = g_ptr_array_new_with_free_func(emulator_free);

        for (size_t i = 0; i < G_N_ELEMENTS(architectures); i++) {
                char *path = find_arch(folders, architectures[i].arch, architectures[i].suffix);
                QemuEmulator *emulator;

                if (!path)
                        continue;
                emulator = g_new0(QemuEmulator, 1);
                emulator->arch = architectures[i].arch;
                emulator->word_size = architectures[i].word_size;
                emulator->path = path;
                g_ptr_array_add(emulators, emulator);
        }
        return emulators;
}
