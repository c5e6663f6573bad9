/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/log-filters.h"

#include <fnmatch.h>
#include <string.h>
#include <syslog.h>

#include "base/error.h"

typedef struct Filter {
        int level;
        char pattern[VB_LOG_FILTER_MATCH_MAX + 3]; /* the match, between two stars */
} Filter;

struct VbLogFilters {
        unsigned n;
        int most;
        Filter items[];
};

const char *vb_log_level_word(int level) {
        static const char *const words[] = {
                [LOG_ERR] = "error",   [LOG_WARNING] = "warning", [LOG_NOTICE] = "notice",
                [LOG_INFO] = "info",   [LOG_DEBUG] = "debug",
        };

        return level >= LOG_ERR && level < (int) G_N_ELEMENTS(words) ? words[level] : "";
}

int vb_log_level_from_classic(int classic) {
        static const int levels[] = { -EINVAL, LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERR };

        return classic >= 1 && classic < (int) G_N_ELEMENTS(levels) ? levels[classic] : -EINVAL;
}

int vb_log_level_to_classic(int level) {
        switch (level) {
        case LOG_DEBUG: return 1;
        case LOG_INFO:
        case LOG_NOTICE: return 2;
        case LOG_WARNING: return 3;
        case LOG_ERR: return 4;
        default: return -EINVAL;
        }
}

/* Of "LEVEL:…"; -EINVAL: it does not begin so. */
static int read_level(const char *entry) {
        int level = g_ascii_isdigit(entry[0]) ? vb_log_level_from_classic(entry[0] - '0') : -EINVAL;

        return level >= 0 && entry[1] != ':' ? -EINVAL : level;
}

int vb_log_output_parse(const char *text, int *ret_level, sd_bus_error *reterr) {
        int level = read_level(text);

        if (level < 0 || strcmp(text + 2, "journald") != 0) {
                (void) sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT,
                                         "log output '%.80s': must be a level from 1 (debug) to 4 (error) and 'journald', as in '1:journald': all "
                                         "goes to the journal",
                                         text);
                return -EINVAL;
        }
        *ret_level = level;
        return 0;
}

static bool is_match(const char *text) {
        size_t n = strlen(text);

        return n > 0 && n <= VB_LOG_FILTER_MATCH_MAX &&
               strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/*?[]!") == n;
}

static int parse_one(Filter *ret, const char *entry, unsigned number, sd_bus_error *reterr) {
        int level = read_level(entry);

        if (level < 0 || !is_match(entry + 2)) {
                (void) sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT,
                                         "log filter %u, '%.80s': must be a level from 1 (debug) to 4 (error), a colon, and a module such as "
                                         "'qemu' or 'qemu/monitor' of at most %d characters, as in '1:qemu'",
                                         number, entry, VB_LOG_FILTER_MATCH_MAX);
                return -EINVAL;
        }
        ret->level = level;
        (void) g_snprintf(ret->pattern, sizeof ret->pattern, "*%s*", entry + 2);
        return 0;
}

int vb_log_filters_parse(VbLogFilters **ret, const char *text, sd_bus_error *reterr) {
        g_auto(GStrv) entries = g_strsplit_set(text ?: "", " \t\n", -1);
        g_autoptr(VbLogFilters) filters = g_malloc0(sizeof(VbLogFilters) + VB_LOG_FILTERS_MAX * sizeof(Filter));
        int r;

        filters->most = -1;
        for (char **entry = entries; *entry; entry++) {
                if (**entry == '\0')
                        continue;
                if (filters->n == VB_LOG_FILTERS_MAX) {
                        (void) sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "log filter %u, '%.80s': there may be %d at most",
                                                 filters->n + 1, *entry, VB_LOG_FILTERS_MAX);
                        return -EINVAL;
                }
                r = parse_one(&filters->items[filters->n], *entry, filters->n + 1, reterr);
                if (r < 0)
                        return r;
                filters->most = MAX(filters->most, filters->items[filters->n].level);
                filters->n++;
        }
        *ret = filters->n > 0 ? g_steal_pointer(&filters) : NULL;
        return 0;
}

VbLogFilters *vb_log_filters_free(VbLogFilters *filters) {
        g_free(filters);
        return NULL;
}

char *vb_log_filters_format(const VbLogFilters *filters) {
        GString *text = g_string_new(NULL);

        for (unsigned i = 0; filters && i < filters->n; i++) {
                const Filter *filter = &filters->items[i];

                g_string_append_printf(text, "%s%d:%.*s", i > 0 ? " " : "", vb_log_level_to_classic(filter->level),
                                       (int) strlen(filter->pattern) - 2, filter->pattern + 1);
        }
        return g_string_free(text, FALSE);
}

int vb_log_filters_most(const VbLogFilters *filters) {
        return filters ? filters->most : -1;
}

/* "../service/qemu/monitor.c" to "qemu/monitor". */
static void module_of(const char *file, char *ret, size_t size) {
        static const char folder[] = "service/";
        const char *start = g_strrstr(file, folder);
        char *dot;

        g_strlcpy(ret, start ? start + strlen(folder) : file, size);
        dot = strrchr(ret, '.');
        if (dot)
                *dot = '\0';
}

int vb_log_filters_level(const VbLogFilters *filters, const char *file, int fallback) {
        char module[128];

        if (!filters)
                return fallback;
        module_of(file, module, sizeof module);
        for (unsigned i = 0; i < filters->n; i++)
                if (fnmatch(filters->items[i].pattern, module, /* flags= */ 0) == 0)
                        return filters->items[i].level;
        return fallback;
}
