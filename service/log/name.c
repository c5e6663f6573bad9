/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log/name.h"

#include <string.h>
#include <unistd.h>

#include "base/error.h"

/* With ".log.99" behind it, it is still a file's name. */
#define STEM_MAX 240u

static bool is_word(const char *text, size_t max, const char *also) {
        size_t n = strlen(text);

        if (n == 0 || n > max || text[0] == '.')
                return false;
        for (const char *c = text; *c; c++)
                if (!g_ascii_isalnum(*c) && !strchr(also, *c))
                        return false;
        return true;
}

static bool is_domain(const char *text) {
        size_t n = strlen(text);

        if (n == 0 || n > LOG_NAME_DOMAIN_MAX || text[0] == '.')
                return false;
        for (const char *c = text; *c; c++)
                if (*c == '/' || g_ascii_iscntrl(*c))
                        return false;
        return true;
}

int log_name_init(LogName *name, const char *driver, uid_t owner, const char *domain, const char *log, sd_bus_error *reterr) {
        if (!is_word(driver, LOG_NAME_DRIVER_MAX, ""))
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT,
                                         "'%.64s' is not a driver's name: up to %u letters and digits", driver, LOG_NAME_DRIVER_MAX);
        if (owner == (uid_t) -1)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "%u is nobody's uid", owner);
        if (!is_domain(domain))
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT,
                                         "there can be no log of a domain named '%.64s': up to %u bytes, no '/' or control character, no '.' in front",
                                         domain, LOG_NAME_DOMAIN_MAX);
        if (!is_word(log, LOG_NAME_LOG_MAX, "._-"))
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT,
                                         "'%.64s' is not a log's name: up to %u letters, digits and '.', '_', '-'", log, LOG_NAME_LOG_MAX);
        *name = (LogName){
                .driver = g_strdup(driver),
                .owner = owner,
                .domain = g_strdup(domain),
                .log = g_strdup(log),
        };
        return 0;
}

void log_name_done(LogName *name) {
        g_free(name->driver);
        g_free(name->domain);
        g_free(name->log);
        *name = (LogName){ 0 };
}

static bool is_console(const LogName *name) {
        return strcmp(name->log, name->driver) != 0;
}

char *log_name_folder(const LogName *name) {
        GString *folder = g_string_new(name->driver);

        /* In a session all is the user's. */
        if (name->owner != geteuid())
                g_string_append_printf(folder, "/%u", name->owner);
        if (is_console(name))
                g_string_append_printf(folder, "/console/%s", name->domain);
        return g_string_free(folder, FALSE);
}

char *log_name_file(const LogName *name) {
        const char *stem = is_console(name) ? name->log : name->domain;
        g_autofree char *hash = NULL;

        if (strlen(stem) <= STEM_MAX)
                return g_strconcat(stem, ".log", NULL);
        hash = g_compute_checksum_for_string(G_CHECKSUM_SHA256, stem, -1);
        return g_strdup_printf("%.*s-%.32s.log", (int) (STEM_MAX - 33), stem, hash);
}

char *log_name_path(const LogName *name) {
        g_autofree char *folder = log_name_folder(name), *file = log_name_file(name);

        return g_build_filename(folder, file, NULL);
}
