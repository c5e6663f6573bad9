/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Descriptors that are kept with the service manager: a datagram socket of ours stands for it. */

#include "bus/store.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>

#include "base/file.h"
#include "test-util.h"

typedef struct Fixture {
        char *folder;
        int manager;
        GThread *thread;
        GAsyncQueue *barriers;
        VbStore *store;
        GPtrArray *names; /* with the manager: "bundle0", one for each descriptor */
        GArray *fds;
        GHashTable *found; /* name → descriptor + 1 */
} Fixture;

static void *run_manager(void *data);

static void setup(Fixture *f, const void *data) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        g_autofree char *path = NULL;

        f->folder = g_dir_make_tmp("test-bus-store-XXXXXX", NULL);
        path = g_build_filename(f->folder, "notify", NULL);
        g_assert_cmpuint(g_strlcpy(address.sun_path, path, sizeof(address.sun_path)), <, sizeof(address.sun_path));
        f->manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        g_assert_cmpint(bind(f->manager, (struct sockaddr *) &address, sizeof(address)), ==, 0);
        g_assert_true(g_setenv("NOTIFY_SOCKET", path, true));
        f->store = vb_store_new();
        f->names = g_ptr_array_new_with_free_func(g_free);
        f->fds = g_array_new(false, false, sizeof(int));
        f->found = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        f->barriers = g_async_queue_new();
        f->thread = g_thread_new("manager", run_manager, f);
}

static void forget_found(Fixture *f) {
        GHashTableIter iterator;
        void *fd;

        g_hash_table_iter_init(&iterator, f->found);
        while (g_hash_table_iter_next(&iterator, NULL, &fd))
                vb_close(GPOINTER_TO_INT(fd) - 1);
        g_hash_table_remove_all(f->found);
}

static void teardown(Fixture *f, const void *data) {
        g_autofree char *path = g_build_filename(f->folder, "notify", NULL);

        g_assert_true(g_setenv("NOTIFY_SOCKET", path, true));
        g_assert_cmpint(sd_notify(/* unset_environment= */ false, "END=1"), >, 0);
        (void) g_thread_join(f->thread);
        g_async_queue_unref(f->barriers);
        vb_store_free(f->store);
        forget_found(f);
        g_hash_table_unref(f->found);
        for (guint i = 0; i < f->fds->len; i++)
                vb_close(g_array_index(f->fds, int, i));
        g_array_unref(f->fds);
        g_ptr_array_unref(f->names);
        vb_close(f->manager);
        g_unsetenv("NOTIFY_SOCKET");
        (void) unlink(path);
        (void) rmdir(f->folder);
        g_free(f->folder);
}

static void forget(Fixture *f, const char *name) {
        for (guint i = f->names->len; i > 0; i--)
                if (strcmp(f->names->pdata[i - 1], name) == 0) {
                        vb_close(g_array_index(f->fds, int, i - 1));
                        (void) g_array_remove_index(f->fds, i - 1);
                        (void) g_ptr_array_remove_index(f->names, i - 1);
                }
}

/* What the manager does with what it is told; false: no more will come. */
static bool listen_once(Fixture *f) {
        char text[256] = {}, control[CMSG_SPACE(2 * sizeof(int))];
        struct iovec data = { text, sizeof(text) - 1 };
        struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
        const char *name;

        g_assert_cmpint(recvmsg(f->manager, &message, MSG_CMSG_CLOEXEC), >=, 0);
        if (g_str_equal(text, "BARRIER=1"))
                g_async_queue_push(f->barriers, f);
        if (g_str_equal(text, "BARRIER=1") || g_str_equal(text, "END=1"))
                return text[0] == 'B';
        name = strstr(text, "FDNAME=");
        g_assert_nonnull(name);
        name += strlen("FDNAME=");
        if (strstr(text, "FDSTOREREMOVE=1")) {
                forget(f, name);
                return true;
        }
        g_assert_nonnull(strstr(text, "FDPOLL=0"));
        for (size_t n = (CMSG_FIRSTHDR(&message)->cmsg_len - CMSG_LEN(0)) / sizeof(int), i = 0; i < n; i++) {
                g_array_append_vals(f->fds, CMSG_DATA(CMSG_FIRSTHDR(&message)) + i * sizeof(int), 1);
                g_ptr_array_add(f->names, g_strdup(name));
        }
        return true;
}

static void *run_manager(void *data) {
        while (listen_once(data))
                ;
        return NULL;
}

/* Until the manager has done all that it has been told; it does nothing by itself. */
static void listen_to_all(Fixture *f) {
        g_assert_cmpint(sd_notify(/* unset_environment= */ false, "BARRIER=1"), >, 0);
        g_assert_true(g_async_queue_pop(f->barriers) == f);
}

static int file_of(const Fixture *f, unsigned number) {
        g_autofree char *path = g_strdup_printf("%s/%u", f->folder, number);
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(unlink(path), ==, 0);
        g_assert_cmpint(ftruncate(fd, number), ==, 0); /* known again by its size */
        return fd;
}

static void keep(Fixture *f, unsigned from, unsigned to) {
        for (unsigned i = from; i < to; i++) {
                g_autofree char *name = g_strdup_printf("%x", i);
                vb_autofd fd = file_of(f, i);

                g_assert_cmpint(vb_store_add(f->store, name, fd), ==, 0);
                listen_to_all(f);
        }
}

static void on_found(const char *name, int fd, void *userdata) {
        Fixture *f = userdata;

        vb_close(GPOINTER_TO_INT(g_hash_table_lookup(f->found, name)) - 1);
        (void) g_hash_table_replace(f->found, g_strdup(name), GINT_TO_POINTER(fd + 1));
}

/* The process ends at once; the next one gets what the manager has, in some order. */
static void crash(Fixture *f) {
        listen_to_all(f);
        vb_store_free(f->store);
        f->store = vb_store_new();
        forget_found(f);
        for (guint i = f->names->len; i > 0; i--) {
                const char *name = f->names->pdata[i - 1];
                int fd = fcntl(g_array_index(f->fds, int, i - 1), F_DUPFD_CLOEXEC, 3);

                if (!vb_store_take_given(f->store, name, fd))
                        on_found(name, fd, f);
        }
        g_assert_cmpint(vb_store_open_all(f->store, on_found, f), ==, 0);
}

static void check_found(Fixture *f, unsigned number, bool expected) {
        g_autofree char *name = g_strdup_printf("%x", number);
        int fd = GPOINTER_TO_INT(g_hash_table_lookup(f->found, name)) - 1;
        struct stat st;

        g_assert_cmpint(fd >= 0, ==, expected);
        if (!expected)
                return;
        g_assert_cmpint(fstat(fd, &st), ==, 0);
        g_assert_cmpint(st.st_size, ==, number);
        g_assert_cmpint(fcntl(fd, F_GETFD), ==, FD_CLOEXEC);
}

enum {
        N = VB_STORE_DIRECT + 3 * VB_STORE_BUNDLE + 8, /* that many, and four bundles */
        KEPT = VB_STORE_DIRECT + 2 * 4,
};

static void test_crashes(Fixture *f, const void *data) {
        keep(f, 0, N);
        g_assert_cmpuint(f->fds->len, ==, KEPT);
        for (unsigned n = 0; n < 3; n++) {
                crash(f);
                g_assert_cmpuint(g_hash_table_size(f->found), ==, N);
                for (unsigned i = 0; i < N; i++)
                        check_found(f, i, true);
        }
        /* Room that was made is used. */
        for (unsigned i = 0; i < N; i += 2) {
                g_autofree char *name = g_strdup_printf("%x", i);

                vb_store_remove(f->store, name);
        }
        keep(f, N, N + N / 2);
        g_assert_cmpuint(f->fds->len, ==, KEPT);
        crash(f);
        for (unsigned i = 0; i < N + N / 2; i++)
                check_found(f, i, i >= N || i % 2 == 1);
        /* Nobody claims any but two, one of each kind. */
        vb_store_claim(f->store, "1");
        vb_store_claim(f->store, "2b9");
        vb_store_drop_unclaimed(f->store);
        crash(f);
        g_assert_cmpuint(g_hash_table_size(f->found), ==, 2);
        check_found(f, 1, true);
        check_found(f, 0x2b9, true);
        vb_store_remove(f->store, "1");
        vb_store_remove(f->store, "2b9");
        listen_to_all(f);
        g_assert_cmpuint(f->fds->len, ==, 0);
}

static void test_the_same_name(Fixture *f, const void *data) {
        vb_autofd other = file_of(f, 77);

        keep(f, 0, VB_STORE_DIRECT + 3);
        g_assert_cmpint(vb_store_add(f->store, "1", other), ==, 0);
        g_assert_cmpint(vb_store_add(f->store, "201", other), ==, 0);
        crash(f);
        g_assert_cmpuint(g_hash_table_size(f->found), ==, VB_STORE_DIRECT + 3);
        g_assert_cmpint(lseek(GPOINTER_TO_INT(g_hash_table_lookup(f->found, "1")) - 1, 0, SEEK_END), ==, 77);
        g_assert_cmpint(lseek(GPOINTER_TO_INT(g_hash_table_lookup(f->found, "201")) - 1, 0, SEEK_END), ==, 77);
        g_assert_cmpint(vb_store_add(f->store, "0123456789abcdef", other), ==, -ENAMETOOLONG);
        vb_store_remove(f->store, "never");
}

/* As a crash leaves it that comes when one has been put behind the last, and not been taken out in front. */
static void test_one_that_is_there_twice(Fixture *f, const void *data) {
        char name[VB_STORE_NAME_MAX + 1] = "201", control[CMSG_SPACE(sizeof(int))] = {};
        struct iovec text = { name, sizeof(name) };
        struct msghdr message = { .msg_iov = &text, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
        vb_autofd fd = file_of(f, 0x201);

        keep(f, 0, VB_STORE_DIRECT + 3);
        *CMSG_FIRSTHDR(&message) = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int)) };
        memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), &fd, sizeof(fd));
        g_assert_cmpint(sendmsg(g_array_index(f->fds, int, VB_STORE_DIRECT + 1), &message, 0), ==, sizeof(name));
        crash(f);
        g_assert_cmpuint(g_hash_table_size(f->found), ==, VB_STORE_DIRECT + 3);
        vb_store_remove(f->store, "201");
        crash(f);
        g_assert_cmpuint(g_hash_table_size(f->found), ==, VB_STORE_DIRECT + 2);
        check_found(f, 0x201, false);
        vb_store_remove(f->store, "200");
        vb_store_remove(f->store, "202");
        listen_to_all(f);
        g_assert_cmpuint(f->fds->len, ==, VB_STORE_DIRECT);
}

static void test_over_exec(Fixture *f, const void *data) {
        static VbStore *volatile before; /* exec forgets it, and closes nothing of it */

        keep(f, 0, N);
        g_assert_cmpint(vb_store_set_inherited(f->store, true), ==, 0);
        g_assert_cmpint(fcntl(g_array_index(f->fds, int, KEPT - 1), F_GETFD), ==, FD_CLOEXEC); /* the manager's own */
        before = g_steal_pointer(&f->store);
        g_assert_nonnull(before);
        f->store = vb_store_new();
        g_assert_cmpint(vb_store_take_inherited(f->store), ==, 0);
        g_assert_null(g_getenv("VIRTBUS_STORE"));
        for (unsigned i = 0; i < N; i += 3) {
                g_autofree char *name = g_strdup_printf("%x", i);

                vb_store_claim(f->store, name);
        }
        vb_store_drop_unclaimed(f->store);
        crash(f);
        for (unsigned i = 0; i < N; i++)
                check_found(f, i, i % 3 == 0);
}

static void test_no_bundle(Fixture *f, const void *data) {
        static const char *const names[] = { "", "link", "7", "bundle", "bundlex", "bundle1x", "bundle99999999999", "bundle-1" };

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
                g_assert_false(vb_store_take_given(f->store, names[i], -EBADF));
        g_assert_true(g_setenv("VIRTBUS_STORE", "1:2,", true));
        g_assert_cmpint(vb_store_take_inherited(f->store), ==, -EBADMSG);
        g_unsetenv("NOTIFY_SOCKET");
        g_assert_cmpint(vb_store_add(f->store, "1", f->manager), ==, 0);
        vb_store_remove(f->store, "1");
}

int main(int argc, char **argv) {
        static const struct {
                const char *path;
                void (*function)(Fixture *f, const void *data);
        } tests[] = {
                { "/bus/store/crashes", test_crashes },
                { "/bus/store/the-same-name", test_the_same_name },
                { "/bus/store/one-that-is-there-twice", test_one_that_is_there_twice },
                { "/bus/store/over-exec", test_over_exec },
                { "/bus/store/no-bundle", test_no_bundle },
        };

        g_test_init(&argc, &argv, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
                g_test_add(tests[i].path, Fixture, NULL, setup, tests[i].function, teardown);
        return g_test_run();
}
