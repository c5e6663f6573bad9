/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/settings.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/compare.h"
#include "base/file.h"
#include "base/log.h"

#define FILE_MAX (256u * 1024)
#define LIST_MAX 256u

typedef struct Unit {
        const char *suffix;
        uint64_t factor;
} Unit;

static const Unit size_units[] = {
        { "", 1 }, { "K", 1ull << 10 }, { "M", 1ull << 20 }, { "G", 1ull << 30 }, { "T", 1ull << 40 }, { NULL },
};
static const Unit duration_units[] = {
        { "", 1000000 },          { "us", 1 },            { "ms", 1000 },           { "s", 1000000 },
        { "min", 60 * 1000000 }, { "h", 3600 * 1000000ull }, { NULL },
};
static const Unit delay_units[] = {
        { "", 1000 },            { "us", 1 },            { "ms", 1000 },           { "s", 1000000 },
        { "min", 60 * 1000000 }, { "h", 3600 * 1000000ull }, { NULL },
};
static const Unit no_units[] = { { "", 1 }, { NULL } };

static const Unit *units_of(VbSettingKind kind) {
        switch (kind) {
        case VB_SETTING_SIZE: return size_units;
        case VB_SETTING_DURATION: return duration_units;
        case VB_SETTING_DELAY: return delay_units;
        default: return no_units;
        }
}

static void *member(void *target, const VbSetting *setting) {
        return (char *) target + setting->offset;
}

static void clear(const VbSetting *setting, void *target) {
        switch (setting->kind) {
        case VB_SETTING_BOOL: *(bool *) member(target, setting) = false; break;
        case VB_SETTING_NUMBER:
        case VB_SETTING_SIZE:
        case VB_SETTING_DURATION:
        case VB_SETTING_DELAY: *(uint64_t *) member(target, setting) = 0; break;
        case VB_SETTING_WORD: *(int *) member(target, setting) = 0; break;
        case VB_SETTING_STRING:
        case VB_SETTING_PATH: g_clear_pointer((char **) member(target, setting), g_free); break;
        case VB_SETTING_LIST: g_clear_pointer((char ***) member(target, setting), g_strfreev); break;
        default: g_assert_not_reached();
        }
}

static int parse_bool(const char *text, bool *ret) {
        static const char *const yes[] = { "yes", "true", "on", "1", NULL };
        static const char *const no[] = { "no", "false", "off", "0", NULL };

        if (g_strv_contains(yes, text))
                *ret = true;
        else if (g_strv_contains(no, text))
                *ret = false;
        else
                return -EINVAL;
        return 0;
}

static int parse_number(const char *text, const Unit *units, uint64_t min, uint64_t max, uint64_t *ret) {
        uint64_t value;
        char *end;

        if (!g_ascii_isdigit(text[0]))
                return -EINVAL;
        errno = 0;
        value = strtoull(text, &end, 10);
        if (errno != 0)
                return -ERANGE;
        while (*end == ' ')
                end++;
        for (; units->suffix; units++)
                if (strcmp(units->suffix, end) == 0)
                        break;
        if (!units->suffix)
                return -EINVAL;
        if (__builtin_mul_overflow(value, units->factor, &value) || value < min || (max != 0 && value > max))
                return -ERANGE;
        *ret = value;
        return 0;
}

static char **parse_list(const char *text) {
        g_auto(GStrv) words = g_strsplit_set(text, " \t,", -1);
        GPtrArray *list = g_ptr_array_new();

        for (char **word = words; *word; word++)
                if (**word && list->len < LIST_MAX)
                        g_ptr_array_add(list, g_strdup(*word));
        g_ptr_array_add(list, NULL);
        return (char **) g_ptr_array_free(list, false);
}

/* Nothing changes unless the value is good. */
static int set(const VbSetting *setting, void *target, const char *text) {
        int word;

        switch (setting->kind) {
        case VB_SETTING_BOOL: return parse_bool(text, member(target, setting));
        case VB_SETTING_NUMBER:
        case VB_SETTING_SIZE:
        case VB_SETTING_DURATION:
        case VB_SETTING_DELAY:
                return parse_number(text, units_of(setting->kind), setting->min, setting->max, member(target, setting));
        case VB_SETTING_WORD:
                word = vb_string_table_find(setting->words, text);
                if (word < 0)
                        return word;
                *(int *) member(target, setting) = word;
                return 0;
        case VB_SETTING_PATH:
                if (text[0] != '/')
                        return -EINVAL;
                break;
        case VB_SETTING_STRING: break;
        case VB_SETTING_LIST: {
                char **list = parse_list(text);

                clear(setting, target);
                *(char ***) member(target, setting) = list;
                return 0;
        }
        default: g_assert_not_reached();
        }
        clear(setting, target);
        *(char **) member(target, setting) = g_strdup(text);
        return 0;
}

static char *expected(const VbSetting *setting) {
        switch (setting->kind) {
        case VB_SETTING_BOOL: return g_strdup("yes or no");
        case VB_SETTING_NUMBER: return g_strdup("a number");
        case VB_SETTING_SIZE: return g_strdup("a size like 64K, 10M or 2G");
        case VB_SETTING_DURATION:
        case VB_SETTING_DELAY: return g_strdup("a time like 500ms, 30s or 2min");
        case VB_SETTING_PATH: return g_strdup("an absolute path");
        case VB_SETTING_WORD: {
                g_autofree char *words = g_strjoinv(", ", (char **) setting->words->words);

                return g_strconcat("one of ", words, NULL);
        }
        default: return g_strdup("a text");
        }
}

static const VbSetting *find(const VbSettingsPart *parts, const char *key, void **ret_target) {
        for (; parts->table; parts++)
                for (const VbSetting *setting = parts->table; setting->key; setting++)
                        if (strcmp(setting->key, key) == 0) {
                                *ret_target = parts->target;
                                return setting;
                        }
        return NULL;
}

static void log_bad_value(const VbSetting *setting, const char *value, const char *path, unsigned number, int r) {
        bool is_time = setting->kind == VB_SETTING_DURATION || setting->kind == VB_SETTING_DELAY;
        g_autofree char *good = expected(setting);

        if (r == -ERANGE)
                vb_log_warning("%s:%u: %s: '%.64s' is out of range (%" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT "%s); ignored",
                               path, number, setting->key, value, setting->min, setting->max ?: UINT64_MAX, is_time ? " us" : "");
        else
                vb_log_warning("%s:%u: %s: '%.64s' is not %s; ignored", path, number, setting->key, value, good);
}

/* A value stands as it is, without blanks around it; or in double quotes, with \" and \\ inside. A comment may follow. */
static int unquote(char *text, char **ret) {
        char *to = text, *from = text + 1;

        if (text[0] != '"') {
                /* "#" begins a comment only after a blank, so that a value may have one inside. */
                for (char *hash = strchr(text, '#'); hash; hash = strchr(hash + 1, '#'))
                        if (hash == text || g_ascii_isspace(hash[-1])) {
                                *hash = '\0';
                                break;
                        }
                *ret = g_strchomp(text);
                return 0;
        }
        for (; *from && *from != '"'; from++) {
                if (*from == '\\' && (from[1] == '"' || from[1] == '\\'))
                        from++;
                *to++ = *from;
        }
        if (*from != '"')
                return -EINVAL;
        from++;
        while (g_ascii_isspace(*from))
                from++;
        if (*from != '\0' && *from != '#')
                return -EINVAL;
        *to = '\0';
        *ret = text;
        return 0;
}

/* false: a line that was not understood, and was logged. */
static bool load_line(const VbSettingsPart *parts, const char *path, unsigned number, char *line) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        const VbSetting *setting;
        char *equals, *key, *value;
        void *target;
        int r;

        key = g_strstrip(line);
        if (key[0] == '\0' || key[0] == '#')
                return true;
        equals = strchr(key, '=');
        if (!equals) {
                vb_log_warning("%s:%u: not a line of the form 'key = value'; ignored", path, number);
                return false;
        }
        *equals = '\0';
        (void) g_strchomp(key);
        setting = find(parts, key, &target);
        if (!setting) {
                vb_log_warning("%s:%u: unknown setting '%.64s'; ignored", path, number, key);
                return false;
        }
        r = unquote(g_strchug(equals + 1), &value);
        if (r < 0) {
                vb_log_warning("%s:%u: %s: the quotes do not match; ignored", path, number, key);
                return false;
        }
        if (setting->check && setting->check(value, &error) < 0) {
                vb_log_warning("%s:%u: %s: %s; ignored", path, number, key, error.message);
                return false;
        }
        r = set(setting, target, value);
        if (r < 0)
                log_bad_value(setting, value, path, number, r);
        return r >= 0;
}

/* The number of lines that were not understood, or a negative errno. */
static int load_file(const VbSettingsPart *parts, const char *path) {
        g_autofree char *text = NULL;
        g_auto(GStrv) lines = NULL;
        vb_autofd fd = -EBADF;
        int r, n = 0;

        /* An administrator may well have put a link here. */
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0)
                return errno == ENOENT ? 0 : -errno;
        r = vb_file_read_fd(fd, FILE_MAX, &text, NULL);
        if (r < 0)
                return r;
        lines = g_strsplit(text, "\n", -1);
        for (unsigned i = 0; lines[i]; i++)
                n += !load_line(parts, path, i + 1, lines[i]);
        return n;
}

/* Paths of the drop-ins, sorted by name. */
static GPtrArray *list_drop_ins(const char *directory, const char *driver) {
        g_autofree char *name = g_strdup_printf("%s.conf.d", driver), *path = g_build_filename(directory, name, NULL);
        g_autoptr(GDir) folder = g_dir_open(path, 0, NULL);
        GPtrArray *files = g_ptr_array_new_with_free_func(g_free);
        const char *entry;

        while (folder && (entry = g_dir_read_name(folder)))
                if (entry[0] != '.' && g_str_has_suffix(entry, ".conf"))
                        g_ptr_array_add(files, g_build_filename(path, entry, NULL));
        g_ptr_array_sort(files, vb_compare_texts);
        return files;
}

static void set_fallbacks(const VbSettingsPart *part) {
        vb_settings_done(part->table, part->target);
        for (const VbSetting *setting = part->table; setting->key; setting++)
                if (setting->fallback && set(setting, part->target, setting->fallback) < 0)
                        g_error("setting '%s': bad fallback '%s'", setting->key, setting->fallback);
}

int vb_settings_load_parts(const VbSettingsPart *parts, const char *directory, const char *driver) {
        g_autofree char *name = g_strdup_printf("%s.conf", driver);
        g_autoptr(GPtrArray) files = list_drop_ins(directory, driver);
        int n = 0, failed = 0;

        g_ptr_array_insert(files, 0, g_build_filename(directory, name, NULL));

        for (const VbSettingsPart *part = parts; part->table; part++)
                set_fallbacks(part);

        for (guint i = 0; i < files->len; i++) {
                int r = load_file(parts, files->pdata[i]);

                if (r < 0)
                        failed = vb_log_warning_errno(r, "cannot read %s: %m; its settings are ignored",
                                                      (char *) files->pdata[i]);
                else
                        n += r;
        }
        return failed < 0 ? failed : n;
}

int vb_settings_load(const VbSetting *table, void *target, const char *directory, const char *driver) {
        return vb_settings_load_parts((const VbSettingsPart[]){ { table, target }, { NULL } }, directory, driver);
}

void vb_settings_done(const VbSetting *table, void *target) {
        for (; table->key; table++)
                clear(table, target);
}
