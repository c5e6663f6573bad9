/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* In place of a fuzzing engine: runs a fuzzer over the files of the folders and the files it is given, each once. */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <glib.h>

#include "fuzz.h"

static int replay_file(const char *path) {
        g_autoptr(GError) error = NULL;
        g_autofree char *data = NULL;
        gsize size;

        if (!g_file_get_contents(path, &data, &size, &error)) {
                fprintf(stderr, "%s\n", error->message);
                return -EIO;
        }

        /* A copy of just this size, so that a reader that goes too far is caught. */
        g_autofree uint8_t *input = g_memdup2(data, size);
        (void) LLVMFuzzerTestOneInput(input, size);
        return 0;
}

static int replay_folder(const char *path) {
        g_autoptr(GDir) folder = g_dir_open(path, 0, NULL);
        const char *name;
        int r = 0;

        /* A fuzzer without a corpus is tried with nothing at all. */
        if (!folder)
                return LLVMFuzzerTestOneInput((const uint8_t *) "", 0);

        while ((name = g_dir_read_name(folder))) {
                g_autofree char *file = g_build_filename(path, name, NULL);

                if (replay_file(file) < 0)
                        r = -EIO;
        }
        return r;
}

int main(int argc, char **argv) {
        int r = 0;

        for (int i = 1; i < argc; i++)
                if ((g_file_test(argv[i], G_FILE_TEST_IS_REGULAR) ? replay_file(argv[i]) : replay_folder(argv[i])) < 0)
                        r = 1;
        return r;
}
