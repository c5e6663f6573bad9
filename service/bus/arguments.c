/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/arguments.h"

#include <inttypes.h>
#include <string.h>

#include "base/error.h"

enum {
        STRING_MAX_DEFAULT = 64 * 1024,
        ARRAY_MAX_DEFAULT = 4096,
        FILE_NAME_MAX = 255,
};

/* What is being read, for the complaints. */
typedef struct Reader {
        sd_bus_message *message;
        const char *context; /* the method's name */
        const char *role; /* "argument" or "option" */
        sd_bus_error *reterr;
} Reader;

static void *field(void *args, size_t offset) {
        return (char *) args + offset;
}

__attribute__((format(printf, 3, 4))) static int complain(const Reader *reader, const VbArgument *argument,
                                                          const char *format, ...) {
        g_autofree char *text = NULL;
        va_list list;

        va_start(list, format);
        text = g_strdup_vprintf(format, list);
        va_end(list);
        return sd_bus_error_setf(reader->reterr, VB_ERROR_INVALID_ARGUMENT, "%s: %s '%s': %s",
                                 reader->context, reader->role, argument->name, text);
}

static char *join_words(const VbWords *words) {
        GString *text = g_string_new(NULL);

        for (unsigned i = 0; i < words->n_words; i++)
                g_string_append_printf(text, "%s'%s'", i == 0 ? "" : ", ", words->words[i]);
        return g_string_free(text, /* free_segment= */ FALSE);
}

static int find_word(const Reader *reader, const VbArgument *argument, const char *value, unsigned *ret) {
        g_autofree char *known = NULL;

        for (unsigned i = 0; i < argument->words->n_words; i++)
                if (strcmp(argument->words->words[i], value) == 0) {
                        *ret = i;
                        return 0;
                }

        known = join_words(argument->words);
        return complain(reader, argument, "'%.64s' is not one of %s", value, known);
}

static int check_string(const Reader *reader, const VbArgument *argument, const char *value) {
        size_t max = argument->max > 0 ? argument->max : STRING_MAX_DEFAULT;

        if (strnlen(value, max + 1) > max)
                return complain(reader, argument, "longer than %zu bytes", max);
        return 0;
}

static int read_string(const Reader *reader, const VbArgument *argument, void *args) {
        const char *value;
        unsigned word;
        int r;

        r = sd_bus_message_read_basic(reader->message, argument->type[0], &value);
        if (r < 0)
                return r;
        r = check_string(reader, argument, value);
        if (r < 0)
                return r;

        if (!argument->words) {
                *(const char **) field(args, argument->offset) = value;
                return 0;
        }
        r = find_word(reader, argument, value, &word);
        if (r < 0)
                return r;
        *(unsigned *) field(args, argument->offset) = word;
        return 0;
}

static int read_bool(const Reader *reader, const VbArgument *argument, void *args) {
        int value, r;

        r = sd_bus_message_read_basic(reader->message, 'b', &value);
        if (r < 0)
                return r;
        *(bool *) field(args, argument->offset) = value;
        return 0;
}

static int check_unsigned(const Reader *reader, const VbArgument *argument, uint64_t value) {
        if (argument->max > 0 && value > argument->max)
                return complain(reader, argument, "%" PRIu64 " is more than %" PRIu64, value, argument->max);
        return 0;
}

static int read_number(const Reader *reader, const VbArgument *argument, void *args) {
        void *target = field(args, argument->offset);
        int r;

        r = sd_bus_message_read_basic(reader->message, argument->type[0], target);
        if (r < 0)
                return r;

        switch (argument->type[0]) {
        case 'y': return check_unsigned(reader, argument, *(uint8_t *) target);
        case 'q': return check_unsigned(reader, argument, *(uint16_t *) target);
        case 'u': return check_unsigned(reader, argument, *(uint32_t *) target);
        case 't': return check_unsigned(reader, argument, *(uint64_t *) target);
        case 'n': return check_unsigned(reader, argument, MAX(*(int16_t *) target, 0));
        case 'i': return check_unsigned(reader, argument, MAX(*(int32_t *) target, 0));
        case 'x': return check_unsigned(reader, argument, MAX(*(int64_t *) target, 0));
        default: return 0; /* 'd', and 'h' whose descriptor sd-bus has checked */
        }
}

static int check_count(const Reader *reader, const VbArgument *argument, size_t n) {
        size_t max = argument->max > 0 ? argument->max : ARRAY_MAX_DEFAULT;

        if (n > max)
                return complain(reader, argument, "more than %zu entries", max);
        return 0;
}

static int read_numbers(const Reader *reader, const VbArgument *argument, void *args) {
        VbNumbers *numbers = field(args, argument->offset);
        const void *values;
        size_t size;
        int r;

        r = sd_bus_message_read_array(reader->message, argument->type[1], &values, &size);
        if (r < 0)
                return r;
        r = check_count(reader, argument, size / sizeof(uint32_t));
        if (r < 0)
                return r;
        *numbers = (VbNumbers){ values, size / sizeof(uint32_t) };
        return 0;
}

/* Strings of an array into an array that ends with NULL; *values is the caller's also after a failure. */
static int read_string_values(const Reader *reader, const VbArgument *argument, GPtrArray *values) {
        const char *value;
        int r;

        r = sd_bus_message_enter_container(reader->message, 'a', argument->type + 1);
        if (r < 0)
                return r;
        while ((r = sd_bus_message_read_basic(reader->message, argument->type[1], &value)) > 0) {
                r = check_count(reader, argument, values->len + 1);
                if (r >= 0)
                        r = check_string(reader, &(VbArgument){ .name = argument->name }, value);
                if (r < 0)
                        return r;
                g_ptr_array_add(values, (char *) value);
        }
        if (r < 0)
                return r;
        g_ptr_array_add(values, NULL);
        return sd_bus_message_exit_container(reader->message);
}

static int read_set(const Reader *reader, const VbArgument *argument, void *args, GPtrArray *values) {
        unsigned set = 0;

        for (size_t i = 0; i + 1 < values->len; i++) {
                unsigned word;
                int r;

                r = find_word(reader, argument, values->pdata[i], &word);
                if (r < 0)
                        return r;
                set |= 1U << word;
        }
        *(unsigned *) field(args, argument->offset) = set;
        return 0;
}

static int read_strings(const Reader *reader, const VbArgument *argument, void *args) {
        g_autoptr(GPtrArray) values = g_ptr_array_new();
        VbStrings *strings = field(args, argument->offset);
        int r;

        r = read_string_values(reader, argument, values);
        if (r < 0)
                return r;
        if (argument->words)
                return read_set(reader, argument, args, values);

        strings->n = values->len - 1;
        strings->values =
                (const char *const *) g_ptr_array_free(g_steal_pointer(&values), /* free_segment= */ FALSE);
        return 0;
}

static int check_file_name(const Reader *reader, const VbArgument *argument, GArray *files,
                           const char *name) {
        if (name[0] == '\0' || strnlen(name, FILE_NAME_MAX + 1) > FILE_NAME_MAX)
                return complain(reader, argument, "a name is 1 to %d bytes long", FILE_NAME_MAX);
        for (size_t i = 0; i < files->len; i++)
                if (strcmp(g_array_index(files, VbFile, i).name, name) == 0)
                        return complain(reader, argument, "'%s' is there twice", name);
        return check_count(reader, argument, files->len + 1);
}

static int read_files(const Reader *reader, const VbArgument *argument, void *args) {
        g_autoptr(GArray) files =
                g_array_new(/* zero_terminated= */ FALSE, /* clear= */ FALSE, sizeof(VbFile));
        VbFiles *target = field(args, argument->offset);
        VbFile file;
        int r;

        r = sd_bus_message_enter_container(reader->message, 'a', "{sh}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_read(reader->message, "{sh}", &file.name, &file.fd)) > 0) {
                r = check_file_name(reader, argument, files, file.name);
                if (r < 0)
                        return r;
                g_array_append_val(files, file);
        }
        if (r < 0)
                return r;

        target->n = files->len;
        target->values = (const VbFile *) g_array_free(g_steal_pointer(&files), /* free_segment= */ FALSE);
        return sd_bus_message_exit_container(reader->message);
}

static int read_value(const Reader *reader, const VbArgument *argument, void *args) {
        switch (argument->type[0]) {
        case 's':
        case 'o': return read_string(reader, argument, args);
        case 'b': return read_bool(reader, argument, args);
        case 'a':
                if (strcmp(argument->type, "au") == 0)
                        return read_numbers(reader, argument, args);
                if (strcmp(argument->type, "a{sh}") == 0)
                        return read_files(reader, argument, args);
                return read_strings(reader, argument, args);
        default: return read_number(reader, argument, args);
        }
}

static int unknown_option(const Reader *reader, const VbArgument *argument, const char *key) {
        g_autoptr(GString) known = g_string_new(NULL);

        for (const VbOption *option = argument->options; option && option->argument.name; option++)
                g_string_append_printf(known, "%s'%s'", known->len == 0 ? "" : ", ", option->argument.name);
        return sd_bus_error_setf(reader->reterr, VB_ERROR_INVALID_ARGUMENT,
                                 "%s: unknown option '%.64s'; there %s%s", reader->context, key,
                                 known->len == 0 ? "are none" : "is ", known->str);
}

static const VbOption *find_option(const VbArgument *argument, const char *key) {
        for (const VbOption *option = argument->options; option && option->argument.name; option++)
                if (strcmp(option->argument.name, key) == 0)
                        return option;
        return NULL;
}

static int read_option(const Reader *reader, const VbArgument *argument, void *args) {
        Reader of_option = { reader->message, reader->context, "option", reader->reterr };
        const VbOption *option;
        const char *key, *contents;
        bool *has;
        char type;
        int r;

        r = sd_bus_message_read_basic(reader->message, 's', &key);
        if (r < 0)
                return r;
        option = find_option(argument, key);
        if (!option)
                return unknown_option(reader, argument, key);
        has = field(args, option->has_offset);
        if (*has)
                return complain(&of_option, &option->argument, "given twice");

        r = sd_bus_message_peek_type(reader->message, &type, &contents);
        if (r < 0)
                return r;
        if (strcmp(contents, option->argument.type) != 0)
                return complain(&of_option, &option->argument, "has type '%s' and not '%s'", contents,
                                option->argument.type);

        r = sd_bus_message_enter_container(reader->message, 'v', contents);
        if (r < 0)
                return r;
        r = read_value(&of_option, &option->argument, args);
        if (r < 0)
                return r;
        *has = true;
        return sd_bus_message_exit_container(reader->message);
}

static int read_options(const Reader *reader, const VbArgument *argument, void *args) {
        int r;

        r = sd_bus_message_enter_container(reader->message, 'a', "{sv}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(reader->message, 'e', "sv")) > 0) {
                r = read_option(reader, argument, args);
                if (r < 0)
                        return r;
                r = sd_bus_message_exit_container(reader->message);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;
        return sd_bus_message_exit_container(reader->message);
}

int vb_arguments_read(sd_bus_message *message, const VbArgument *arguments, void *args, const char *context,
                      sd_bus_error *reterr) {
        Reader reader = { message, context, "argument", reterr };

        for (const VbArgument *argument = arguments; argument->name; argument++) {
                bool options = strcmp(argument->type, "a{sv}") == 0;
                int r;

                r = options ? read_options(&reader, argument, args) : read_value(&reader, argument, args);
                if (r < 0)
                        return sd_bus_error_is_set(reterr)
                                       ? r
                                       : complain(&reader, argument, "cannot be read: %s", g_strerror(-r));
        }
        return 0;
}

static void free_value(const VbArgument *argument, void *args) {
        if (argument->type[0] != 'a' || argument->words || strcmp(argument->type, "au") == 0)
                return;
        if (strcmp(argument->type, "a{sh}") == 0) {
                VbFiles *files = field(args, argument->offset);

                g_free((void *) files->values);
        } else {
                VbStrings *strings = field(args, argument->offset);

                g_free((void *) strings->values);
        }
}

void vb_arguments_done(const VbArgument *arguments, void *args) {
        for (const VbArgument *argument = arguments; argument->name; argument++) {
                if (strcmp(argument->type, "a{sv}") != 0)
                        free_value(argument, args);
                for (const VbOption *option = argument->options; option && option->argument.name; option++)
                        free_value(&option->argument, args);
        }
}
