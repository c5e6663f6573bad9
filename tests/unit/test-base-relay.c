/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/relay.h"

#include <signal.h>
#include <string.h>
#include <sys/socket.h>

typedef struct Fixture {
        sd_event *event;
        VbRelay *relay;
        int client, guest; /* the outer ends */
        int ended;         /* calls of on_ended() */
        int result;
} Fixture;

static void on_ended(VbRelay *relay, int r, void *userdata) {
        Fixture *fixture = userdata;

        fixture->ended++;
        fixture->result = r;
        fixture->relay = vb_relay_free(relay);
}

static void set_up(Fixture *fixture, const void *data) {
        int left[2], right[2];

        *fixture = (Fixture){ .client = -EBADF, .guest = -EBADF };
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, left), ==, 0);
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, right), ==, 0);
        g_assert_cmpint(sd_event_new(&fixture->event), >=, 0);
        g_assert_cmpint(vb_relay_new(&fixture->relay, fixture->event, left[1], right[1], on_ended, fixture), ==, 0);
        fixture->client = left[0];
        fixture->guest = right[0];
}

static void tear_down(Fixture *fixture, const void *data) {
        fixture->relay = vb_relay_free(fixture->relay);
        sd_event_unref(fixture->event);
        fixture->client = vb_close(fixture->client);
        fixture->guest = vb_close(fixture->guest);
}

/* Turns the loop until there is nothing to do. */
static void settle(Fixture *fixture) {
        while (sd_event_run(fixture->event, 0) > 0)
                ;
}

static void test_both_ways(Fixture *fixture, const void *data) {
        char buffer[16] = "";

        g_assert_cmpint(write(fixture->client, "ls\n", 3), ==, 3);
        g_assert_cmpint(write(fixture->guest, "login: ", 7), ==, 7);
        settle(fixture);
        g_assert_cmpint(read(fixture->guest, buffer, sizeof(buffer)), ==, 3);
        g_assert_cmpmem(buffer, 3, "ls\n", 3);
        g_assert_cmpint(read(fixture->client, buffer, sizeof(buffer)), ==, 7);
        g_assert_cmpmem(buffer, 7, "login: ", 7);
        g_assert_cmpint(fixture->ended, ==, 0);
}

static size_t fill(int fd) {
        char block[4096];
        size_t total = 0;
        ssize_t n;

        memset(block, 'x', sizeof(block));
        while ((n = send(fd, block, sizeof(block), MSG_DONTWAIT)) > 0)
                total += (size_t) n;
        return total;
}

/* A client that does not read stops the guest's output, bounded, while its own input still flows. */
static void test_slow_reader(Fixture *fixture, const void *data) {
        size_t sent = 0, more, received = 0;
        char block[4096];
        ssize_t n;

        while ((more = fill(fixture->guest)) > 0) {
                sent += more;
                settle(fixture);
                g_assert_cmpuint(sent, <, 16 * 1024 * 1024);
        }

        g_assert_cmpint(write(fixture->client, "q", 1), ==, 1);
        settle(fixture);
        g_assert_cmpint(recv(fixture->guest, block, sizeof(block), MSG_DONTWAIT), ==, 1);

        for (;;) {
                settle(fixture);
                n = recv(fixture->client, block, sizeof(block), MSG_DONTWAIT);
                if (n <= 0)
                        break;
                received += (size_t) n;
        }
        g_assert_cmpuint(received, ==, sent);
        g_assert_cmpint(fixture->ended, ==, 0);
}

/* What the guest said before it ended still reaches the client. */
static void test_last_words(Fixture *fixture, const void *data) {
        char buffer[16];

        g_assert_cmpint(write(fixture->guest, "bye", 3), ==, 3);
        fixture->guest = vb_close(fixture->guest);
        settle(fixture);
        g_assert_cmpint(fixture->ended, ==, 1);
        g_assert_cmpint(fixture->result, ==, 0);
        g_assert_cmpint(read(fixture->client, buffer, sizeof(buffer)), ==, 3);
        g_assert_cmpint(read(fixture->client, buffer, sizeof(buffer)), ==, 0);
}

static void test_client_leaves(Fixture *fixture, const void *data) {
        fixture->client = vb_close(fixture->client);
        settle(fixture);
        g_assert_cmpint(fixture->ended, ==, 1);
        g_assert_cmpint(fixture->result, ==, 0);
}

/* The client leaves while output waits for it: EPIPE is its leaving, not an error. */
static void test_client_leaves_unread(Fixture *fixture, const void *data) {
        while (fill(fixture->guest) > 0)
                settle(fixture);
        fixture->client = vb_close(fixture->client);
        settle(fixture);
        g_assert_cmpint(fixture->ended, ==, 1);
        g_assert_cmpint(fixture->result, ==, 0);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        (void) signal(SIGPIPE, SIG_IGN);

#define ADD(name, function) g_test_add("/relay/" name, Fixture, NULL, set_up, function, tear_down)
        ADD("both-ways", test_both_ways);
        ADD("slow-reader", test_slow_reader);
        ADD("last-words", test_last_words);
        ADD("client-leaves", test_client_leaves);
        ADD("client-leaves-unread", test_client_leaves_unread);
        return g_test_run();
}
