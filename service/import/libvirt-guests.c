/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "import/libvirt-guests.h"

#include <string.h>

#include "base/error.h"

/* The bounds of auto_shutdown_wait and auto_start_delay. */
#define WAIT_MAX 86400u
#define DELAY_MAX 3600u

typedef struct Import {
        const char *path;
        const VbShellVariable *variable;
        GString *settings, *notes;
        sd_bus_error *reterr;
} Import;

static void set(Import *import, const char *key, const char *value) {
        g_string_append_printf(import->settings, "%s = %s\n", key, value);
}

static void set_number(Import *import, const char *key, guint64 value) {
        g_string_append_printf(import->settings, "%s = %" G_GUINT64_FORMAT "\n", key, value);
}

static void __attribute__((format(printf, 2, 3))) note(Import *import, const char *format, ...) {
        va_list arguments;

        g_string_append_printf(import->notes, "%s:%u: %s: ", import->path, import->variable->line, import->variable->name);
        va_start(arguments, format);
        g_string_append_vprintf(import->notes, format, arguments);
        va_end(arguments);
        g_string_append_c(import->notes, '\n');
}

static int refuse(Import *import, const char *expected) {
        const VbShellVariable *variable = import->variable;

        return sd_bus_error_setf(import->reterr, VB_ERROR_INVALID_ARGUMENT, "%s:%u: %s='%.64s': not %s", import->path, variable->line,
                                 variable->name, variable->value, expected);
}

static int read_number(Import *import, guint64 max, guint64 *ret) {
        g_autofree char *expected = NULL;

        if (g_ascii_string_to_unsigned(import->variable->value, 10, 0, max, ret, NULL))
                return 0;
        expected = g_strdup_printf("a number from 0 to %" G_GUINT64_FORMAT, max);
        return refuse(import, expected);
}

static const char *yes_if(guint64 number) {
        return number > 0 ? "yes" : "no";
}

static int import_on_boot(Import *import) {
        const char *value = import->variable->value;

        if (!g_str_equal(value, "start") && !g_str_equal(value, "ignore"))
                return refuse(import, "one of start, ignore");
        set(import, "auto_shutdown_restore", g_str_equal(value, "start") ? "yes" : "no");
        return 0;
}

static int import_on_shutdown(Import *import) {
        const char *value = import->variable->value;

        if (g_str_equal(value, "suspend")) {
                set(import, "auto_shutdown_try_save", "persistent");
                note(import, "a guest that cannot be saved is asked to power off; auto_shutdown_try_shutdown and auto_shutdown_poweroff say so");
        } else if (g_str_equal(value, "shutdown")) {
                set(import, "auto_shutdown_try_save", "none");
                set(import, "auto_shutdown_try_shutdown", "all");
        } else
                return refuse(import, "one of suspend, shutdown");
        return 0;
}

static int import_timeout(Import *import) {
        guint64 seconds;
        int r;

        r = read_number(import, WAIT_MAX, &seconds);
        if (r < 0)
                return r;
        if (seconds == 0)
                note(import, "there is no wait without an end; it becomes one of %u seconds", WAIT_MAX);
        set_number(import, "auto_shutdown_wait", seconds ?: WAIT_MAX);
        return 0;
}

static int import_parallel(Import *import) {
        guint64 n;
        int r;

        r = read_number(import, 100000, &n);
        if (r < 0)
                return r;
        note(import, "the limit is also one for saving");
        set_number(import, "auto_shutdown_parallel", n ?: 1);
        return 0;
}

static int import_delay(Import *import) {
        guint64 seconds;
        int r;

        r = read_number(import, DELAY_MAX, &seconds);
        if (r < 0)
                return r;
        set_number(import, "auto_start_delay", seconds * 1000);
        return 0;
}

static int import_bypass_cache(Import *import) {
        guint64 number;
        int r;

        r = read_number(import, G_MAXUINT, &number);
        if (r < 0)
                return r;
        set(import, "auto_save_bypass_cache", yes_if(number));
        set(import, "auto_start_bypass_cache", yes_if(number));
        return 0;
}

static int import_sync_time(Import *import) {
        guint64 number;
        int r;

        r = read_number(import, G_MAXUINT, &number);
        if (r < 0)
                return r;
        set(import, "auto_start_sync_time", yes_if(number));
        return 0;
}

/* Of the guests that it names, those of this host's QEMU are virtqemud's. */
static int import_uris(Import *import) {
        g_auto(GStrv) uris = g_strsplit_set(import->variable->value, " \t\n", -1);
        bool ours = false, any = false;

        for (char **uri = uris; *uri; uri++) {
                if (**uri == '\0')
                        continue;
                any = true;
                if (g_str_equal(*uri, "default") || g_str_has_prefix(*uri, "qemu:///system"))
                        ours = true;
                else
                        note(import, "the guests of %s are not virtqemud's, and were not taken over", *uri);
        }
        if (any && !ours)
                return refuse(import, "for the guests of this host's QEMU (default, qemu:///system): there is nothing to take over");
        return 0;
}

static const struct {
        const char *name;
        int (*import)(Import *import);
} rows[] = {
        { "URIS", import_uris },
        { "ON_BOOT", import_on_boot },
        { "START_DELAY", import_delay },
        { "ON_SHUTDOWN", import_on_shutdown },
        { "PARALLEL_SHUTDOWN", import_parallel },
        { "SHUTDOWN_TIMEOUT", import_timeout },
        { "BYPASS_CACHE", import_bypass_cache },
        { "SYNC_TIME", import_sync_time },
};

static bool is_known(const char *name) {
        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
                if (g_str_equal(rows[i].name, name))
                        return true;
        return false;
}

static void note_rest(Import *import, const VbShellFile *file) {
        for (unsigned i = 0; i < file->variables->len; i++) {
                import->variable = file->variables->pdata[i];
                if (!is_known(import->variable->name))
                        note(import, "no setting of libvirt-guests; left out");
        }
        for (unsigned i = 0; i < file->others->len; i++)
                g_string_append_printf(import->notes, "%s:%u: not an assignment; left out\n", import->path,
                                       g_array_index(file->others, unsigned, i));
}

static int import_row(Import *import, int (*function)(Import *import)) {
        const VbShellVariable *variable = import->variable;

        if (!variable->value)
                return sd_bus_error_setf(import->reterr, VB_ERROR_INVALID_ARGUMENT,
                                         "%s:%u: %s: %s, which is not done here; write its value there", import->path, variable->line,
                                         variable->name, variable->why);
        /* As if it were not set. */
        return variable->value[0] == '\0' ? 0 : function(import);
}

int vb_libvirt_guests_import(const char *path, const VbShellFile *file, GString *settings, GString *notes, sd_bus_error *reterr) {
        g_autoptr(GString) new_settings = g_string_new(NULL), new_notes = g_string_new(NULL);
        Import import = { .path = path, .settings = new_settings, .notes = new_notes, .reterr = reterr };
        int r;

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                import.variable = vb_shell_file_find(file, rows[i].name);
                r = import.variable ? import_row(&import, rows[i].import) : 0;
                if (r < 0)
                        return -EINVAL;
        }
        note_rest(&import, file);
        g_string_append(settings, new_settings->str);
        g_string_append(notes, new_notes->str);
        return 0;
}
