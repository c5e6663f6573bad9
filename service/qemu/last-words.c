/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/last-words.h"

#include <fcntl.h>
#include <string.h>

#include "base/log.h"
#include "bus/names.h"
#include "interfaces/log-manager1.h"

#define LAST_WORDS_MAX 4096u
#define TIMEOUT_USEC (UINT64_C(2) * 1000000)

typedef struct Question {
        char *path;
        QemuLastWords told;
        void *userdata;
        GDestroyNotify free_userdata;
} Question;

static void question_free(void *data) {
        Question *question = data;

        if (question->free_userdata)
                question->free_userdata(question->userdata);
        g_free(question->path);
        g_free(question);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Question, question_free)

/* What stands between the lines becomes "; ". */
static char *join_lines(const char *text) {
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        GString *joined = g_string_new(NULL);

        for (char **line = lines; *line; line++) {
                g_strstrip(*line);
                if (**line == '\0')
                        continue;
                g_string_append(joined, joined->len > 0 ? "; " : ": ");
                g_string_append(joined, *line);
        }
        return g_string_free(joined, FALSE);
}

static void tell(const Question *question, const void *data, size_t size) {
        g_autofree char *text = g_malloc0(size + 1), *valid = NULL, *joined = NULL;

        if (size > 0)
                memcpy(text, data, size);
        for (size_t i = 0; i < size; i++)
                if ((unsigned char) text[i] < ' ' && text[i] != '\n')
                        text[i] = ' ';
        /* Whatever the emulator wrote has to travel in a message of the bus. */
        valid = g_utf8_make_valid(text, (gssize) size);
        joined = join_lines(valid);
        question->told(joined, question->userdata);
}

/* --- A file --- */

static void read_file(const QemuDomain *qemu, const Question *question) {
        char buffer[LAST_WORDS_MAX];
        vb_autofd fd = -EBADF;
        off_t end, from;
        ssize_t n = 0;

        fd = open(qemu->log_path ?: "", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd >= 0) {
                end = lseek(fd, 0, SEEK_END);
                from = MAX((off_t) qemu->log_start, end - (off_t) LAST_WORDS_MAX);
                n = pread(fd, buffer, sizeof(buffer), from);
        }
        tell(question, buffer, (size_t) MAX(n, 0));
}

/* --- virtlogd --- */

static void tell_where(const Question *question, const char *why) {
        g_autofree char *words = g_strdup_printf("; what it said is in '%s', and cannot be shown: %s", question->path, why);

        question->told(words, question->userdata);
}

static int on_read(sd_bus_message *reply, void *userdata, sd_bus_error *reterr) {
        const sd_bus_error *error = sd_bus_message_get_error(reply);
        const Question *question = userdata;
        const void *data = NULL;
        size_t size = 0;
        int r;

        if (error) {
                tell_where(question, error->message);
                return 0;
        }
        r = sd_bus_message_read_array(reply, 'y', &data, &size);
        if (r < 0)
                tell_where(question, g_strerror(-r));
        else
                tell(question, data, size);
        return 0;
}

/* virtlogd empties the pipe before it reads: all that a process which has ended wrote is there. */
static int ask_daemon(const QemuDomain *qemu, Question *question, sd_bus_slot **ret) {
        sd_bus *bus = vb_daemon_bus(qemu->driver->daemon);
        g_autoptr(sd_bus_message) message = NULL;
        g_autoptr(sd_bus_slot) slot = NULL;
        int r;

        r = sd_bus_message_new_method_call(bus, &message, VB_LOG_NAME, VB_LOG_PATH, VB_INTERFACE_LOG_MANAGER1, "ReadLog");
        if (r >= 0)
                r = sd_bus_message_append(message, "susstta{sv}", "qemu", (uint32_t) qemu->domain->owner, qemu->domain->name, "qemu", qemu->log_file,
                                          qemu->log_start, 3, "skip", "t", qemu->log_skip, "tail", "t", (uint64_t) LAST_WORDS_MAX, "size", "u",
                                          LAST_WORDS_MAX);
        if (r >= 0)
                r = sd_bus_call_async(bus, &slot, message, on_read, question, TIMEOUT_USEC);
        if (r >= 0)
                r = sd_bus_slot_set_destroy_callback(slot, question_free);
        if (r < 0)
                return r;
        if (ret)
                *ret = g_steal_pointer(&slot);
        else
                (void) sd_bus_slot_set_floating(slot, true);
        return 0;
}

void qemu_last_words_ask(const QemuDomain *qemu, QemuLastWords told, void *userdata, GDestroyNotify free_userdata, sd_bus_slot **ret_slot) {
        g_autoptr(Question) question = g_new(Question, 1);
        int r;

        *question = (Question){ .path = g_strdup(qemu->log_path), .told = told, .userdata = userdata, .free_userdata = free_userdata };
        if (!qemu->log_is_daemons) {
                read_file(qemu, question);
                return;
        }
        r = ask_daemon(qemu, question, ret_slot);
        if (r < 0)
                tell_where(question, g_strerror(-r));
        else
                (void) g_steal_pointer(&question);
}
