/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copying around the page cache: what comes through is what went in, at any length and from any offset. */

#include "base/direct.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "test-util.h"

typedef struct Case {
        const char *name;
        size_t size;
        uint64_t offset;
} Case;

static const Case cases[] = {
        { "nothing", 0, 4096 },
        { "a byte", 1, 4096 },
        { "a page", 4096, 8192 },
        { "a block", (size_t) 1 << 20, 0 },
        { "blocks and a bit", ((size_t) 3 << 20) + 4097, 4096 },
        { "from the middle of a page", ((size_t) 1 << 20) + 5, 100 },
};

/* A pipe's other end. */
typedef struct End {
        int fd;
        char *data;
        size_t size;
} End;

static void *feed(void *data) {
        End *end = data;

        /* In small pieces, as they come from an emulator. */
        for (size_t done = 0; done < end->size; done += MIN(end->size - done, 5000))
                g_assert_cmpint(vb_write_all(end->fd, end->data + done, MIN(end->size - done, 5000)), ==, 0);
        end->fd = vb_close(end->fd);
        return NULL;
}

static void *drain(void *data) {
        End *end = data;

        g_assert_cmpint(vb_file_read_fd(end->fd, (size_t) 16 << 20, &end->data, &end->size), ==, 0);
        end->fd = vb_close(end->fd);
        return NULL;
}

static void test_copy(const void *data) {
        const Case *c = data;
        g_autofree char *path = NULL, *content = g_malloc(c->size + 1);
        int file = g_file_open_tmp("virtbus-direct-XXXXXX", &path, NULL), fds[2];
        End in = { .data = content, .size = c->size }, out = { .fd = -EBADF };
        GThread *thread;

        for (size_t i = 0; i < c->size; i++)
                content[i] = (char) (i * 31 + i / 4096);

        g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
        in.fd = fds[1];
        thread = g_thread_new("feed", feed, &in);
        g_assert_cmpint(vb_direct_write(file, c->offset, fds[0]), ==, 0);
        (void) g_thread_join(thread);
        (void) vb_close(fds[0]);
        g_assert_cmpint(lseek(file, 0, SEEK_CUR), ==, 0);
        g_assert_cmpint(lseek(file, 0, SEEK_END), ==, c->size > 0 ? (off_t) (c->offset + c->size) : 0);

        g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
        out.fd = fds[0];
        thread = g_thread_new("drain", drain, &out);
        g_assert_cmpint(vb_direct_read(file, c->offset, fds[1]), ==, 0);
        (void) vb_close(fds[1]);
        (void) g_thread_join(thread);
        g_assert_cmpmem(out.data, out.size, content, c->size);

        g_free(out.data);
        (void) vb_close(file);
        g_assert_cmpint(unlink(path), ==, 0);
}

static void test_full(void) {
        int file = open("/dev/full", O_WRONLY | O_CLOEXEC), fds[2];
        End in = { .data = (char[100]){ 0 }, .size = 100 };

        g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
        in.fd = fds[1];
        (void) feed(&in);
        g_assert_cmpint(vb_direct_write(file, 0, fds[0]), ==, -ENOSPC);
        (void) vb_close(fds[0]);
        (void) vb_close(file);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *name = g_strdup_printf("/base/direct/%s", cases[i].name);

                g_test_add_data_func(name, &cases[i], test_copy);
        }
        g_test_add_func("/base/direct/a full disk", test_full);
        return g_test_run();
}
