/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* virtbus-import-libvirt-guests: takes the settings of libvirt-guests.service over into those of virtqemud. */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "import/libvirt-guests.h"

#define PROGRAM "virtbus-import-libvirt-guests"
#define FILE_SIZE_MAX (1u << 20)
#define OUTPUT SYSCONFDIR "/virtbus/qemu.conf.d/50-libvirt-guests.conf"

static const char *const default_files[] = { "/etc/default/libvirt-guests", "/etc/sysconfig/libvirt-guests", NULL };

static void __attribute__((format(printf, 1, 2))) complain(const char *format, ...) {
        va_list arguments;

        fputs(PROGRAM ": ", stderr);
        va_start(arguments, format);
        vfprintf(stderr, format, arguments);
        va_end(arguments);
        fputc('\n', stderr);
}

static int help(void) {
        printf("%s [OPTION…] [FILE…]\n\n"
               "Takes the settings of libvirt-guests.service over into those of virtqemud.\n\n"
               "  -n, --dry-run        Print what would be written\n"
               "  -o, --output=FILE    Where to write; %s\n"
               "  -h, --help           Show this help\n"
               "      --version        Show the version\n\n"
               "Reads %s and %s if no file is named.\n",
               PROGRAM, OUTPUT, default_files[0], default_files[1]);
        return EXIT_SUCCESS;
}

/* 1: read. 0: there is no such file, which is fine. */
static int import_file(const char *path, bool must_exist, GString *settings, GString *notes) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        g_autoptr(VbShellFile) file = NULL;
        g_autofree char *text = NULL;
        vb_autofd fd = -EBADF;
        int r;

        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0 && errno == ENOENT && !must_exist)
                return 0;
        r = fd < 0 ? -errno : vb_file_read_fd(fd, FILE_SIZE_MAX, &text, /* ret_size= */ NULL);
        if (r < 0) {
                complain("%s: %s", path, strerror(-r));
                return r;
        }
        file = vb_shell_file_parse(text);
        r = vb_libvirt_guests_import(path, file, settings, notes, &error);
        if (r < 0) {
                complain("%s", error.message);
                return r;
        }
        return 1;
}

static int write_output(const char *path, const GString *settings) {
        g_autofree char *folder = g_path_get_dirname(path);
        int r;

        r = vb_mkdir(folder, 0755);
        if (r >= 0)
                r = vb_file_write(path, settings->str, settings->len, 0644);
        if (r < 0) {
                complain("%s: %s", path, strerror(-r));
                return EXIT_FAILURE;
        }
        /* To stop it would save or shut down all guests, there and then. */
        printf("%s is written. To have it count, and libvirt-guests do nothing any more:\n"
               "  systemctl reload virtqemud.service\n"
               "  systemctl mask libvirt-guests.service\n", path);
        return EXIT_SUCCESS;
}

static int run(const char *const *files, bool must_exist, const char *output, bool dry_run) {
        g_autoptr(GString) settings = g_string_new("# Taken over from libvirt-guests.service by " PROGRAM "(8), which writes this file\n"
                                                   "# anew each time it is run.\n");
        g_autoptr(GString) notes = g_string_new(NULL);
        int found = 0, r;

        for (; *files; files++) {
                r = import_file(*files, must_exist, settings, notes);
                if (r < 0)
                        return EXIT_FAILURE;
                found += r;
        }
        if (found == 0) {
                complain("there is neither %s nor %s; name the file to be read", default_files[0], default_files[1]);
                return EXIT_FAILURE;
        }
        fputs(notes->str, stderr);
        if (!dry_run)
                return write_output(output, settings);
        fputs(settings->str, stdout);
        return EXIT_SUCCESS;
}

int main(int argc, char **argv) {
        static const struct option options[] = {
                { "dry-run", no_argument, NULL, 'n' },
                { "output", required_argument, NULL, 'o' },
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, 'V' },
                {},
        };
        const char *output = OUTPUT;
        bool dry_run = false;
        int c;

        while ((c = getopt_long(argc, argv, "no:h", options, NULL)) >= 0) {
                switch (c) {
                case 'n': dry_run = true; break;
                case 'o': output = optarg; break;
                case 'h': return help();
                case 'V': puts(PROGRAM " " VB_VERSION); return EXIT_SUCCESS;
                default: return EXIT_FAILURE;
                }
        }
        if (optind < argc)
                return run((const char *const *) argv + optind, /* must_exist= */ true, output, dry_run);
        return run(default_files, /* must_exist= */ false, output, dry_run);
}
