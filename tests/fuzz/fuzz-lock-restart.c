/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The state that a daemon left for the run after it, which another program may have written over; as virtlockd reads it. What proves that it is of this process
 * is put in, or nothing else would ever be read. */

#include <string.h>
#include <unistd.h>

#include "base/process.h"
#include "bus/restart.h"
#include "fuzz.h"
#include "lock/record.h"

static void try_lease(VbRestart *restart, VbJson *object) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        g_autoptr(VbJson) again = json_object_new_object();
        g_autoptr(Lease) lease = NULL, same = NULL;
        int fd, r;

        r = vb_restart_take_fd(restart, object, "fd", /* type= */ 0, &fd, &error);
        g_assert_true(r >= 0 || error.message);
        if (r >= 0)
                (void) close(fd);
        sd_bus_error_free(&error);
        r = lock_json_get_lease(object, &lease, &error);
        g_assert_true(r >= 0 || error.message);
        if (r < 0)
                return;
        /* What was understood is written so that it is understood again. */
        lock_json_put_lease(again, lease);
        g_assert_cmpint(lock_json_get_lease(again, &same, NULL), ==, 0);
        g_assert_cmpstr(same->path, ==, lease->path);
        g_assert_cmpuint(same->slot, ==, lease->slot);
}

static void try_owner(VbJson *object) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        LockOwnerRecord record;
        int r;

        r = lock_json_get_owner(object, &record, &error);
        g_assert_true(r >= 0 ? record.key.pid > 0 : error.message != NULL);
}

static void try_array(VbRestart *restart, VbJson *object, const char *key) {
        VbJson *array, *entry;

        if (vb_restart_get_array(object, key, 1024, &array, NULL) < 0)
                return;
        for (size_t i = 0; i < json_object_array_length(array); i++) {
                if (vb_restart_get_entry(array, key, i, &entry, NULL) < 0)
                        continue;
                try_owner(entry);
                try_lease(restart, entry);
                try_array(restart, entry, "resources");
        }
}

static char *as_ours(const uint8_t *data, size_t size, size_t *ret_size) {
        g_autofree char *text = g_strndup((const char *) data, size), *magic = g_strdup_printf("%d", (int) getpid());
        g_autoptr(VbJson) root = json_tokener_parse(text);
        uint64_t start_time = 0;
        char *again;

        if (!json_object_is_type(root, json_type_object)) {
                *ret_size = size;
                return g_steal_pointer(&text);
        }
        g_assert_cmpint(vb_process_read_start_time(getpid(), &start_time), ==, 0);
        vb_restart_put_string(root, "magic", magic);
        vb_restart_put_number(root, "startTime", start_time);
        again = g_strdup(json_object_to_json_string(root));
        *ret_size = strlen(again);
        return again;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        g_autoptr(VbRestart) restart = NULL, another = NULL;
        g_autofree char *text = NULL;
        VbJson *by_default;
        size_t length;

        g_assert_cmpint(vb_restart_parse(&another, (const char *) data, size, &error), <, 0); /* it is no file of ours */
        g_assert_nonnull(error.message);
        sd_bus_error_free(&error);
        text = as_ours(data, size, &length);
        if (vb_restart_parse(&restart, text, length, &error) < 0) {
                g_assert_nonnull(error.message);
                return 0;
        }
        try_array(restart, vb_restart_root(restart), "owners");
        try_array(restart, vb_restart_root(restart), "lockspaces");
        if (vb_restart_get_object(vb_restart_root(restart), "defaultLockspace", &by_default, NULL) >= 0)
                try_array(restart, by_default, "resources");
        return 0;
}
