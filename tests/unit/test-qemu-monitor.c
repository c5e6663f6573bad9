/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/monitor.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "qemu/monitor-stream.h"
#include "test-util.h"

#define GREETING                                                                                        \
        "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 9, \"minor\": 2, \"major\": 7}, \"package\": "  \
        "\"Debian\"}, \"capabilities\": [\"oob\"]}}\r\n"
#define CAPABILITIES_DONE "{\"return\": {}, \"id\": 1}\r\n"

/* The emulator's end: a script of bytes that is sent as the socket takes it, its unit repeated. */
typedef struct Peer {
        int fd;
        sd_event_source *io;
        GString *script;
        size_t sent;
        const char *unit;
        size_t n_units;
        bool close_at_end;
} Peer;

typedef struct Fixture {
        sd_event *event;
        QmpMonitor *monitor;
        Peer peer;
        unsigned n_ready, n_events, n_closed, n_answers;
        int closed_r, answer_r;
        char *closed_message, *answer_message, *answer_class, *answer_result, *last_event;
        uint64_t last_event_usec;
        bool free_in_answer, free_in_event, free_in_closed, free_in_ready, send_in_answer;
} Fixture;

static int on_peer(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Peer *peer = userdata;

        for (int turn = 0; turn < 8; turn++) {
                ssize_t n;

                if (peer->sent == peer->script->len) {
                        if (peer->n_units == 0) {
                                (void) sd_event_source_set_enabled(peer->io, SD_EVENT_OFF);
                                if (peer->close_at_end)
                                        peer->fd = vb_close(peer->fd);
                                return 0;
                        }
                        (void) g_string_truncate(peer->script, 0);
                        peer->sent = 0;
                        for (; peer->n_units > 0 && peer->script->len < 65536; peer->n_units--)
                                (void) g_string_append(peer->script, peer->unit);
                }
                n = send(fd, peer->script->str + peer->sent, peer->script->len - peer->sent,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
                if (n < 0 && errno == EAGAIN)
                        return 0;
                if (n < 0) {
                        (void) sd_event_source_set_enabled(peer->io, SD_EVENT_OFF);
                        return 0;
                }
                peer->sent += (size_t) n;
        }
        return 0;
}

static void peer_say(Fixture *f, const char *text) {
        (void) g_string_append(f->peer.script, text);
        (void) sd_event_source_set_enabled(f->peer.io, SD_EVENT_ON);
}

static void on_ready(QmpMonitor *monitor, void *userdata) {
        Fixture *f = userdata;

        f->n_ready++;
        if (f->free_in_ready)
                f->monitor = qmp_monitor_free(monitor);
}

static void on_event(QmpMonitor *monitor, const char *name, VbJson *data, uint64_t usec, void *userdata) {
        Fixture *f = userdata;

        f->n_events++;
        g_free(f->last_event);
        f->last_event = g_strdup_printf("%s %s", name, data ? json_object_to_json_string(data) : "-");
        f->last_event_usec = usec;
        if (f->free_in_event)
                f->monitor = qmp_monitor_free(monitor);
}

static void on_closed(QmpMonitor *monitor, int r, const sd_bus_error *error, void *userdata) {
        Fixture *f = userdata;

        f->n_closed++;
        f->closed_r = r;
        f->closed_message = g_strdup(error->message);
        if (f->free_in_closed)
                f->monitor = qmp_monitor_free(monitor);
}

static void on_answer(QmpMonitor *monitor, const QmpReply *reply, void *userdata) {
        Fixture *f = userdata;

        f->n_answers++;
        f->answer_r = reply->r;
        g_free(f->answer_message);
        g_free(f->answer_class);
        g_free(f->answer_result);
        f->answer_message = g_strdup(reply->error.message);
        f->answer_class = g_strdup(reply->error_class);
        f->answer_result = reply->result ? g_strdup(json_object_to_json_string(reply->result)) : NULL;
        if (f->send_in_answer)
                (void) qmp_monitor_send(monitor, "query-again", NULL, on_answer, f, 0);
        if (f->free_in_answer)
                f->monitor = qmp_monitor_free(monitor);
}

static const QmpMonitorHandlers handlers = { .ready = on_ready, .event = on_event, .closed = on_closed };

static void begin_on(Fixture *f, sd_event *event) {
        int ends[2];

        f->event = event;
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), ==, 0);
        g_assert_cmpint(qmp_monitor_new(&f->monitor, f->event, ends[0], "domain 'web'", &handlers, f), ==, 0);
        f->peer.fd = ends[1];
        f->peer.script = g_string_new(NULL);
        g_assert_cmpint(sd_event_add_io(f->event, &f->peer.io, ends[1], EPOLLOUT, on_peer, &f->peer), ==, 0);
}

static void begin(Fixture *f) {
        begin_on(f, test_event_new());
}

static void begin_ready(Fixture *f) {
        begin(f);
        peer_say(f, GREETING CAPABILITIES_DONE);
        TEST_RUN_UNTIL(f->event, f->n_ready > 0);
}

static void done_with(Fixture *f) {
        f->monitor = qmp_monitor_free(f->monitor);
        f->peer.io = sd_event_source_disable_unref(f->peer.io);
        vb_close(f->peer.fd);
        (void) g_string_free(f->peer.script, true);
        g_free(f->closed_message);
        g_free(f->answer_message);
        g_free(f->answer_class);
        g_free(f->answer_result);
        g_free(f->last_event);
}

static void end(Fixture *f) {
        sd_event *event = f->event;

        done_with(f);
        test_run_idle(event);
        sd_event_unref(event);
}

/* All that the monitor has sent. */
static char *peer_hears(Fixture *f) {
        char text[65536];
        ssize_t n = recv(f->peer.fd, text, sizeof text - 1, MSG_DONTWAIT);

        return g_strndup(text, (gsize) MAX(n, 0));
}

static void test_greeting(void) {
        g_autofree char *heard = NULL, *heard_later = NULL;
        const QmpVersion *version;
        Fixture f = { 0 };

        begin(&f);
        (void) qmp_monitor_send(f.monitor, "query-status", NULL, on_answer, &f, 0);
        test_run_idle(f.event);
        heard = peer_hears(&f);
        g_assert_cmpstr(heard, ==, ""); /* nothing before the greeting */
        g_assert_false(qmp_monitor_is_ready(f.monitor));

        peer_say(&f, GREETING);
        test_run_idle(f.event);
        heard_later = peer_hears(&f);
        g_assert_cmpstr(heard_later, ==,
                        "{\"execute\":\"qmp_capabilities\",\"id\":2}\n{\"execute\":\"query-status\",\"id\":1}\n");

        peer_say(&f, "{\"return\": {}, \"id\": 2}\r\n{\"return\": {\"status\": \"running\"}, \"id\": 1}\r\n");
        TEST_RUN_UNTIL(f.event, f.n_answers > 0);
        g_assert_cmpuint(f.n_ready, ==, 1);
        g_assert_true(qmp_monitor_is_ready(f.monitor));
        g_assert_cmpstr(f.answer_result, ==, "{ \"status\": \"running\" }");
        version = qmp_monitor_get_version(f.monitor);
        g_assert_cmpuint(version->major * 10000 + version->minor * 100 + version->micro, ==, 70209);
        g_assert_cmpstr(version->package, ==, "Debian");
        end(&f);
}

static void test_answers(void) {
        g_autofree char *heard = NULL;
        Fixture f = { 0 };

        begin_ready(&f);
        (void) qmp_monitor_send(f.monitor, "device_del", qmp_arguments("id", "disk\"/0", NULL), on_answer, &f, 0);
        heard = peer_hears(&f);
        g_assert_cmpstr(heard, ==,
                        "{\"execute\":\"qmp_capabilities\",\"id\":1}\n"
                        "{\"execute\":\"device_del\",\"arguments\":{\"id\":\"disk\\\"/0\"},\"id\":2}\n");
        g_assert_cmpuint(qmp_monitor_get_pending(f.monitor), ==, 1);
        peer_say(&f, "{\"id\": 2, \"error\": {\"class\": \"DeviceNotFound\", \"desc\": \"Device '\\u0007x' not found\"}}\r\n");
        TEST_RUN_UNTIL(f.event, f.n_answers == 1);
        g_assert_cmpint(f.answer_r, ==, -EPROTO);
        g_assert_cmpstr(f.answer_class, ==, "DeviceNotFound");
        g_assert_cmpstr(f.answer_message, ==, "domain 'web': command 'device_del': Device ' x' not found");
        g_assert_cmpuint(qmp_monitor_get_pending(f.monitor), ==, 0);
        end(&f);
}

static void test_events(void) {
        Fixture f = { 0 };

        begin_ready(&f);
        peer_say(&f, "{\"timestamp\": {\"seconds\": 1700000000, \"microseconds\": 5}, \"event\": \"SHUTDOWN\", "
                     "\"data\": {\"guest\": true}}\r\n");
        TEST_RUN_UNTIL(f.event, f.n_events == 1);
        g_assert_cmpstr(f.last_event, ==, "SHUTDOWN { \"guest\": true }");
        g_assert_cmpuint(f.last_event_usec, ==, 1700000000000005);
        peer_say(&f, "{\"timestamp\": {\"seconds\": -1, \"microseconds\": -1}, \"event\": \"STOP\"}\n\n");
        TEST_RUN_UNTIL(f.event, f.n_events == 2);
        g_assert_cmpstr(f.last_event, ==, "STOP -");
        g_assert_cmpuint(f.last_event_usec, ==, 0);
        end(&f);
}

/* Byte by byte. */
static void test_pieces(void) {
        static const char text[] = GREETING CAPABILITIES_DONE "{\"event\": \"RESUME\", \"data\": {\"k\": \"\\u00e4\"}}\r\n";
        Fixture f = { 0 };

        begin(&f);
        for (const char *c = text; *c; c++) {
                g_assert_cmpint(send(f.peer.fd, c, 1, 0), ==, 1);
                test_run_idle(f.event);
        }
        g_assert_cmpstr(f.last_event, ==, "RESUME { \"k\": \"ä\" }");
        g_assert_cmpuint(f.n_closed, ==, 0);
        end(&f);
}

/* Peers that break the protocol, and what becomes of it. A command is pending in each case. */
static const struct {
        const char *what;
        const char *text;
        const char *unit; /* repeated n_units times */
        size_t n_units;
        bool close, no_greeting;
        int r;
        const char *message;
} hostile[] = {
        { "end of file", "", NULL, 0, true, false, -ENOTCONN, "closed" },
        { "end of file before the greeting", "", NULL, 0, true, true, -ENOTCONN, "closed" },
        { "half an answer", "{\"return\": {\"a\": ", NULL, 0, true, false, -ENOTCONN, "closed in the middle of a message" },
        { "an answer without a line end", "{\"return\": {}, \"id\": 2}", NULL, 0, true, false, -ENOTCONN,
          "closed in the middle of a message" },
        { "half a line", "{\"return\": {\"a\": \n", NULL, 0, false, false, -EPROTO,
          "sent a line that ends inside an object; cut off" },
        { "endless string", "{\"event\": \"", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 200000,
          false, false, -EPROTO, "sent a line of more than 8388608 bytes; cut off" },
        { "endless line of blanks", "", "                                                                ", 200000,
          false, false, -EPROTO, "sent a line of more than 8388608 bytes; cut off" },
        { "endless list", "{\"return\": [", "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,", 1000000, false, false, -EPROTO,
          "sent a line of more than 524288 values; cut off" },
        { "deep lists", "{\"return\": ", "[[[[[[[[", 1000, false, false, -EPROTO, "sent too deeply nested JSON; cut off" },
        { "deep objects", "{\"return\": ", "{\"a\":", 1000, false, false, -EPROTO, "sent too deeply nested JSON; cut off" },
        { "wrong id", "{\"return\": {}, \"id\": 77}\n", NULL, 0, false, false, -EPROTO,
          "answered what was not asked; cut off" },
        { "id of another kind", "{\"return\": {}, \"id\": \"2\"}\n", NULL, 0, false, false, -EPROTO,
          "answered what was not asked; cut off" },
        { "negative id", "{\"return\": {}, \"id\": -2}\n", NULL, 0, false, false, -EPROTO,
          "answered what was not asked; cut off" },
        { "huge id", "{\"return\": {}, \"id\": 99999999999999999999999}\n", NULL, 0, false, false, -EPROTO,
          "answered what was not asked; cut off" },
        { "id null", "{\"return\": {}, \"id\": null}\n", NULL, 0, false, false, -EPROTO,
          "answered what was not asked; cut off" },
        { "neither result nor error", "{\"id\": 2}\n", NULL, 0, false, false, -EPROTO,
          "sent an answer without a result; cut off" },
        { "error of a wrong kind", "{\"error\": 5, \"id\": 2}\n", NULL, 0, false, false, -EPROTO,
          "sent an answer without a result; cut off" },
        { "second greeting", GREETING, NULL, 0, false, false, -EPROTO, "sent what is neither event nor answer; cut off" },
        { "no greeting", "{\"event\": \"X\"}\n", NULL, 0, false, true, -EPROTO, "did not greet as a QMP server; cut off" },
        { "event of a wrong kind", "{\"event\": {}}\n", NULL, 0, false, false, -EPROTO,
          "sent what is neither event nor answer; cut off" },
        { "event with a list", "{\"event\": \"X\", \"data\": []}\n", NULL, 0, false, false, -EPROTO,
          "sent an event whose data is no object; cut off" },
        { "a list", "[1]\n", NULL, 0, false, false, -EPROTO, "sent JSON that is no object; cut off" },
        { "a number", "12 \n", NULL, 0, false, false, -EPROTO, "sent JSON that is no object; cut off" },
        { "two on a line", "{\"event\": \"X\"} {\"event\": \"Y\"}\n", NULL, 0, false, false, -EPROTO,
          "sent something behind an object on its line; cut off" },
        { "bad UTF-8", "{\"event\": \"\xff\xfe\"}\n", NULL, 0, false, false, -EPROTO,
          "sent no valid JSON (invalid utf-8 string); cut off" },
        { "SSH", "SSH-2.0-OpenSSH_9.2\r\n", NULL, 0, false, true, -EPROTO,
          "sent no valid JSON (unexpected character); cut off" },
        { "comment", "{/* */\"event\": \"X\"}\n", NULL, 0, false, false, -EPROTO,
          "sent no valid JSON (quoted object property name expected); cut off" },
};

static void test_hostile_peers(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(hostile); i++)
                for (int free_in_closed = 0; free_in_closed < 2; free_in_closed++) {
                        g_autofree char *expected = NULL;
                        Fixture f = { .free_in_closed = free_in_closed };

                        g_test_message("%s", hostile[i].what);
                        if (hostile[i].no_greeting)
                                begin(&f);
                        else
                                begin_ready(&f);
                        (void) qmp_monitor_send(f.monitor, "query-status", NULL, on_answer, &f, 0);
                        f.peer.unit = hostile[i].unit;
                        f.peer.n_units = hostile[i].n_units;
                        f.peer.close_at_end = hostile[i].close;
                        peer_say(&f, hostile[i].text);
                        TEST_RUN_UNTIL(f.event, f.n_closed > 0);
                        test_run_idle(f.event);

                        expected = g_strdup_printf("domain 'web': the emulator's monitor %s", hostile[i].message);
                        g_assert_cmpstr(f.closed_message, ==, expected);
                        g_assert_cmpint(f.closed_r, ==, hostile[i].r);
                        g_assert_cmpuint(f.n_closed, ==, 1);
                        g_assert_cmpuint(f.n_answers, ==, 1);
                        g_assert_cmpint(f.answer_r, ==, -ENOTCONN);
                        g_assert_cmpstr(f.answer_message, ==, expected);
                        if (f.monitor)
                                g_assert_cmpuint(qmp_monitor_get_pending(f.monitor), ==, 0);
                        end(&f);
                }
}

static void test_nul(void) {
        Fixture f = { 0 };

        begin_ready(&f);
        g_assert_cmpint(send(f.peer.fd, "{\"event\":\"\0\"}\n", 14, 0), ==, 14);
        TEST_RUN_UNTIL(f.event, f.n_closed > 0);
        g_assert_cmpstr(f.closed_message, ==, "domain 'web': the emulator's monitor sent a NUL byte; cut off");
        end(&f);
}

/* A flood on one monitor: the others' answers come at once, and memory stays what it was. */
static void test_flood(void) {
        struct rusage before, after;
        Fixture flood = { 0 }, quiet = { 0 };
        uint64_t worst = 0, sum = 0;
        unsigned n = 100;
        gint64 begun, elapsed;

        begin_ready(&flood);
        begin_on(&quiet, flood.event);
        peer_say(&quiet, GREETING CAPABILITIES_DONE);
        TEST_RUN_UNTIL(quiet.event, quiet.n_ready > 0);
        flood.peer.unit = "{\"event\": \"RTC_CHANGE\", \"data\": {\"offset\": 1}}\n";
        flood.peer.n_units = SIZE_MAX;
        peer_say(&flood, flood.peer.unit);
        TEST_RUN_UNTIL(flood.event, flood.n_events > 1000);

        (void) getrusage(RUSAGE_SELF, &before);
        for (unsigned i = 0; i < n; i++) {
                g_autofree char *reply = g_strdup_printf("{\"return\": {}, \"id\": %u}\n", i + 2), *heard = NULL;
                uint64_t sent = test_cpu_usec(), took;

                (void) qmp_monitor_send(quiet.monitor, "query-status", NULL, on_answer, &quiet, 0);
                peer_say(&quiet, reply);
                TEST_RUN_UNTIL(quiet.event, quiet.n_answers > i);
                took = test_cpu_usec() - sent;
                worst = MAX(worst, took);
                sum += took;
                heard = peer_hears(&quiet);
        }
        (void) getrusage(RUSAGE_SELF, &after);
        g_test_message("answers during a flood: mean %" G_GUINT64_FORMAT " us, worst %" G_GUINT64_FORMAT " us", sum / n,
                       worst);
        g_assert_cmpuint(sum / n, <, 20000);
        g_assert_cmpint(after.ru_maxrss - before.ru_maxrss, <, 8 * 1024);

        /* And it gets no more than its share: about EVENTS_PER_WINDOW in a tenth of a second. */
        begun = g_get_monotonic_time();
        flood.n_events = 0;
        do {
                g_assert_cmpint(sd_event_run(flood.event, 10000), >=, 0);
                elapsed = g_get_monotonic_time() - begun;
        } while (elapsed < 500000 || flood.n_events <= 500);
        g_assert_cmpint(flood.n_events, <, 500 * 2 * (elapsed / 100000 + 1));
        g_assert_cmpuint(flood.n_closed, ==, 0);
        done_with(&flood);
        end(&quiet);
}

/* What a large answer costs grows with its length only, and no turn of the loop takes long. */
static void test_large_answer(void) {
        uint64_t longest = 0;
        Fixture f = { 0 };

        begin_ready(&f);
        (void) qmp_monitor_send(f.monitor, "query-qmp-schema", NULL, on_answer, &f, 0);
        f.peer.unit = "{\"name\":\"a-rather-long-name\",\"members\":[{\"name\":\"m\",\"type\":\"23\"}],\"meta-type\":\"object\"},";
        f.peer.n_units = 50000;
        peer_say(&f, "{\"id\": 2, \"return\": [");
        while (f.peer.n_units > 0 || f.peer.sent < f.peer.script->len) {
                gint64 begun = g_get_monotonic_time();

                g_assert_cmpint(sd_event_run(f.event, 1000), >=, 0);
                longest = MAX(longest, (uint64_t) (g_get_monotonic_time() - begun));
        }
        peer_say(&f, "1]}\n");
        TEST_RUN_UNTIL(f.event, f.n_answers > 0);
        g_assert_cmpint(f.answer_r, ==, 0);
        g_test_message("longest turn %" G_GUINT64_FORMAT " us", longest);
        end(&f);
}

static void test_deadline_then_late_answer(void) {
        g_autofree char *heard = NULL;
        Fixture f = { 0 };

        begin_ready(&f);
        (void) qmp_monitor_send(f.monitor, "query-slow", NULL, on_answer, &f, 1000);
        TEST_RUN_UNTIL(f.event, f.n_answers == 1);
        g_assert_cmpint(f.answer_r, ==, -ETIMEDOUT);
        g_assert_cmpstr(f.answer_message, ==, "domain 'web': command 'query-slow': the emulator did not answer in time");
        g_assert_cmpuint(qmp_monitor_get_pending(f.monitor), ==, 0);

        /* The monitor goes on when the emulator does. */
        (void) qmp_monitor_send(f.monitor, "query-status", NULL, on_answer, &f, 0);
        g_assert_cmpuint(qmp_monitor_get_pending(f.monitor), ==, 1);
        peer_say(&f, "{\"return\": {\"late\": 1}, \"id\": 2}\n{\"return\": {\"a\": 1}, \"id\": 3}\n");
        TEST_RUN_UNTIL(f.event, f.n_answers == 2);
        g_assert_cmpstr(f.answer_result, ==, "{ \"a\": 1 }");
        g_assert_cmpuint(qmp_monitor_get_pending(f.monitor), ==, 0);
        end(&f);
}

static void test_forget(void) {
        Fixture f = { 0 };
        uint64_t id;

        begin_ready(&f);
        id = qmp_monitor_send(f.monitor, "query-status", NULL, on_answer, &f, 0);
        qmp_monitor_forget(f.monitor, id);
        qmp_monitor_forget(f.monitor, id);
        g_assert_cmpuint(qmp_monitor_get_pending(f.monitor), ==, 0);
        (void) qmp_monitor_send(f.monitor, "query-status", NULL, on_answer, &f, 0);
        peer_say(&f, "{\"return\": 1, \"id\": 2}\n{\"return\": 2, \"id\": 3}\n");
        TEST_RUN_UNTIL(f.event, f.n_answers == 1);
        g_assert_cmpstr(f.answer_result, ==, "2");
        end(&f);
}

/* An emulator that no longer reads: what waits is bounded, and each caller is told. */
static void test_too_much(void) {
        Fixture f = { 0 };

        begin_ready(&f);
        for (unsigned i = 0; i < 600; i++)
                (void) qmp_monitor_send(f.monitor, "query-status", NULL, on_answer, &f, 0);
        g_assert_cmpuint(f.n_answers, ==, 0);
        test_run_idle(f.event);
        g_assert_cmpuint(f.n_answers, ==, 600 - 512);
        g_assert_cmpint(f.answer_r, ==, -E2BIG);
        f.monitor = qmp_monitor_free(f.monitor);
        g_assert_cmpuint(f.n_answers, ==, 600);
        g_assert_cmpint(f.answer_r, ==, -ECANCELED);
        g_assert_cmpuint(f.n_closed, ==, 0);
        end(&f);
}

static void test_send_after_end(void) {
        Fixture f = { 0 };

        begin_ready(&f);
        f.peer.close_at_end = true;
        peer_say(&f, "");
        TEST_RUN_UNTIL(f.event, f.n_closed > 0);
        (void) qmp_monitor_send(f.monitor, "query-status", NULL, on_answer, &f, 0);
        g_assert_cmpuint(f.n_answers, ==, 0);
        TEST_RUN_UNTIL(f.event, f.n_answers > 0);
        g_assert_cmpint(f.answer_r, ==, -ENOTCONN);
        g_assert_cmpstr(f.answer_message, ==, "domain 'web': command 'query-status': the monitor is closed");
        end(&f);
}

/* The last words of an emulator that has closed already are heard. */
static void test_last_words(void) {
        static const char words[] = "{\"event\": \"SHUTDOWN\"}\n";
        Fixture f = { 0 };

        begin_ready(&f);
        g_assert_cmpint(send(f.peer.fd, words, strlen(words), 0), ==, (ssize_t) strlen(words));
        f.peer.io = sd_event_source_disable_unref(f.peer.io);
        f.peer.fd = vb_close(f.peer.fd);
        (void) qmp_monitor_send(f.monitor, "quit", NULL, on_answer, &f, 0); /* meets a broken pipe */
        TEST_RUN_UNTIL(f.event, f.n_closed > 0);
        g_assert_cmpuint(f.n_events, ==, 1);
        g_assert_cmpint(f.answer_r, ==, -ENOTCONN);
        end(&f);
}

static void test_free_in_callbacks(void) {
        static const char answered[] = "{\"return\": {}, \"id\": 2}\n{\"event\": \"X\"}\n{\"return\": {}, \"id\": 3}\n";
        Fixture f = { .free_in_answer = true };

        begin_ready(&f);
        (void) qmp_monitor_send(f.monitor, "a", NULL, on_answer, &f, 0);
        (void) qmp_monitor_send(f.monitor, "b", NULL, on_answer, &f, 0);
        peer_say(&f, answered);
        TEST_RUN_UNTIL(f.event, f.n_answers == 2); /* the second by the free in the first's */
        g_assert_cmpuint(f.n_events, ==, 0);
        end(&f);

        f = (Fixture) { .free_in_answer = true };
        begin_ready(&f);
        (void) qmp_monitor_send(f.monitor, "a", NULL, on_answer, &f, 1000); /* in a deadline's */
        (void) qmp_monitor_send(f.monitor, "b", NULL, on_answer, &f, 1000);
        TEST_RUN_UNTIL(f.event, f.n_answers == 2);
        end(&f);

        f = (Fixture) { .free_in_answer = true };
        begin_ready(&f);
        (void) qmp_monitor_send(f.monitor, "a", NULL, on_answer, &f, 0); /* in one that fails by the end */
        (void) qmp_monitor_send(f.monitor, "b", NULL, on_answer, &f, 0);
        f.peer.close_at_end = true;
        peer_say(&f, "");
        TEST_RUN_UNTIL(f.event, f.n_answers == 2);
        test_run_idle(f.event);
        g_assert_cmpuint(f.n_closed, ==, 0);
        end(&f);

        f = (Fixture) { .free_in_event = true };
        begin_ready(&f);
        peer_say(&f, "{\"event\": \"X\"}\n{\"event\": \"Y\"}\n");
        TEST_RUN_UNTIL(f.event, f.n_events > 0);
        test_run_idle(f.event);
        g_assert_cmpuint(f.n_events, ==, 1);
        end(&f);

        f = (Fixture) { .free_in_ready = true };
        begin_ready(&f);
        end(&f);

        /* Who sends from within the failures of the end is told later, and not for ever. */
        f = (Fixture) { .send_in_answer = true };
        begin_ready(&f);
        (void) qmp_monitor_send(f.monitor, "a", NULL, on_answer, &f, 0);
        f.monitor = qmp_monitor_free(f.monitor);
        g_assert_cmpuint(f.n_answers, ==, 1);
        end(&f);
}

static void test_descriptor(void) {
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof(int))];
        } control;
        char text[512];
        struct iovec bytes = { text, sizeof text };
        struct msghdr message = { .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
        g_autofree char *heard = NULL;
        vb_autofd fd = open("/dev/null", O_RDONLY | O_CLOEXEC), got = -EBADF;
        struct stat a, b;
        Fixture f = { 0 };

        begin_ready(&f);
        heard = peer_hears(&f);
        (void) qmp_monitor_send_fd(f.monitor, "getfd", qmp_arguments("fdname", "x", NULL), fd, on_answer, &f, 0);
        g_assert_cmpint(recvmsg(f.peer.fd, &message, MSG_CMSG_CLOEXEC), >, 0);
        g_assert_cmpuint(message.msg_controllen, >=, CMSG_LEN(sizeof(int)));
        memcpy(&got, CMSG_DATA(&control.header), sizeof got);
        g_assert_cmpint(fstat(fd, &a), ==, 0);
        g_assert_cmpint(fstat(got, &b), ==, 0);
        g_assert_cmpuint(a.st_rdev, ==, b.st_rdev);
        end(&f);
}

/* No work, no wake-ups: a quiet monitor leaves the loop asleep. */
static void test_idle(void) {
        Fixture f = { 0 };

        begin_ready(&f);
        (void) qmp_monitor_send(f.monitor, "query-status", NULL, on_answer, &f, 20000);
        peer_say(&f, "{\"return\": {}, \"id\": 2}\n");
        TEST_RUN_UNTIL(f.event, f.n_answers == 1);
        test_run_idle(f.event);
        g_assert_cmpint(sd_event_run(f.event, 200000), ==, 0);
        end(&f);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        vb_error_init();
        vb_log_init("test", LOG_ERR);
        g_test_add_func("/monitor/greeting", test_greeting);
        g_test_add_func("/monitor/answers", test_answers);
        g_test_add_func("/monitor/events", test_events);
        g_test_add_func("/monitor/pieces", test_pieces);
        g_test_add_func("/monitor/hostile-peers", test_hostile_peers);
        g_test_add_func("/monitor/nul", test_nul);
        g_test_add_func("/monitor/flood", test_flood);
        g_test_add_func("/monitor/large-answer", test_large_answer);
        g_test_add_func("/monitor/deadline-then-late-answer", test_deadline_then_late_answer);
        g_test_add_func("/monitor/forget", test_forget);
        g_test_add_func("/monitor/too-much", test_too_much);
        g_test_add_func("/monitor/send-after-end", test_send_after_end);
        g_test_add_func("/monitor/last-words", test_last_words);
        g_test_add_func("/monitor/free-in-callbacks", test_free_in_callbacks);
        g_test_add_func("/monitor/descriptor", test_descriptor);
        g_test_add_func("/monitor/idle", test_idle);
        return g_test_run();
}
