/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What passes between listener and worker, where the other end is well-behaved, broken, slow or dead. */
#include "proxy/control.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/error.h"
#include "test-util.h"

typedef struct Fixture {
        sd_event *event;
        ProxyControl *control; /* under test */
        int far; /* the other end, played by the test */

        /* What was received. */
        unsigned n, n_gone;
        int gone;
        ProxyControlHead head;
        GByteArray *tail;
        int fd;

        int answer; /* received() returns it */
        bool free_on_receive;
} Fixture;

static int on_received(const ProxyControlHead *head, const void *tail, size_t n_tail, int *fd, void *userdata) {
        Fixture *f = userdata;

        f->n++;
        f->head = *head;
        g_byte_array_set_size(f->tail, 0);
        g_byte_array_append(f->tail, tail, (guint) n_tail);
        g_assert_cmpint(((const char *) tail)[n_tail], ==, '\0');
        if (*fd >= 0) {
                (void) vb_close(f->fd);
                f->fd = vb_steal_fd(fd);
        }
        if (f->free_on_receive)
                f->control = proxy_control_free(f->control);
        return f->answer;
}

static void on_gone(int r, void *userdata) {
        Fixture *f = userdata;

        f->n_gone++;
        f->gone = r;
}

static void set_up(Fixture *f, gconstpointer unused) {
        static const ProxyControlEnds ends = { .received = on_received, .gone = on_gone };
        int pair[2];

        *f = (Fixture){ .event = test_event_new(), .tail = g_byte_array_new(), .fd = -EBADF };
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), ==, 0);
        g_assert_cmpint(proxy_control_new(&f->control, f->event, pair[0], &ends, f), ==, 0);
        f->far = pair[1];
}

static void tear_down(Fixture *f, gconstpointer unused) {
        proxy_control_free(f->control);
        (void) vb_close(f->far);
        (void) vb_close(f->fd);
        g_byte_array_unref(f->tail);
        sd_event_unref(f->event);
}

static void send_far(Fixture *f, const void *data, size_t size) {
        g_assert_cmpint(send(f->far, data, size, MSG_NOSIGNAL), ==, (ssize_t) size);
}

static void assert_broken(Fixture *f, int r) {
        TEST_RUN_UNTIL(f->event, f->n_gone > 0);
        test_run_idle(f->event);
        g_assert_cmpint(f->gone, ==, r);
        g_assert_cmpuint(f->n_gone, ==, 1);
}

static void test_head_and_tail(Fixture *f, gconstpointer unused) {
        ProxyControlHead head = { .kind = PROXY_CONTROL_GONE, .id = 7, .result = -3 };
        uint8_t packet[sizeof head + 5];

        send_far(f, &head, sizeof head);
        TEST_RUN_UNTIL(f->event, f->n == 1);
        g_assert_cmpint(f->head.kind, ==, PROXY_CONTROL_GONE);
        g_assert_cmpuint(f->head.id, ==, 7);
        g_assert_cmpint(f->head.result, ==, -3);
        g_assert_cmpuint(f->tail->len, ==, 0);
        memcpy(packet, &head, sizeof head);
        memcpy(packet + sizeof head, "hello", 5);
        send_far(f, packet, sizeof packet);
        TEST_RUN_UNTIL(f->event, f->n == 2);
        g_assert_cmpuint(f->tail->len, ==, 5);
        g_assert_cmpint(memcmp(f->tail->data, "hello", 5), ==, 0);
        g_assert_cmpint(f->fd, ==, -EBADF);
}

static void test_bad_lengths(Fixture *f, gconstpointer unused) {
        const ProxyControlHead head = { .kind = PROXY_CONTROL_GONE };

        send_far(f, &head, sizeof head - 1);
        assert_broken(f, -EBADMSG);
        g_assert_cmpuint(f->n, ==, 0);
}

static void test_too_long(Fixture *f, gconstpointer unused) {
        g_autofree ProxyControlHead *head = g_malloc0(sizeof *head + PROXY_CONTROL_TAIL_MAX + 1);

        head->kind = PROXY_CONTROL_ASK;
        send_far(f, head, sizeof *head + PROXY_CONTROL_TAIL_MAX);
        TEST_RUN_UNTIL(f->event, f->n == 1);
        g_assert_cmpuint(f->tail->len, ==, PROXY_CONTROL_TAIL_MAX);
        send_far(f, head, sizeof *head + PROXY_CONTROL_TAIL_MAX + 1);
        assert_broken(f, -EBADMSG);
        g_assert_cmpuint(f->n, ==, 1);
}

static void test_unknown_kind(Fixture *f, gconstpointer unused) {
        const ProxyControlHead head = { .kind = _PROXY_CONTROL_KIND_MAX };

        send_far(f, &head, sizeof head);
        assert_broken(f, -EBADMSG);
        g_assert_cmpuint(f->n, ==, 0);
}

/* What received() refuses is the end, and nothing after it is looked at. */
static void test_unexpected(Fixture *f, gconstpointer unused) {
        const ProxyControlHead head = { .kind = PROXY_CONTROL_CLIENT };

        f->answer = -EBADMSG;
        send_far(f, &head, sizeof head);
        send_far(f, &head, sizeof head);
        assert_broken(f, -EBADMSG);
        g_assert_cmpuint(f->n, ==, 1);
}

static void test_other_end_dies(Fixture *f, gconstpointer unused) {
        const ProxyControlHead head = { .kind = PROXY_CONTROL_GONE, .id = 1 };

        /* What it said before is heard. */
        send_far(f, &head, sizeof head);
        f->far = vb_close(f->far);
        assert_broken(f, -EPIPE);
        g_assert_cmpuint(f->n, ==, 1);
        g_assert_cmpint(proxy_control_send(f->control, &head, NULL, 0, -EBADF), ==, -EPIPE);
}

static void test_freed_while_it_calls(Fixture *f, gconstpointer unused) {
        const ProxyControlHead head = { .kind = PROXY_CONTROL_GONE };

        f->free_on_receive = true;
        send_far(f, &head, sizeof head);
        send_far(f, &head, sizeof head);
        TEST_RUN_UNTIL(f->event, f->n == 1);
        test_run_idle(f->event);
        g_assert_cmpuint(f->n, ==, 1);
        g_assert_cmpuint(f->n_gone, ==, 0);
}

static bool is_same_file(int one, int other) {
        struct stat a, b;

        g_assert_cmpint(fstat(one, &a), ==, 0);
        g_assert_cmpint(fstat(other, &b), ==, 0);
        return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static void test_descriptor(Fixture *f, gconstpointer unused) {
        g_autofree char *tail = g_malloc(PROXY_CONTROL_TAIL_MAX + 1);
        const ProxyControlHead head = { .kind = PROXY_CONTROL_CLIENT, .id = 9 };
        vb_autofd sent = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), received = -EBADF;
        ProxyControlHead got;
        size_t n_tail;

        g_assert_cmpint(proxy_control_send(f->control, &head, "tail", 4, sent), ==, 0);
        g_assert_cmpint(proxy_control_receive(f->far, &got, tail, &n_tail, &received), ==, 0);
        g_assert_cmpuint(got.id, ==, 9);
        g_assert_cmpuint(n_tail, ==, 4);
        g_assert_cmpstr(tail, ==, "tail");
        g_assert_true(is_same_file(sent, received));
        g_assert_true(fcntl(received, F_GETFD) & FD_CLOEXEC);
        g_assert_true(fcntl(sent, F_GETFD) >= 0); /* it stays the caller's */
}

/* Two where one is allowed: the kernel cuts them off, which shows. */
static void test_too_many_descriptors(Fixture *f, gconstpointer unused) {
        ProxyControlHead head = { .kind = PROXY_CONTROL_CLIENT };
        struct iovec part = { &head, sizeof head };
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(3 * sizeof(int))];
        } control = { 0 };
        struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
        const int fds[3] = { STDERR_FILENO, STDERR_FILENO, STDERR_FILENO };

        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof fds);
        memcpy(CMSG_DATA(&control.header), fds, sizeof fds);
        g_assert_cmpint(sendmsg(f->far, &message, MSG_NOSIGNAL), >, 0);
        assert_broken(f, -EBADMSG);
        g_assert_cmpuint(f->n, ==, 0);
        g_assert_cmpint(f->fd, ==, -EBADF);
}

/* An end that does not read gets all in its order when it does; too much for it is an error. */
static void test_slow_reader(Fixture *f, gconstpointer unused) {
        g_autofree char *tail = g_malloc(PROXY_CONTROL_TAIL_MAX + 1);
        ProxyControlHead head = { .kind = PROXY_CONTROL_GONE }, got;
        vb_autofd null = open("/dev/null", O_RDONLY | O_CLOEXEC);
        uint64_t n = 0;
        int r;

        do {
                head.id = n;
                r = proxy_control_send(f->control, &head, "x", 1, n % 1000 == 0 ? null : -EBADF);
        } while (r >= 0 && n++ < 10 * (uint64_t) PROXY_CONTROL_QUEUE_MAX);
        g_assert_cmpint(r, ==, -ENOBUFS);
        g_assert_cmpuint(n, >=, PROXY_CONTROL_QUEUE_MAX);

        for (uint64_t i = 0; i < n; i++) {
                vb_autofd fd = -EBADF;
                size_t n_tail;

                test_run_idle(f->event);
                g_assert_cmpint(proxy_control_receive(f->far, &got, tail, &n_tail, &fd), ==, 0);
                g_assert_cmpuint(got.id, ==, i);
                g_assert_cmpuint(n_tail, ==, 1);
                if (i % 1000 == 0)
                        g_assert_true(is_same_file(fd, null));
                else
                        g_assert_cmpint(fd, ==, -EBADF);
        }
        head.id = n;
        g_assert_cmpint(proxy_control_send(f->control, &head, NULL, 0, -EBADF), ==, 0);
}

#define TEST(name, function) g_test_add("/proxy/control/" name, Fixture, NULL, set_up, function, tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        vb_error_init();
        TEST("head-and-tail", test_head_and_tail);
        TEST("bad-lengths", test_bad_lengths);
        TEST("too-long", test_too_long);
        TEST("unknown-kind", test_unknown_kind);
        TEST("unexpected", test_unexpected);
        TEST("other-end-dies", test_other_end_dies);
        TEST("freed-while-it-calls", test_freed_while_it_calls);
        TEST("descriptor", test_descriptor);
        TEST("too-many-descriptors", test_too_many_descriptors);
        TEST("slow-reader", test_slow_reader);
        return g_test_run();
}
