/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "proxy/backend.h"

#include "base/error.h"
#include "interfaces/actions.h"
#include "test-proxy-driver.h"

typedef struct Call {
        Driver *driver;
        ProxyBackendCall *call;
        unsigned n;
        int r;
        char *text; /* of the answer, or the error's message */
        char *error;
        uint64_t forget; /* this client, when it is answered */
} Call;

static void call_clear(Call *call) {
        call->call = proxy_backend_call_cancel(call->call);
        g_free(call->text);
        g_free(call->error);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Call, call_clear)

static void on_answer(sd_bus_message *answer, int r, const sd_bus_error *error, void *userdata) {
        Call *call = userdata;
        const char *text;

        call->n++;
        call->r = r;
        if (answer)
                error = sd_bus_message_get_error(answer);
        else
                g_assert_cmpint(r, <, 0);
        if (error) {
                call->error = g_strdup(error->name);
                call->text = g_strdup(error->message);
        } else if (answer) {
                g_assert_cmpint(sd_bus_message_read(answer, "s", &text), >, 0);
                call->text = g_strdup(text);
        }
        if (call->forget)
                proxy_backend_forget(call->driver->backend, call->forget);
}

static int try_send(Call *call, Driver *d, uint64_t client, const char *member, sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) message = NULL;

        call->driver = d;
        g_assert_cmpint(proxy_backend_new_method(d->backend, &message, NULL, "org.virtbus.Hypervisor1", member), >=, 0);
        return proxy_backend_call(&call->call, d->backend, &(ProxyClient){ .id = client }, /* read_only= */ true, message,
                                  on_answer, call, reterr);
}

static void send_call(Call *call, Driver *d, uint64_t client, const char *member) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

        g_assert_cmpint(try_send(call, d, client, member, &error), ==, 0);
        g_assert_cmpuint(call->n, ==, 0);
}

static void answer_text(End *end, sd_bus_message *to, const char *text) {
        g_autoptr(sd_bus_message) reply = NULL;

        g_assert_cmpint(sd_bus_message_new_method_return(to, &reply), >=, 0);
        g_assert_cmpint(sd_bus_message_append(reply, "s", text), >=, 0);
        end_send(end, reply);
}

/* Takes the next call, which must be this one, and answers it with its own name. */
static void serve(Driver *d, End *end, const char *member) {
        g_autoptr(sd_bus_message) call = end_next_call(d, end, member);

        answer_text(end, call, member);
}

static void assert_answered(Call *call, const char *text) {
        TEST_RUN_UNTIL(call->driver->event, call->n > 0);
        g_assert_cmpint(call->r, ==, 0);
        g_assert_null(call->error);
        g_assert_cmpstr(call->text, ==, text);
        g_assert_cmpuint(call->n, ==, 1);
}

static void assert_failed(Call *call, const char *error, const char *words) {
        TEST_RUN_UNTIL(call->driver->event, call->n > 0);
        g_assert_cmpstr(call->error, ==, error);
        g_assert_nonnull(strstr(call->text, words));
        g_assert_cmpuint(call->n, ==, 1);
}

/* A link is opened for client 7, answers this call, and the next one, if it is given; then its daemon ends. */
static void next_link_answers(Driver *d, Call *first, const char *member, Call *second, const char *second_member) {
        g_autoptr(End) end = driver_accept(d, 7);

        serve(d, end, member);
        if (second)
                serve(d, end, second_member);
        assert_answered(first, member);
        if (second)
                assert_answered(second, second_member);
}

#define UNKNOWN_OUTCOME "whether it was done is not known"

static void test_opens_when_called(void) {
        g_auto(Call) first = {}, second = {}, other = {};
        Driver d;

        driver_begin(&d);
        test_run_idle(d.event);
        g_assert_cmpuint(d.n_asked, ==, 0);
        send_call(&first, &d, 7, "First");
        send_call(&second, &d, 7, "Second");
        g_assert_cmpuint(d.n_asked, ==, 1);
        g_assert_true(((Asked *) d.asked.head->data)->read_only);
        {
                g_autoptr(End) end = driver_accept(&d, 7), end_of_other = NULL;

                serve(&d, end, "First");
                serve(&d, end, "Second");
                assert_answered(&first, "First");
                assert_answered(&second, "Second");
                send_call(&other, &d, 8, "Other");
                g_assert_cmpuint(d.n_asked, ==, 2);
                end_of_other = driver_accept(&d, 8);
                serve(&d, end_of_other, "Other");
                assert_answered(&other, "Other");
                g_assert_cmpuint(end->calls->len, ==, 0);
        }
        driver_end(&d);
}

static void test_bus_error(void) {
        g_auto(Call) call = {};
        Driver d;

        driver_begin(&d);
        send_call(&call, &d, 7, "First");
        {
                g_autoptr(End) end = driver_accept(&d, 7);
                g_autoptr(sd_bus_message) message = end_next_call(&d, end, "First");

                g_assert_cmpstr(sd_bus_message_get_path(message), ==, DRIVER_ROOT);
                g_assert_cmpint(sd_bus_reply_method_errorf(message, VB_ERROR_INVALID_STATE, "not now"), >=, 0);
                assert_failed(&call, VB_ERROR_INVALID_STATE, "not now");
                g_assert_cmpint(call.r, ==, 0); /* it is an answer */
        }
        driver_end(&d);
}

static void test_no_link(void) {
        const sd_bus_error refused = SD_BUS_ERROR_MAKE_CONST(VB_ERROR_INVALID_STATE, "no such daemon");
        const sd_bus_error no_reply = SD_BUS_ERROR_MAKE_CONST(SD_BUS_ERROR_NO_REPLY, "it has ended");
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        g_auto(Call) first = {}, second = {}, third = {}, fourth = {};
        g_autofree Asked *asked = NULL;
        Driver d;

        driver_begin(&d);
        send_call(&first, &d, 7, "First");
        send_call(&second, &d, 7, "Second");
        asked = driver_next_asked(&d);
        asked->opened(-EBADF, -EIO, &refused, asked->userdata);
        assert_failed(&first, VB_ERROR_INVALID_STATE, "no such daemon");
        assert_failed(&second, VB_ERROR_INVALID_STATE, "no such daemon");

        /* An opener who ended without a word is followed by another, who is asked. */
        send_call(&fourth, &d, 8, "Fourth");
        for (unsigned i = 0; i < 3; i++) {
                g_autofree Asked *again = driver_next_asked(&d);

                g_assert_cmpuint(fourth.n, ==, 0);
                again->opened(-EBADF, -EIO, &no_reply, again->userdata);
        }
        assert_failed(&fourth, SD_BUS_ERROR_NO_REPLY, "ended");
        g_assert_null(d.asked.head);

        d.refuse = -EPIPE; /* the listener cannot even be asked */
        g_assert_cmpint(try_send(&third, &d, 7, "Third", &error), ==, -EPIPE);
        g_assert_nonnull(strstr(error.message, "cannot be called"));
        g_assert_null(third.call);
        driver_end(&d);
        g_assert_cmpuint(third.n, ==, 0);
}

static void test_sent_is_lost(void) {
        g_auto(Call) first = {}, second = {};
        Driver d;

        driver_begin(&d);
        send_call(&first, &d, 7, "First");
        {
                g_autoptr(End) end = driver_accept(&d, 7);
                g_autoptr(sd_bus_message) message = end_next_call(&d, end, "First");
        }
        assert_failed(&first, VB_ERROR_OPERATION_FAILED, UNKNOWN_OUTCOME);
        test_run_idle(d.event);
        g_assert_cmpuint(d.n_asked, ==, 1);
        send_call(&second, &d, 7, "Second");
        next_link_answers(&d, &second, "Second", NULL, NULL); /* and no First */
        driver_end(&d);
        g_assert_cmpuint(first.n, ==, 1);
}

/* As the contract says of each method; there are some whose names would mislead. */
static void test_what_reads(void) {
        g_assert_true(vb_method_reads("org.virtbus.Domain1", "GetXML"));
        g_assert_true(vb_method_reads("org.virtbus.Hypervisor1", "GetCommandLine"));
        g_assert_true(vb_method_reads("org.virtbus.Hypervisor1", "ListDomains"));
        g_assert_false(vb_method_reads("org.virtbus.Domain1", "Start"));
        g_assert_false(vb_method_reads("org.virtbus.Domain1", "ListDomains"));
        g_assert_false(vb_method_reads("org.virtbus.Daemon1", "OpenLink"));
        g_assert_false(vb_method_reads("org.virtbus.Hypervisor1", "SetSavedXML"));
        g_assert_false(vb_method_reads("org.virtbus.Hypervisor1", "GetNothing"));
}

/* What is not known to read may have been done. */
static void test_unknown_is_not_repeated(void) {
        g_auto(Call) call = {};
        Driver d;

        driver_begin(&d);
        send_call(&call, &d, 7, "GetNothing");
        {
                g_autoptr(End) end = driver_accept(&d, 7);
                g_autoptr(sd_bus_message) message = end_next_call(&d, end, "GetNothing");
        }
        assert_failed(&call, VB_ERROR_OPERATION_FAILED, UNKNOWN_OUTCOME);
        g_assert_cmpuint(d.n_asked, ==, 1);
        driver_end(&d);
}

/* What only reads is asked again, once. */
static void test_question_is_lost(void) {
        g_auto(Call) once = {}, twice = {};
        Driver d;

        driver_begin(&d);
        send_call(&once, &d, 7, "GetCapabilities");
        send_call(&twice, &d, 7, "GetCommandLine");
        {
                g_autoptr(End) end = driver_accept(&d, 7);
                g_autoptr(sd_bus_message) one = end_next_call(&d, end, "GetCapabilities"), two = end_next_call(&d, end, "GetCommandLine");
        }
        {
                g_autoptr(End) end = driver_accept(&d, 7);
                g_autoptr(sd_bus_message) two = NULL;

                serve(&d, end, "GetCapabilities");
                assert_answered(&once, "GetCapabilities");
                two = end_next_call(&d, end, "GetCommandLine");
                g_assert_cmpuint(twice.n, ==, 0);
        }
        assert_failed(&twice, VB_ERROR_OPERATION_FAILED, UNKNOWN_OUTCOME);
        test_run_idle(d.event);
        g_assert_cmpuint(d.n_asked, ==, 2);
        driver_end(&d);
}

/* The link has ended, and the loop has not turned since. */
static void test_unsent_goes_to_next(void) {
        g_auto(Call) first = {}, second = {}, third = {};
        Driver d;

        driver_begin(&d);
        send_call(&first, &d, 7, "First");
        next_link_answers(&d, &first, "First", NULL, NULL);
        send_call(&second, &d, 7, "Second");
        send_call(&third, &d, 7, "Third");
        next_link_answers(&d, &second, "Second", &third, "Third");
        g_assert_cmpuint(d.n_asked, ==, 2);
        driver_end(&d);
}

/* A driver that ends answers what it has, while the next call is the next daemon's. */
static void test_retires(void) {
        g_auto(Call) first = {}, second = {};
        Driver d;

        driver_begin(&d);
        send_call(&first, &d, 7, "First");
        {
                g_autoptr(End) old = driver_accept(&d, 7), new = NULL;
                g_autoptr(sd_bus_message) message = end_next_call(&d, old, "First");

                end_retire(old);
                send_call(&second, &d, 7, "Second");
                new = driver_accept(&d, 7);
                serve(&d, new, "Second");
                assert_answered(&second, "Second");
                g_assert_cmpuint(first.n, ==, 0);
                answer_text(old, message, "late");
                assert_answered(&first, "late");
        }
        driver_end(&d);
}

/* Closes each link before it has answered anything: that is tried again, but not for ever. */
static void never_answers(const char *words, void (*close_link)(Driver *d)) {
        g_auto(Call) first = {}, second = {}, next = {};
        Driver d;

        driver_begin(&d);
        send_call(&first, &d, 7, "First");
        send_call(&second, &d, 7, "Second");
        for (unsigned i = 0; i < 3; i++)
                close_link(&d);
        assert_failed(&first, VB_ERROR_OPERATION_FAILED, words);
        assert_failed(&second, VB_ERROR_OPERATION_FAILED, words);
        test_run_idle(d.event);
        g_assert_cmpuint(d.n_asked, ==, 3);

        send_call(&next, &d, 7, "Next");
        close_link(&d);
        next_link_answers(&d, &next, "Next", NULL, NULL);
        driver_end(&d);
}

static void close_at_once(Driver *d) {
        vb_close(driver_accept_fd(d, 7));
}

static void close_after_handshake(Driver *d) {
        end_free(driver_accept(d, 7)); /* which flushes */
}

static void test_never_answers(void) {
        never_answers("before it can be called", close_at_once);
        never_answers("cannot be sent", close_after_handshake);
}

/* The calls that waited for the handshake keep their order when the next link has to take them. */
static void test_keeps_order(void) {
        g_auto(Call) first = {}, second = {};
        Driver d;

        driver_begin(&d);
        send_call(&first, &d, 7, "First");
        send_call(&second, &d, 7, "Second");
        close_after_handshake(&d);
        next_link_answers(&d, &first, "First", &second, "Second");
        driver_end(&d);
}

/* The listener is gone when the next link would be asked for: nobody waits for ever. */
static void test_next_cannot_be_asked(void) {
        g_auto(Call) first = {}, second = {};
        Driver d;

        driver_begin(&d);
        send_call(&first, &d, 7, "First");
        send_call(&second, &d, 7, "Second");
        close_after_handshake(&d);
        d.refuse = -EPIPE;
        assert_failed(&first, VB_ERROR_OPERATION_FAILED, "cannot be sent");
        assert_failed(&second, VB_ERROR_OPERATION_FAILED, "cannot be sent");
        driver_end(&d);
}

static void test_cancel(void) {
        g_auto(Call) unsent = {}, sent = {}, last = {};
        Driver d;

        driver_begin(&d);
        send_call(&unsent, &d, 7, "Unsent");
        unsent.call = proxy_backend_call_cancel(unsent.call);
        send_call(&sent, &d, 7, "Sent");
        {
                g_autoptr(End) end = driver_accept(&d, 7);
                g_autoptr(sd_bus_message) message = end_next_call(&d, end, "Sent");

                sent.call = proxy_backend_call_cancel(sent.call);
                answer_text(end, message, "too late");
                send_call(&last, &d, 7, "Last");
                serve(&d, end, "Last");
                assert_answered(&last, "Last");
                last.call = proxy_backend_call_cancel(last.call); /* after the answer */
                test_run_idle(d.event);
        }
        driver_end(&d);
        g_assert_cmpuint(unsent.n, ==, 0);
        g_assert_cmpuint(sent.n, ==, 0);
        g_assert_cmpuint(last.n, ==, 1);
}

static void test_forget(void) {
        g_auto(Call) sent = {}, waiting = {}, other = {};
        Driver d;

        driver_begin(&d);
        send_call(&sent, &d, 7, "Sent");
        send_call(&waiting, &d, 8, "Waiting");
        send_call(&other, &d, 9, "Other");
        {
                g_autoptr(End) end = driver_accept(&d, 7), end_of_other = NULL;
                g_autofree Asked *asked = NULL;
                g_autoptr(sd_bus_message) message = end_next_call(&d, end, "Sent");
                int fds[2];
                char byte;

                proxy_backend_forget(d.backend, 7);
                assert_failed(&sent, VB_ERROR_CANCELED, "has left");
                TEST_RUN_UNTIL(d.event, sd_bus_is_open(end->bus) <= 0);

                /* What the listener still opens for one that has left is closed. */
                asked = driver_next_asked(&d);
                proxy_backend_forget(d.backend, 8);
                assert_failed(&waiting, VB_ERROR_CANCELED, "has left");
                g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), ==, 0);
                asked->opened(fds[0], 0, NULL, asked->userdata);
                g_assert_cmpint(read(fds[1], &byte, 1), ==, 0);
                vb_close(fds[1]);

                end_of_other = driver_accept(&d, 9);
                serve(&d, end_of_other, "Other");
                assert_answered(&other, "Other");
                proxy_backend_forget(d.backend, 7); /* again */
        }
        driver_end(&d);
}

/* The answer itself makes the client leave; its link closes under the one who tells. */
static void test_forget_in_answer(void) {
        g_auto(Call) first = { .forget = 7 }, second = {};
        Driver d;

        driver_begin(&d);
        send_call(&first, &d, 7, "First");
        send_call(&second, &d, 7, "Second");
        {
                g_autoptr(End) end = driver_accept(&d, 7);

                serve(&d, end, "First");
                assert_answered(&first, "First");
                assert_failed(&second, VB_ERROR_CANCELED, "has left");
        }
        driver_end(&d);
}

static void test_ends_with_calls(void) {
        g_auto(Call) sent = {}, waiting = {};
        Driver d;

        driver_begin(&d);
        send_call(&sent, &d, 7, "Sent");
        {
                g_autoptr(End) end = driver_accept(&d, 7);
                g_autoptr(sd_bus_message) message = end_next_call(&d, end, "Sent");

                send_call(&waiting, &d, 8, "Waiting");
                driver_end(&d);
                g_assert_cmpuint(sent.n, ==, 1);
                g_assert_cmpuint(waiting.n, ==, 1);
                g_assert_cmpstr(sent.error, ==, VB_ERROR_CANCELED);
                g_assert_cmpstr(waiting.error, ==, VB_ERROR_CANCELED);
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/backend/opens-when-called", test_opens_when_called);
        g_test_add_func("/backend/bus-error", test_bus_error);
        g_test_add_func("/backend/no-link", test_no_link);
        g_test_add_func("/backend/sent-is-lost", test_sent_is_lost);
        g_test_add_func("/backend/question-is-lost", test_question_is_lost);
        g_test_add_func("/backend/what-reads", test_what_reads);
        g_test_add_func("/backend/unknown-is-not-repeated", test_unknown_is_not_repeated);
        g_test_add_func("/backend/unsent-goes-to-next", test_unsent_goes_to_next);
        g_test_add_func("/backend/retires", test_retires);
        g_test_add_func("/backend/never-answers", test_never_answers);
        g_test_add_func("/backend/keeps-order", test_keeps_order);
        g_test_add_func("/backend/next-cannot-be-asked", test_next_cannot_be_asked);
        g_test_add_func("/backend/cancel", test_cancel);
        g_test_add_func("/backend/forget", test_forget);
        g_test_add_func("/backend/forget-in-answer", test_forget_in_answer);
        g_test_add_func("/backend/ends-with-calls", test_ends_with_calls);
        return g_test_run();
}
