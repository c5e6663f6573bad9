/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/restart.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/file.h"
#include "base/process.h"

/* The file is JSON. Who wrote it is said by "magic", the number of the process, and "startTime", which stay the same over exec; so a
 * file that another process left is never taken for ours. A descriptor is a number, and beside it stands what it is open on:
 *
 *     "fd": 14, "fdFile": "2049:131:100000"       device, inode, type (octal) */

enum {
        SIZE_MAX_BYTES = 64 * 1024 * 1024,
        DEPTH_MAX = 16,
        FIRST_FD = 3,
        FORMAT = 1,
};

struct VbRestart {
        VbJson *root;
        GArray *fds;       /* put: int */
        GHashTable *taken; /* numbers */
};

static VbRestart *restart_new(VbJson *root) {
        VbRestart *restart = g_new0(VbRestart, 1);

        restart->root = root;
        restart->fds = g_array_new(/* zero_terminated= */ false, /* clear_= */ false, sizeof(int));
        restart->taken = g_hash_table_new(/* hash_func= */ NULL, /* key_equal_func= */ NULL);
        return restart;
}

VbRestart *vb_restart_free(VbRestart *restart) {
        if (!restart)
                return NULL;
        vb_json_put(restart->root);
        g_array_unref(restart->fds);
        g_hash_table_unref(restart->taken);
        g_free(restart);
        return NULL;
}

VbJson *vb_restart_root(VbRestart *restart) {
        return restart->root;
}

/* Writing */

VbRestart *vb_restart_new(void) {
        return restart_new(json_object_new_object());
}

void vb_restart_put_string(VbJson *object, const char *key, const char *value) {
        if (value)
                (void) json_object_object_add(object, key, json_object_new_string(value));
}

void vb_restart_put_number(VbJson *object, const char *key, uint64_t value) {
        (void) json_object_object_add(object, key, json_object_new_uint64(value));
}

void vb_restart_put_bool(VbJson *object, const char *key, bool value) {
        (void) json_object_object_add(object, key, json_object_new_boolean(value));
}

static int file_of(int fd, char **ret, mode_t *ret_type) {
        struct stat st;

        if (fstat(fd, &st) < 0)
                return -errno;
        *ret = g_strdup_printf("%" PRIuMAX ":%" PRIuMAX ":%o", (uintmax_t) st.st_dev, (uintmax_t) st.st_ino,
                               (unsigned) (st.st_mode & S_IFMT));
        *ret_type = st.st_mode & S_IFMT;
        return 0;
}

int vb_restart_put_fd(VbRestart *restart, VbJson *object, const char *key, int fd) {
        g_autofree char *file_key = g_strconcat(key, "File", NULL), *file = NULL;
        mode_t type;
        int r;

        r = file_of(fd, &file, &type);
        if (r < 0)
                return r;
        vb_restart_put_number(object, key, (uint64_t) fd);
        vb_restart_put_string(object, file_key, file);
        (void) g_array_append_val(restart->fds, fd);
        return 0;
}

static int self(char **ret_magic, uint64_t *ret_start_time) {
        *ret_magic = g_strdup_printf("%d", (int) getpid());
        return vb_process_read_start_time(getpid(), ret_start_time);
}

int vb_restart_write(VbRestart *restart, const char *path) {
        g_autofree char *magic = NULL;
        uint64_t start_time;
        const char *text;
        int r;

        r = self(&magic, &start_time);
        if (r < 0)
                return r;
        vb_restart_put_number(restart->root, "format", FORMAT);
        vb_restart_put_number(restart->root, "startTime", start_time);
        vb_restart_put_string(restart->root, "magic", magic);
        text = json_object_to_json_string_ext(restart->root, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
        if (!text)
                return -ENOMEM;
        return vb_file_write(path, text, strlen(text), 0600);
}

int vb_restart_set_inherited(VbRestart *restart, bool inherited) {
        for (guint i = 0; i < restart->fds->len; i++) {
                int r;

                r = vb_fd_set_cloexec(g_array_index(restart->fds, int, i), !inherited);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Reading */

static int bad(sd_bus_error *reterr, const char *key, const char *right) {
        (void) sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "'%s' is not %s", key, right);
        return -EBADMSG;
}

static int find(VbJson *object, const char *key, json_type type, VbJson **ret) {
        VbJson *value;

        if (!json_object_is_type(object, json_type_object) || !json_object_object_get_ex(object, key, &value) ||
            !json_object_is_type(value, type))
                return -EBADMSG;
        *ret = value;
        return 0;
}

int vb_restart_get_string(VbJson *object, const char *key, size_t max, const char **ret, sd_bus_error *reterr) {
        const char *text;
        VbJson *value;

        if (find(object, key, json_type_string, &value) < 0)
                return bad(reterr, key, "a string");
        text = json_object_get_string(value);
        /* One with a NUL in it would be another to whoever reads on. */
        if (strlen(text) != (size_t) json_object_get_string_len(value) || strlen(text) > max)
                return bad(reterr, key, "a string of sane length");
        *ret = text;
        return 0;
}

int vb_restart_get_number(VbJson *object, const char *key, uint64_t max, uint64_t *ret, sd_bus_error *reterr) {
        VbJson *value;

        /* A negative one is read as 0 by get_uint64, and one that is too large as the largest. */
        if (find(object, key, json_type_int, &value) < 0 ||
            (json_object_get_int64(value) < 0 && json_object_get_uint64(value) == 0) || json_object_get_uint64(value) > max)
                return bad(reterr, key, "a number of sane size");
        *ret = json_object_get_uint64(value);
        return 0;
}

int vb_restart_get_bool(VbJson *object, const char *key, bool *ret, sd_bus_error *reterr) {
        VbJson *value;

        if (find(object, key, json_type_boolean, &value) < 0)
                return bad(reterr, key, "true or false");
        *ret = json_object_get_boolean(value);
        return 0;
}

int vb_restart_get_object(VbJson *object, const char *key, VbJson **ret, sd_bus_error *reterr) {
        return find(object, key, json_type_object, ret) < 0 ? bad(reterr, key, "an object") : 0;
}

int vb_restart_get_array(VbJson *object, const char *key, size_t max, VbJson **ret, sd_bus_error *reterr) {
        VbJson *value;

        if (find(object, key, json_type_array, &value) < 0 || json_object_array_length(value) > max)
                return bad(reterr, key, "an array of sane length");
        *ret = value;
        return 0;
}

int vb_restart_get_entry(VbJson *array, const char *key, size_t i, VbJson **ret, sd_bus_error *reterr) {
        VbJson *value = json_object_array_get_idx(array, i);

        if (!json_object_is_type(value, json_type_object))
                return bad(reterr, key, "an array of objects");
        *ret = value;
        return 0;
}

static int check_inherited(int fd, const char *key, const char *wanted, mode_t type, sd_bus_error *reterr) {
        g_autofree char *found = NULL;
        mode_t found_type;
        int flags, r;

        flags = fcntl(fd, F_GETFD);
        r = flags < 0 ? -errno : file_of(fd, &found, &found_type);
        if (r < 0)
                (void) sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "'%s': descriptor %d is not open", key, fd);
        else if (strcmp(found, wanted) != 0 || (type != 0 && found_type != type))
                (void) sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT,
                                         "'%s': descriptor %d is open on %s, and not on %s", key, fd, found, wanted);
        else
                return 0;
        return -EBADMSG;
}

int vb_restart_take_fd(VbRestart *restart, VbJson *object, const char *key, mode_t type, int *ret, sd_bus_error *reterr) {
        g_autofree char *file_key = g_strconcat(key, "File", NULL);
        const char *wanted;
        uint64_t number;
        int fd, r;

        r = vb_restart_get_number(object, key, INT_MAX, &number, reterr);
        if (r < 0)
                return r;
        r = vb_restart_get_string(object, file_key, 128, &wanted, reterr);
        if (r < 0)
                return r;
        if (number < FIRST_FD || g_hash_table_contains(restart->taken, GUINT_TO_POINTER(number)))
                return bad(reterr, key, "a descriptor of its own");
        r = check_inherited((int) number, key, wanted, type, reterr);
        if (r < 0)
                return r;
        fd = fcntl((int) number, F_DUPFD_CLOEXEC, FIRST_FD);
        if (fd < 0)
                return sd_bus_error_set_errnof(reterr, errno, "'%s': cannot duplicate descriptor %d", key, (int) number);
        (void) g_hash_table_add(restart->taken, GUINT_TO_POINTER(number));
        *ret = fd;
        return 0;
}

static int check_ours(VbJson *root, sd_bus_error *reterr) {
        uint64_t format, start_time, own_start_time;
        g_autofree char *own_magic = NULL;
        const char *magic;
        int r;

        r = self(&own_magic, &own_start_time);
        if (r < 0)
                return r;
        r = vb_restart_get_number(root, "format", UINT64_MAX, &format, reterr);
        if (r >= 0)
                r = vb_restart_get_string(root, "magic", 32, &magic, reterr);
        if (r >= 0)
                r = vb_restart_get_number(root, "startTime", UINT64_MAX, &start_time, reterr);
        if (r < 0)
                return r;
        if (format != FORMAT)
                return bad(reterr, "format", "one that this version reads");
        if (strcmp(magic, own_magic) != 0 || start_time != own_start_time) {
                (void) sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT,
                                         "it is of process %s, started at %" PRIu64 ", and this is process %s", magic, start_time,
                                         own_magic);
                return -EBADMSG;
        }
        return 0;
}

int vb_restart_parse(VbRestart **ret, const char *text, size_t size, sd_bus_error *reterr) {
        g_autoptr(VbRestart) restart = NULL;
        json_tokener *tokener;
        VbJson *root;
        bool whole;
        int r;

        if (size > SIZE_MAX_BYTES)
                return bad(reterr, "the file", "of sane size");
        tokener = json_tokener_new_ex(DEPTH_MAX);
        root = json_tokener_parse_ex(tokener, text, (int) size);
        whole = json_tokener_get_error(tokener) == json_tokener_success && json_tokener_get_parse_end(tokener) == size;
        json_tokener_free(tokener);
        restart = restart_new(root);
        if (!whole || !json_object_is_type(root, json_type_object))
                return bad(reterr, "the file", "one whole JSON object");
        r = check_ours(root, reterr);
        if (r < 0)
                return r;
        *ret = g_steal_pointer(&restart);
        return 0;
}

int vb_restart_read(VbRestart **ret, const char *path, sd_bus_error *reterr) {
        g_autofree char *text = NULL;
        size_t size;
        int r;

        r = vb_file_read(AT_FDCWD, path, SIZE_MAX_BYTES, &text, &size);
        if (r == -ENOENT)
                return r;
        if (r < 0) {
                (void) sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "cannot read %s: %s", path, g_strerror(-r));
                return -EBADMSG;
        }
        return vb_restart_parse(ret, text, size, reterr);
}
