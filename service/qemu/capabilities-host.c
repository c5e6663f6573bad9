/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What of the host an emulator's answers depend on. */

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "qemu/capabilities-private.h"

bool qemu_host_has_kvm(bool no_kvm) {
        if (no_kvm || g_strcmp0(g_getenv("VIRTBUS_KVM"), "no") == 0)
                return false;
        return access("/dev/kvm", R_OK | W_OK) == 0;
}

static void add_file(GChecksum *checksum, const char *path, bool (*wanted)(const char *line)) {
        g_autofree char *line = NULL; /* malloc'ed by getline(), which is what g_free() frees */
        size_t size = 0;
        FILE *file = fopen(path, "re");

        if (!file)
                return;
        while (getline(&line, &size, file) > 0) {
                /* In /proc/cpuinfo an empty line ends the first processor; the others are like it. */
                if (line[0] == '\n')
                        break;
                if (!wanted || wanted(line))
                        g_checksum_update(checksum, (const guchar *) line, (gssize) strlen(line));
        }
        (void) fclose(file);
}

/* Those lines that are measured anew each time say nothing about the kind of processor. */
static bool is_lasting(const char *line) {
        return !g_str_has_prefix(line, "cpu MHz") && !g_str_has_prefix(line, "bogomips") &&
               !g_str_has_prefix(line, "BogoMIPS") && !g_str_has_prefix(line, "processor");
}

char *qemu_host_key(bool kvm) {
        g_autoptr(GChecksum) checksum = NULL;
        struct utsname name;

        if (!kvm)
                return g_strdup("tcg");

        checksum = g_checksum_new(G_CHECKSUM_SHA256);
        if (uname(&name) == 0) {
                g_checksum_update(checksum, (const guchar *) name.release, -1);
                g_checksum_update(checksum, (const guchar *) name.version, -1);
        }
        add_file(checksum, "/proc/cpuinfo", is_lasting);
        add_file(checksum, "/sys/module/kvm_intel/parameters/nested", NULL);
        add_file(checksum, "/sys/module/kvm_amd/parameters/nested", NULL);
        return g_strdup_printf("kvm-%s", g_checksum_get_string(checksum));
}
