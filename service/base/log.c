/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* systemd/sd-journal.h would add CODE_FILE= of this file to everything; we bring the caller's. */
#define SD_JOURNAL_SUPPRESS_LOCATION

#include "base/log.h"

#include <errno.h>
#include <glib.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log-filters.h"

#define LINE_SIZE 4096u
#define FIELDS_MAX 12u

static atomic_bool log_to_journal = false;
static char log_driver[32]; /* written once at start, before there are threads */

/* Most lines are decided by the one number that is the most of all rules; what is within is looked at under the lock. */
static atomic_int log_most = LOG_INFO;
static GRWLock log_lock;
static int log_level = LOG_INFO, log_threshold = LOG_DEBUG;
static VbLogFilters *log_filters; /* NULL: none */

/* Whether stderr is the stream that the service manager connected to the journal: see JOURNAL_STREAM= in systemd.exec(5). */
static bool stderr_is_journal(void) {
        const char *stream = getenv("JOURNAL_STREAM");
        unsigned long long device, inode;
        struct stat st;

        if (!stream || sscanf(stream, "%llu:%llu", &device, &inode) != 2 || fstat(STDERR_FILENO, &st) < 0)
                return false;
        return st.st_dev == device && st.st_ino == inode;
}

/* Takes the filters over. */
static void use_rules(int level, int threshold, VbLogFilters *filters) {
        g_rw_lock_writer_lock(&log_lock);
        vb_log_filters_free(log_filters);
        log_filters = filters;
        log_level = level;
        log_threshold = threshold;
        log_most = MIN(MAX(level, vb_log_filters_most(filters)), threshold);
        g_rw_lock_writer_unlock(&log_lock);
}

void vb_log_init(const char *driver, int max_level) {
        g_strlcpy(log_driver, driver ?: "", sizeof log_driver);
        log_to_journal = stderr_is_journal();
        use_rules(max_level, LOG_DEBUG, /* filters= */ NULL);
}

void vb_log_get_rules(VbLogRules *ret) {
        g_autofree char *filters = NULL;

        g_rw_lock_reader_lock(&log_lock);
        filters = vb_log_filters_format(log_filters);
        *ret = (VbLogRules){ .level = log_level, .threshold = log_threshold };
        g_rw_lock_reader_unlock(&log_lock);
        g_strlcpy(ret->filters, filters, sizeof ret->filters);
}

static bool is_level(int level) {
        return level >= LOG_ERR && level <= LOG_DEBUG;
}

int vb_log_set_rules(const VbLogRules *rules, sd_bus_error *reterr) {
        VbLogFilters *filters;
        int r;

        if (!is_level(rules->level) || !is_level(rules->threshold) || !memchr(rules->filters, '\0', sizeof rules->filters)) {
                (void) sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "the log has levels from %d to %d, and filters of less than %d bytes",
                                         LOG_ERR, LOG_DEBUG, VB_LOG_FILTERS_SIZE);
                return -EINVAL;
        }
        r = vb_log_filters_parse(&filters, rules->filters, reterr);
        if (r < 0)
                return r;
        use_rules(rules->level, rules->threshold, filters);
        return 0;
}

bool vb_log_enabled(int level, const char *file) {
        bool enabled;

        if (level > log_most || !file)
                return level <= log_most;
        g_rw_lock_reader_lock(&log_lock);
        enabled = level <= MIN(vb_log_filters_level(log_filters, file, log_level), log_threshold);
        g_rw_lock_reader_unlock(&log_lock);
        return enabled;
}

int vb_log_level_from_string(const char *word) {
        static const char *const words[] = {
                [LOG_ERR] = "error",     [LOG_WARNING] = "warning", [LOG_NOTICE] = "notice",
                [LOG_INFO] = "info",     [LOG_DEBUG] = "debug",
        };

        if (!word)
                return -EINVAL;
        for (int level = LOG_ERR; level <= LOG_DEBUG; level++)
                if (strcmp(words[level], word) == 0 || (word[0] == '0' + level && word[1] == '\0'))
                        return level;
        return -EINVAL;
}

/* A field that is NULL or empty takes no place. Values may hold newlines: sd_journal_sendv() encodes them. */
static void add_field(struct iovec *fields, size_t *n_fields, const char *key, const char *value) {
        char *text;

        if (!value || value[0] == '\0')
                return;
        g_assert(*n_fields < FIELDS_MAX);
        text = g_strdup_printf("%s=%s", key, value);
        fields[(*n_fields)++] = (struct iovec) { .iov_base = text, .iov_len = strlen(text) };
}

static int write_journal(int level, int error, const VbLogFields *about, const char *file, int line,
                         const char *function, const char *message) {
        struct iovec fields[FIELDS_MAX];
        char priority[4], line_text[16], error_text[16] = "";
        size_t n = 0;
        int r;

        (void) snprintf(priority, sizeof priority, "%d", level & LOG_PRIMASK);
        (void) snprintf(line_text, sizeof line_text, "%d", line);
        if (error != 0)
                (void) snprintf(error_text, sizeof error_text, "%d", error);

        add_field(fields, &n, "MESSAGE", message);
        add_field(fields, &n, "PRIORITY", priority);
        add_field(fields, &n, "DRIVER", log_driver);
        add_field(fields, &n, "ERRNO", error_text);
        add_field(fields, &n, "CODE_FILE", file);
        add_field(fields, &n, "CODE_LINE", line_text);
        add_field(fields, &n, "CODE_FUNC", function);
        if (about) {
                add_field(fields, &n, "DOMAIN", about->domain);
                add_field(fields, &n, "UUID", about->uuid);
                add_field(fields, &n, "JOB", about->job);
                add_field(fields, &n, "MESSAGE_ID", about->message_id);
        }

        r = sd_journal_sendv(fields, (int) n);
        for (size_t i = 0; i < n; i++)
                g_free(fields[i].iov_base);
        return r;
}

/* One write(2) per line, so that lines of several processes do not mix. Control characters (a name or a file may have brought
 * them) must not move the cursor of whoever reads. */
static void write_stderr(int level, const VbLogFields *about, const char *message) {
        g_autoptr(GString) text = g_string_sized_new(256);

        if (log_to_journal)
                g_string_append_printf(text, "<%d>", level & LOG_PRIMASK);
        if (about && about->domain)
                g_string_append_printf(text, "[%s] ", about->domain);
        g_string_append(text, message);
        for (size_t i = 0; i < text->len; i++)
                if ((unsigned char) text->str[i] < ' ' || text->str[i] == 0x7f)
                        text->str[i] = ' ';
        g_string_append_c(text, '\n');
        if (write(STDERR_FILENO, text->str, text->len) < 0)
                return; /* nobody is left to be told */
}

int vb_log_full(int level, int error, const VbLogFields *fields, const char *file, int line, const char *function,
                const char *format, ...) {
        int saved = errno;
        char message[LINE_SIZE];
        va_list arguments;

        error = error < 0 ? -error : error;
        if (!vb_log_enabled(level, file))
                return -error;

        errno = error;
        va_start(arguments, format);
        (void) vsnprintf(message, sizeof message, format, arguments);
        va_end(arguments);

        if (!log_to_journal || write_journal(level, error, fields, file, line, function, message) < 0)
                write_stderr(level, fields, message);
        errno = saved;
        return -error;
}
