/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/agent.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/log.h"
#include "test-util.h"

typedef struct Fixture {
        sd_event *event;
        GuestAgent *agent;
        int guest; /* its end */
        unsigned n_answers, n_closed;
        int r;
        char *message, *name, *result, *error_class;
        bool free_in_answer, free_in_closed;
} Fixture;

static void on_closed(GuestAgent *agent, int r, void *userdata) {
        Fixture *f = userdata;

        f->n_closed++;
        if (f->free_in_closed)
                f->agent = guest_agent_free(agent);
}

static void on_answer(GuestAgent *agent, const GuestAgentReply *reply, void *userdata) {
        Fixture *f = userdata;

        f->n_answers++;
        f->r = reply->r;
        g_free(f->message);
        g_free(f->name);
        g_free(f->result);
        g_free(f->error_class);
        f->message = g_strdup(reply->error.message);
        f->name = g_strdup(reply->error.name);
        f->error_class = g_strdup(reply->error_class);
        f->result = reply->result ? g_strdup(json_object_to_json_string(reply->result)) : NULL;
        if (f->free_in_answer)
                f->agent = guest_agent_free(agent);
}

static void begin(Fixture *f) {
        int ends[2];

        f->event = test_event_new();
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), ==, 0);
        g_assert_cmpint(guest_agent_new(&f->agent, f->event, ends[0], "domain 'web'", on_closed, f), ==, 0);
        f->guest = ends[1];
}

static void end(Fixture *f) {
        f->agent = guest_agent_free(f->agent);
        test_run_idle(f->event);
        sd_event_unref(f->event);
        vb_close(f->guest);
        g_free(f->message);
        g_free(f->name);
        g_free(f->result);
        g_free(f->error_class);
}

static void say(Fixture *f, const char *text) {
        g_assert_cmpint(send(f->guest, text, strlen(text), MSG_NOSIGNAL), ==, (ssize_t) strlen(text));
}

/* What the guest is told, once it is told something. */
static char *hear(Fixture *f) {
        char text[4096];
        ssize_t n;

        while ((n = recv(f->guest, text, sizeof text - 1, MSG_DONTWAIT)) < 0) {
                g_assert_cmpint(errno, ==, EAGAIN);
                g_assert_cmpint(sd_event_run(f->event, UINT64_MAX), >=, 0);
        }
        return g_strndup(text, (gsize) n);
}

/* Hears the sync and gives the number back behind some words. */
static void sync_with(Fixture *f, const char *words) {
        g_autofree char *sync = hear(f), *answer = NULL;
        unsigned id;

        g_assert_cmpint(sscanf(sync, "\xff{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":%u}}\n", &id), ==, 1);
        answer = g_strdup_printf("%s\xff{\"return\": %u}\n", words, id);
        say(f, answer);
}

static void answer_with(Fixture *f, const char *expected, const char *text) {
        g_autofree char *heard = hear(f);
        unsigned n = f->n_answers;

        g_assert_cmpstr(heard, ==, expected);
        say(f, text);
        TEST_RUN_UNTIL(f->event, f->n_answers > n);
}

static void test_command(void) {
        g_autofree char *heard = NULL;
        Fixture f = { 0 };

        begin(&f);
        (void) guest_agent_send(f.agent, "guest-ping", NULL, false, on_answer, &f, 0);
        g_assert_cmpuint(guest_agent_get_pending(f.agent), ==, 1);
        sync_with(&f, "");
        answer_with(&f, "{\"execute\":\"guest-ping\"}\n", "{\"return\": {}}\n");
        g_assert_cmpint(f.r, ==, 0);
        g_assert_cmpstr(f.result, ==, "{ }");

        (void) guest_agent_send_text(f.agent, "{\"execute\": \"guest-exec\", \"arguments\": {\"path\": \"/x\"}}",
                                     on_answer, &f, 0, NULL);
        sync_with(&f, "");
        answer_with(&f, "{\"execute\":\"guest-exec\",\"arguments\":{\"path\":\"/x\"}}\n",
                    "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"disabled\"}}\n");
        g_assert_cmpint(f.r, ==, -EPROTO);
        g_assert_cmpstr(f.error_class, ==, "CommandNotFound");
        g_assert_cmpstr(f.message, ==, "domain 'web': guest agent command 'guest-exec': disabled");
        end(&f);
}

static void test_one_after_the_other(void) {
        Fixture f = { 0 };

        begin(&f);
        (void) guest_agent_send(f.agent, "a", NULL, false, on_answer, &f, 0);
        (void) guest_agent_send(f.agent, "b", NULL, false, on_answer, &f, 0);
        sync_with(&f, "");
        answer_with(&f, "{\"execute\":\"a\"}\n", "{\"return\": 1}\n");
        g_assert_cmpstr(f.result, ==, "1");
        sync_with(&f, "");
        answer_with(&f, "{\"execute\":\"b\"}\n", "{\"return\": 2}\n");
        g_assert_cmpstr(f.result, ==, "2");
        end(&f);
}

/* Whatever an earlier command left, or a guest makes up, before the number comes back. */
static void test_garbage(void) {
        static const char *const rows[] = {
                "{\"return\": \"of an earlier command\"}\n",
                "half a line",
                "{{{{[[[",
                "\xff",
                "\xff\xff\xff",
                "\xff{\"return\": 5}\n",
                "\xff{\"return\": \"x\"}\n",
                "\xff{\"return\": \n",
                "\xff{\"return\": {\"a\": \xff\xff",
                "\xff[1,2]\n\xff{}\n",
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                Fixture f = { 0 };

                g_test_message("row %zu", i);
                begin(&f);
                (void) guest_agent_send(f.agent, "a", NULL, false, on_answer, &f, 0);
                sync_with(&f, rows[i]);
                answer_with(&f, "{\"execute\":\"a\"}\n", "{\"return\": 1}\n");
                g_assert_cmpstr(f.result, ==, "1");
                end(&f);
        }
}

/* An agent that never answers costs its callers their limits; the next command works when the agent does. */
static void test_silent(void) {
        g_autofree char *heard = NULL;
        Fixture f = { 0 };

        begin(&f);
        (void) guest_agent_send(f.agent, "a", NULL, false, on_answer, &f, 1000);
        (void) guest_agent_send(f.agent, "b", NULL, false, on_answer, &f, 1000);
        TEST_RUN_UNTIL(f.event, f.n_answers == 2);
        g_assert_cmpint(f.r, ==, -EHOSTDOWN);
        g_assert_cmpstr(f.name, ==, VB_ERROR_AGENT_UNRESPONSIVE);
        g_assert_cmpstr(f.message, ==, "domain 'web': guest agent command 'b': no answer within 0.001 s");
        heard = hear(&f); /* two syncs, or one */

        (void) guest_agent_send(f.agent, "c", NULL, false, on_answer, &f, 0);
        sync_with(&f, "\xff{\"return\": 0}\n{\"return\": \"late\"}\n");
        answer_with(&f, "{\"execute\":\"c\"}\n", "{\"return\": 3}\n");
        g_assert_cmpstr(f.result, ==, "3");
        end(&f);
}

static void test_bad_answers(void) {
        static const struct {
                const char *text, *message;
        } rows[] = {
                { "{}\n", "the agent sent no answer" },
                { "junk\n", "the agent sent no valid JSON (unexpected character)" },
                { "[[\n", "the agent sent a line that ends inside an object" },
                { "{\"error\": 1}\n", "the agent sent no answer" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                g_autofree char *expected = g_strdup_printf("domain 'web': guest agent command 'a': %s", rows[i].message);
                Fixture f = { 0 };

                begin(&f);
                (void) guest_agent_send(f.agent, "a", NULL, false, on_answer, &f, 0);
                sync_with(&f, "");
                answer_with(&f, "{\"execute\":\"a\"}\n", rows[i].text);
                g_assert_cmpint(f.r, ==, -EPROTO);
                g_assert_cmpstr(f.message, ==, expected);
                end(&f);
        }
}

/* A guest that talks and talks: a bound ends the command, and while nothing is asked nothing is read. */
static void test_flood(void) {
        g_autofree char *garbage = g_strnfill(60000, 'x');
        Fixture f = { 0 };
        size_t sent = 0;

        begin(&f);
        while (send(f.guest, garbage, strlen(garbage), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
                ;
        g_assert_cmpint(sd_event_run(f.event, 50000), ==, 0);

        (void) guest_agent_send(f.agent, "a", NULL, false, on_answer, &f, 0);
        while (f.n_answers == 0) {
                ssize_t n = send(f.guest, garbage, strlen(garbage), MSG_DONTWAIT | MSG_NOSIGNAL);

                sent += (size_t) MAX(n, 0);
                g_assert_cmpint(sd_event_run(f.event, 1000), >=, 0);
        }
        g_assert_cmpint(f.r, ==, -EHOSTDOWN);
        g_assert_cmpstr(f.message, ==, "domain 'web': guest agent command 'a': the agent's channel is full of garbage");
        g_assert_cmpuint(sent, <, 32u << 20);
        end(&f);
}

static void test_no_reply(void) {
        g_autofree char *heard = NULL;
        Fixture f = { 0 };

        begin(&f);
        (void) guest_agent_send(f.agent, "guest-shutdown", NULL, true, on_answer, &f, 200000);
        sync_with(&f, "");
        heard = hear(&f);
        g_assert_cmpstr(heard, ==, "{\"execute\":\"guest-shutdown\"}\n");
        TEST_RUN_UNTIL(f.event, f.n_answers > 0);
        g_assert_cmpint(f.r, ==, 0);
        end(&f);

        /* But if it never could be sent, it has failed. */
        f = (Fixture) { 0 };
        begin(&f);
        (void) guest_agent_send(f.agent, "guest-shutdown", NULL, true, on_answer, &f, 1000);
        TEST_RUN_UNTIL(f.event, f.n_answers > 0);
        g_assert_cmpint(f.r, ==, -EHOSTDOWN);
        end(&f);
}

static void test_close(void) {
        for (int variant = 0; variant < 3; variant++) {
                Fixture f = { .free_in_answer = variant == 1, .free_in_closed = variant == 2 };

                begin(&f);
                (void) guest_agent_send(f.agent, "a", NULL, false, on_answer, &f, 0);
                (void) guest_agent_send(f.agent, "b", NULL, false, on_answer, &f, 0);
                sync_with(&f, "");
                f.guest = vb_close(f.guest);
                TEST_RUN_UNTIL(f.event, f.n_answers == 2);
                test_run_idle(f.event);
                g_assert_cmpuint(f.n_closed, ==, variant == 1 ? 0 : 1);
                g_assert_cmpint(f.r, ==, variant == 1 ? -ECANCELED : -ENOTCONN);
                if (variant == 0) {
                        (void) guest_agent_send(f.agent, "c", NULL, false, on_answer, &f, 0);
                        TEST_RUN_UNTIL(f.event, f.n_answers == 3);
                        g_assert_cmpint(f.r, ==, -ENOTCONN);
                }
                end(&f);
        }

        /* While nothing is asked. */
        {
                Fixture f = { 0 };

                begin(&f);
                f.guest = vb_close(f.guest);
                TEST_RUN_UNTIL(f.event, f.n_closed == 1);
                end(&f);
        }
}

static void test_limits(void) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        static const char *const bad[] = { "", "[]", "{}", "{\"execute\": 5}", "{\"execute\": \"a\", \"id\": 1}",
                                           "{\"execute\": \"a\", \"arguments\": []}", "{\"execute\": \"a\"} {}",
                                           "{\"execute\": \"a\"", "{'execute': 'a'}" };
        uint64_t forgotten;
        Fixture f = { 0 };

        begin(&f);
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                g_test_message("%s", bad[i]);
                g_assert_cmpuint(guest_agent_send_text(f.agent, bad[i], on_answer, &f, 0, &error), ==, 0);
                g_assert_cmpstr(error.name, ==, VB_ERROR_INVALID_ARGUMENT);
                sd_bus_error_free(&error);
        }
        forgotten = guest_agent_send(f.agent, "a", NULL, false, on_answer, &f, 0);
        guest_agent_forget(f.agent, forgotten);
        for (unsigned i = 0; i < 70; i++)
                (void) guest_agent_send(f.agent, "a", NULL, false, on_answer, &f, 0);
        test_run_idle(f.event);
        g_assert_cmpuint(f.n_answers, ==, 7);
        g_assert_cmpint(f.r, ==, -E2BIG);
        f.agent = guest_agent_free(f.agent);
        g_assert_cmpuint(f.n_answers, ==, 70);
        end(&f);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        vb_error_init();
        vb_log_init("test", LOG_ERR);
        g_test_add_func("/agent/command", test_command);
        g_test_add_func("/agent/one-after-the-other", test_one_after_the_other);
        g_test_add_func("/agent/garbage", test_garbage);
        g_test_add_func("/agent/silent", test_silent);
        g_test_add_func("/agent/bad-answers", test_bad_answers);
        g_test_add_func("/agent/flood", test_flood);
        g_test_add_func("/agent/no-reply", test_no_reply);
        g_test_add_func("/agent/close", test_close);
        g_test_add_func("/agent/limits", test_limits);
        return g_test_run();
}
