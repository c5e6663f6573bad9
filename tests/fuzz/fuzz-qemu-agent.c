/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a guest may say in place of its agent. The number that the agent has to give back is put where the input has "@". */

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "fuzz.h"
#include "qemu/agent.h"

#define INPUT_MAX ((size_t) 8 * 1024)

static void on_answer(GuestAgent *agent, const GuestAgentReply *reply, void *userdata) {
        g_assert_true(reply->r >= 0 || reply->error.message);
        (*(unsigned *) userdata)++;
}

/* Says the input, with "@" made the number that we were asked for. */
static void say(int fd, const uint8_t *data, size_t size) {
        g_autoptr(GString) text = g_string_new(NULL);
        char heard[256];
        ssize_t n = recv(fd, heard, sizeof heard - 1, MSG_DONTWAIT);
        const char *id;

        heard[MAX(n, 0)] = '\0';
        id = strstr(heard, "\"id\":");
        for (size_t i = 0; i < size; i++)
                if (data[i] == '@' && id)
                        g_string_append_printf(text, "%d", atoi(id + 5));
                else
                        (void) g_string_append_c(text, (char) data[i]);
        if (text->len > 0)
                g_assert_cmpint(send(fd, text->str, text->len, MSG_NOSIGNAL), ==, (ssize_t) text->len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        sd_event *event = NULL;
        GuestAgent *agent = NULL;
        unsigned n_answers = 0;
        int ends[2];

        if (size > INPUT_MAX)
                return 0;
        g_assert_cmpint(sd_event_new(&event), >=, 0);
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), ==, 0);
        g_assert_cmpint(guest_agent_new(&agent, event, ends[0], "domain 'fuzz'", NULL, NULL), >=, 0);
        (void) guest_agent_send(agent, "guest-ping", NULL, /* no_reply= */ false, on_answer, &n_answers, 0);
        (void) guest_agent_send(agent, "guest-info", NULL, /* no_reply= */ false, on_answer, &n_answers, 0);
        while (sd_event_run(event, 0) > 0)
                ;
        say(ends[1], data, size);
        (void) shutdown(ends[1], SHUT_WR);

        /* Each command is answered, at the end of file at the latest. */
        while (n_answers < 2)
                g_assert_cmpint(sd_event_run(event, UINT64_MAX), >=, 0);
        guest_agent_free(agent);
        g_assert_cmpuint(n_answers, ==, 2);
        close(ends[1]);
        sd_event_unref(event);
        return 0;
}
