/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/open.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "qemu-open-fixture.h"

static void test_kinds_of_access(void) {
        g_autofree char *a = NULL, *log = NULL, *new = NULL, *text = NULL, *missing = NULL;
        VbOpenChain *chain;
        struct stat st;
        Fixture f;

        begin(&f);
        a = make_file(&f, "a", "hello", 5);
        log = path_of(&f, "log");
        new = path_of(&f, "new");
        missing = path_of(&f, "missing");
        add(&f, (VbOpenFile) { .id = "a", .path = a, .access = VB_OPEN_READ, .kind = VB_OPEN_REGULAR });
        add(&f, (VbOpenFile) { .id = "aw", .path = a, .access = VB_OPEN_WRITE, .kind = VB_OPEN_IMAGE, .format = VB_IMAGE_RAW });
        add(&f, (VbOpenFile) { .id = "log", .path = log, .access = VB_OPEN_APPEND, .kind = VB_OPEN_REGULAR });
        add(&f, (VbOpenFile) { .id = "new", .path = new, .access = VB_OPEN_CREATE, .kind = VB_OPEN_REGULAR });
        add(&f, (VbOpenFile) { .id = "null", .path = "/dev/null", .access = VB_OPEN_WRITE, .kind = VB_OPEN_CHARACTER });
        add(&f, (VbOpenFile) { .id = "dir", .path = f.folder, .access = VB_OPEN_READ, .kind = VB_OPEN_DIRECTORY });
        add(&f, (VbOpenFile) { .id = "gone", .path = missing, .kind = VB_OPEN_REGULAR, .optional = true });
        run(&f);
        g_assert_cmpint(f.r, ==, 0);
        g_assert_cmpuint(f.result->n_chains, ==, 7);

        chain = vb_open_result_find(f.result, "a");
        g_assert_cmpuint(chain->n_images, ==, 1);
        g_assert_cmpstr(chain->images[0].path, ==, a);
        g_assert_false(chain->images[0].writable);
        g_assert_cmpint(fcntl(chain->images[0].fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK), ==, O_RDONLY);
        g_assert_cmpint(fcntl(chain->images[0].fd, F_GETFD), ==, FD_CLOEXEC);
        text = read_all(chain->images[0].fd);
        g_assert_cmpstr(text, ==, "hello");

        chain = vb_open_result_find(f.result, "aw");
        g_assert_true(chain->images[0].writable);
        g_assert_cmpuint(chain->images[0].size, ==, 5);
        g_assert_cmpuint(chain->images[0].virtual_size, ==, 5);
        g_assert_cmpint(stat(a, &st), ==, 0);
        g_assert_cmpuint(chain->images[0].ino, ==, st.st_ino);
        g_assert_cmpuint(chain->images[0].dev, ==, st.st_dev);

        chain = vb_open_result_find(f.result, "log");
        g_assert_cmpint(fcntl(chain->images[0].fd, F_GETFL) & (O_ACCMODE | O_APPEND), ==, O_WRONLY | O_APPEND);
        g_assert_cmpint(stat(log, &st), ==, 0);
        g_assert_cmpuint(st.st_mode & 07777, ==, 0600);
        if (geteuid() == 0)
                g_assert_cmpuint(st.st_uid, ==, OWNER);

        g_assert_true(S_ISCHR(vb_open_result_find(f.result, "null")->images[0].mode));
        g_assert_true(S_ISDIR(vb_open_result_find(f.result, "dir")->images[0].mode));
        g_assert_cmpuint(vb_open_result_find(f.result, "gone")->n_images, ==, 0);
        g_assert_null(vb_open_result_find(f.result, "other"));
        end(&f);
}

/* What another user owns stays closed, and the sentence says who was refused where. */
static void test_permissions(void) {
        g_autofree char *secret = NULL, *closed = NULL, *inside = NULL, *expected = NULL, *expected_inside = NULL;
        Fixture f;

        if (geteuid() != 0) {
                g_test_skip("needs root");
                return;
        }
        begin(&f);
        secret = make_file(&f, "secret", "x", 1);
        g_assert_cmpint(chown(secret, 0, 0), ==, 0);
        add(&f, (VbOpenFile) { .id = "disk vda", .path = secret, .kind = VB_OPEN_REGULAR });
        run(&f);
        expected = g_strdup_printf("disk vda: %s: permission denied for uid %u", secret, OWNER);
        g_assert_cmpstr(f.message, ==, expected);
        g_assert_cmpstr(f.name, ==, VB_ERROR_NO_PERMISSION);
        g_assert_cmpint(f.r, ==, -EACCES);

        again(&f);
        closed = path_of(&f, "closed");
        inside = path_of(&f, "closed/image");
        g_assert_cmpint(vb_mkdir(closed, 0700), ==, 0);
        add(&f, (VbOpenFile) { .id = "disk vda", .path = inside, .kind = VB_OPEN_REGULAR });
        run(&f);
        expected_inside = g_strdup_printf("disk vda: %s: permission denied for uid %u, which may not enter the folder %s",
                                          inside, OWNER, closed);
        g_assert_cmpstr(f.message, ==, expected_inside);

        /* A link of the owner's to what she may not read. */
        again(&f);
        g_clear_pointer(&inside, g_free);
        inside = path_of(&f, "link");
        g_assert_cmpint(symlink("/etc/shadow", inside), ==, 0);
        add(&f, (VbOpenFile) { .id = "disk vda", .path = inside, .kind = VB_OPEN_REGULAR });
        run(&f);
        g_assert_cmpint(f.r, ==, -EACCES);

        /* Nor may anything be created where she may not write. */
        again(&f);
        add(&f, (VbOpenFile) { .id = "log", .path = "/etc/virtbus-test-log", .access = VB_OPEN_APPEND, .kind = VB_OPEN_REGULAR });
        run(&f);
        g_assert_cmpint(f.r, ==, -EACCES);
        g_assert_false(g_file_test("/etc/virtbus-test-log", G_FILE_TEST_EXISTS));
        end(&f);
}

static void test_never_opened(void) {
        g_autofree char *fifo = NULL, *socket_path = NULL, *loop = NULL, *dangling = NULL, *created = NULL;
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        vb_autofd fd = -EBADF;
        Fixture f;

        begin(&f);
        fifo = path_of(&f, "fifo");
        socket_path = path_of(&f, "socket");
        loop = path_of(&f, "loop");
        dangling = path_of(&f, "dangling");
        created = path_of(&f, "elsewhere");
        g_assert_cmpint(mkfifo(fifo, 0666), ==, 0);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        g_strlcpy(address.sun_path, socket_path, sizeof address.sun_path);
        g_assert_cmpint(bind(fd, (struct sockaddr *) &address, sizeof address), ==, 0);
        g_assert_cmpint(symlink("loop", loop), ==, 0);
        g_assert_cmpint(symlink("elsewhere", dangling), ==, 0);

        add(&f, (VbOpenFile) { .id = "serial", .path = fifo, .kind = VB_OPEN_REGULAR | VB_OPEN_CHARACTER });
        run(&f);
        g_assert_nonnull(strstr(f.message, "fifo: is a FIFO, but must be"));
        again(&f);
        add(&f, (VbOpenFile) { .id = "x", .path = socket_path, .kind = VB_OPEN_REGULAR });
        run(&f);
        g_assert_nonnull(strstr(f.message, "socket: is a socket, but must be a regular file"));
        again(&f);
        add(&f, (VbOpenFile) { .id = "x", .path = f.folder, .kind = VB_OPEN_REGULAR });
        run(&f);
        g_assert_nonnull(strstr(f.message, "is a folder, but must be a regular file"));
        again(&f);
        add(&f, (VbOpenFile) { .id = "x", .path = loop, .kind = VB_OPEN_REGULAR });
        run(&f);
        g_assert_nonnull(strstr(f.message, "leads through too many links"));
        again(&f);
        /* A link decides no place where something is created. */
        add(&f, (VbOpenFile) { .id = "x", .path = dangling, .access = VB_OPEN_CREATE, .kind = VB_OPEN_REGULAR });
        run(&f);
        g_assert_cmpint(f.r, <, 0);
        g_assert_false(g_file_test(created, G_FILE_TEST_EXISTS));
        end(&f);
}

/* A path that changes between a file of the owner's and a link to one that she may not read: what comes is the one
 * or an error, never the other. */
static void test_swapped_path(void) {
        g_autofree char *path = NULL, *mine = NULL, *secret = NULL, *link = NULL;
        Fixture f;

        if (geteuid() != 0) {
                g_test_skip("needs root");
                return;
        }
        begin(&f);
        path = make_file(&f, "image", "mine", 4);
        secret = make_file(&f, "secret", "secret", 6);
        g_assert_cmpint(chown(secret, 0, 0), ==, 0);
        link = path_of(&f, "link");
        for (unsigned i = 0; i < 30; i++) {
                again(&f);
                for (unsigned j = 0; j < 50; j++) {
                        g_autofree char *id = g_strdup_printf("%u", j);

                        add(&f, (VbOpenFile) { .id = id, .path = path, .kind = VB_OPEN_REGULAR });
                }
                g_assert_cmpint(vb_open_request_send(f.request, on_done, &f, 0, NULL), ==, 0);
                while (f.n_done == 0) {
                        g_assert_cmpint(sd_event_run(f.event, 0), >=, 0);
                        (void) symlink("secret", link);
                        (void) renameat2(AT_FDCWD, link, AT_FDCWD, path, RENAME_EXCHANGE);
                }
                if (f.r < 0) {
                        g_assert_cmpint(f.r, ==, -EACCES);
                        continue;
                }
                for (size_t j = 0; j < f.result->n_chains; j++) {
                        g_autofree char *text = read_all(f.result->chains[j].images[0].fd);

                        g_assert_cmpstr(text, ==, "mine");
                }
        }
        end(&f);
}

/* The caller's own descriptor, as Create() takes them: only its chain is opened. */
static void test_descriptor(void) {
        g_autofree char *base = NULL, *absolute = NULL, *top = NULL, *relative = NULL, *text = NULL;
        vb_autofd fd = -EBADF, fd_relative = -EBADF;
        VbOpenChain *chain;
        Fixture f;

        begin(&f);
        base = make_file(&f, "base", "base", 4);
        top = make_qcow2(&f, "top", base, "raw", 0);
        relative = make_qcow2(&f, "relative", "base", "raw", 0);
        fd = open(top, O_RDWR | O_CLOEXEC);
        fd_relative = open(relative, O_RDWR | O_CLOEXEC);
        add(&f, (VbOpenFile) { .id = "vda", .fd = fd, .access = VB_OPEN_WRITE, .kind = VB_OPEN_IMAGE,
                               .format = VB_IMAGE_QCOW2, .follow_chain = true });
        run(&f);
        g_assert_cmpint(f.r, ==, 0);
        chain = vb_open_result_find(f.result, "vda");
        g_assert_cmpuint(chain->n_images, ==, 2);
        g_assert_null(chain->images[0].path);
        text = read_all(chain->images[1].fd);
        g_assert_cmpstr(text, ==, "base");

        again(&f);
        add(&f, (VbOpenFile) { .id = "vda", .fd = fd_relative, .access = VB_OPEN_WRITE, .kind = VB_OPEN_IMAGE,
                               .format = VB_IMAGE_QCOW2, .follow_chain = true });
        run(&f);
        g_assert_cmpstr(f.message, ==,
                        "vda: the descriptor: its backing image 'base' has a relative name, but only a descriptor was given");
        end(&f);
}

static void test_bad_requests(void) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        g_autofree char *overlong = g_strnfill(5000, '/');
        VbOpenFile file = { .id = "a", .path = "relative", .kind = VB_OPEN_REGULAR };
        Fixture f;

        begin(&f);
        g_assert_cmpint(vb_open_request_add(f.request, &file, &error), ==, -EINVAL);
        g_assert_cmpstr(error.message, ==, "a: 'relative' is not an absolute path of at most 4095 bytes");
        sd_bus_error_free(&error);
        file.path = overlong;
        g_assert_cmpint(vb_open_request_add(f.request, &file, &error), ==, -EINVAL);
        sd_bus_error_free(&error);
        file.path = NULL;
        g_assert_cmpint(vb_open_request_add(f.request, &file, &error), ==, -EINVAL);
        sd_bus_error_free(&error);
        file.path = "/x";
        g_assert_cmpint(vb_open_request_add(f.request, &file, &error), ==, 0);
        g_assert_cmpint(vb_open_request_add(f.request, &file, &error), ==, -EINVAL);
        g_assert_cmpstr(error.message, ==, "a: is there twice");
        end(&f);
}

/* More than the socket holds at once, in both directions. */
static void test_many(void) {
        g_autofree char *a = NULL;
        Fixture f;

        begin(&f);
        a = make_file(&f, "a", "x", 1);
        for (unsigned i = 0; i < 400; i++) {
                g_autofree char *id = g_strdup_printf("file %u", i);

                add(&f, (VbOpenFile) { .id = id, .path = a, .kind = VB_OPEN_REGULAR });
        }
        run(&f);
        g_assert_cmpint(f.r, ==, 0);
        for (unsigned i = 0; i < 400; i++)
                g_assert_cmpint(f.result->chains[i].images[0].fd, >, 2);
        end(&f);
}

/* Children that do not do what they should. */
static void test_broken_child(void) {
        static const struct {
                const char *script;
                uint64_t timeout_usec;
                const char *message; /* %s: the program */
        } rows[] = {
                { "sleep 1000", 50000, "a: /dev/null: could not be opened within 0.05 s" },
                { "echo 'no more luck' >&2; exit 3", 0, "a: %s exited with status 3: no more luck" },
                { "kill -9 $$", 0, "a: %s was killed by signal 9 (Killed)" },
                { "echo junk >&0; sleep 1000", 0, "a: %s sent an answer that it must not" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
                for (int free_in_done = 0; free_in_done < 2; free_in_done++) {
                        g_autofree char *script = NULL, *text = g_strdup_printf("#!/bin/sh\n%s\n", rows[i].script);
                        g_auto(GStrv) parts = g_strsplit(rows[i].message, "%s", -1);
                        g_autofree char *expected = NULL;
                        Fixture f;

                        begin(&f);
                        f.free_in_done = free_in_done;
                        script = make_file(&f, "child", text, strlen(text));
                        g_assert_cmpint(chmod(script, 0755), ==, 0);
                        vb_open_set_program(script);
                        expected = g_strjoinv(script, parts);
                        f.timeout_usec = rows[i].timeout_usec;
                        add(&f, (VbOpenFile) { .id = "a", .path = "/dev/null", .kind = VB_OPEN_CHARACTER });
                        run(&f);
                        g_assert_cmpstr(f.message, ==, expected);
                        end(&f);
                }

        {
                Fixture f;

                begin(&f);
                vb_open_set_program("/no/such/program");
                add(&f, (VbOpenFile) { .id = "a", .path = "/dev/null", .kind = VB_OPEN_CHARACTER });
                run(&f);
                g_assert_cmpstr(f.message, ==, "program '/no/such/program': cannot execute it: No such file or directory");
                end(&f);
        }
        vb_open_set_program(program);
}

static void test_cancel(void) {
        Fixture f;

        begin(&f);
        add(&f, (VbOpenFile) { .id = "a", .path = "/dev/null", .kind = VB_OPEN_CHARACTER });
        g_assert_cmpint(vb_open_request_send(f.request, on_done, &f, 0, NULL), ==, 0);
        (void) sd_event_run(f.event, 1000);
        f.request = vb_open_request_free(f.request);
        for (int i = 0; i < 20; i++)
                (void) sd_event_run(f.event, 5000);
        g_assert_cmpuint(f.n_done, ==, 0);
        end(&f);
}

/* A figure, not a promise: run with -m perf. */
static void test_speed(void) {
        unsigned n = g_test_perf() ? 300 : 3;
        gint64 begun;
        Fixture f;

        begin(&f);
        begun = g_get_monotonic_time();
        for (unsigned i = 0; i < n; i++) {
                again(&f);
                add(&f, (VbOpenFile) { .id = "a", .path = "/dev/null", .kind = VB_OPEN_CHARACTER });
                run(&f);
                g_assert_cmpint(f.r, ==, 0);
        }
        g_test_message("%.0f us to start, open and end", (double) (g_get_monotonic_time() - begun) / n);
        end(&f);
}

static void add_tests(void) {
        g_test_add_func("/open/kinds-of-access", test_kinds_of_access);
        g_test_add_func("/open/permissions", test_permissions);
        g_test_add_func("/open/never-opened", test_never_opened);
        g_test_add_func("/open/swapped-path", test_swapped_path);
        g_test_add_func("/open/descriptor", test_descriptor);
        g_test_add_func("/open/bad-requests", test_bad_requests);
        g_test_add_func("/open/many", test_many);
        g_test_add_func("/open/broken-child", test_broken_child);
        g_test_add_func("/open/cancel", test_cancel);
        g_test_add_func("/open/speed", test_speed);
}

int main(int argc, char **argv) {
        return run_open_tests(argc, argv, add_tests);
}
