/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "import/shell-file.h"

#include <string.h>

typedef struct Reader {
        const char *at;
        unsigned line;
        VbShellFile *file;
} Reader;

static void variable_free(void *data) {
        VbShellVariable *variable = data;

        g_free(variable->name);
        g_free(variable->value);
        g_free(variable->why);
        g_free(variable);
}

VbShellFile *vb_shell_file_free(VbShellFile *file) {
        if (!file)
                return NULL;
        g_ptr_array_unref(file->variables);
        g_array_unref(file->others);
        g_free(file);
        return NULL;
}

const VbShellVariable *vb_shell_file_find(const VbShellFile *file, const char *name) {
        for (unsigned i = file->variables->len; i > 0; i--) {
                const VbShellVariable *variable = file->variables->pdata[i - 1];

                if (g_str_equal(variable->name, name))
                        return variable;
        }
        return NULL;
}

static void next(Reader *reader) {
        reader->line += *reader->at == '\n';
        reader->at++;
}

/* Blanks, and lines that go on. */
static void skip_blanks(Reader *reader) {
        while (*reader->at == ' ' || *reader->at == '\t' || *reader->at == '\r' || g_str_has_prefix(reader->at, "\\\n")) {
                if (*reader->at == '\\')
                        next(reader);
                next(reader);
        }
}

static void skip_line(Reader *reader) {
        while (*reader->at && *reader->at != '\n')
                next(reader);
}

static bool is_end(char c) {
        return c == '\0' || c == '\n' || c == ';';
}

static void note(char **why, const char *text) {
        if (!*why)
                *why = g_strdup(text);
}

/* 'as it is' */
static void read_single(Reader *reader, GString *value, char **why) {
        for (next(reader); *reader->at != '\''; next(reader)) {
                if (!*reader->at) {
                        note(why, "its quote (') has no end");
                        return;
                }
                g_string_append_c(value, *reader->at);
        }
        next(reader);
}

static void take(Reader *reader, GString *value, char **why) {
        if (*reader->at == '$' || *reader->at == '`')
                note(why, "the shell would expand it ($ or `)");
        g_string_append_c(value, *reader->at);
        next(reader);
}

/* "with \" and \\" */
static void read_double(Reader *reader, GString *value, char **why) {
        for (next(reader); *reader->at != '"';) {
                if (!*reader->at) {
                        note(why, "its quote (\") has no end");
                        return;
                }
                if (*reader->at == '\\' && reader->at[1] && strchr("$`\"\\\n", reader->at[1])) {
                        next(reader);
                        if (*reader->at != '\n')
                                g_string_append_c(value, *reader->at);
                        next(reader);
                } else
                        take(reader, value, why);
        }
        next(reader);
}

static void read_value(Reader *reader, GString *value, char **why) {
        while (!is_end(*reader->at) && !strchr(" \t\r", *reader->at)) {
                if (*reader->at == '\'')
                        read_single(reader, value, why);
                else if (*reader->at == '"')
                        read_double(reader, value, why);
                else if (*reader->at == '\\') {
                        next(reader);
                        if (*reader->at && *reader->at != '\n')
                                g_string_append_c(value, *reader->at);
                        if (*reader->at)
                                next(reader);
                } else {
                        if (strchr("&|<>()", *reader->at))
                                note(why, "there is a command in it");
                        take(reader, value, why);
                }
        }
}

static size_t name_length(const char *text) {
        if (!g_ascii_isalpha(*text) && *text != '_')
                return 0;
        return strspn(text, G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "_");
}

static void read_assignment(Reader *reader, size_t length) {
        GString *value = g_string_new(NULL);
        VbShellVariable *variable = g_new(VbShellVariable, 1);

        *variable = (VbShellVariable){ .name = g_strndup(reader->at, length), .line = reader->line };
        reader->at += length + 1;
        read_value(reader, value, &variable->why);
        variable->value = g_string_free(value, /* free_segment= */ variable->why != NULL);
        g_ptr_array_add(reader->file->variables, variable);
}

/* What stands between two ends of commands: "export A=1 B=2", "# comment", or something for the shell alone. */
static void read_command(Reader *reader) {
        unsigned first = reader->file->variables->len;

        skip_blanks(reader);
        if (g_str_has_prefix(reader->at, "export") && strchr(" \t", reader->at[6])) {
                reader->at += 6;
                skip_blanks(reader);
        }
        while (!is_end(*reader->at)) {
                size_t length = name_length(reader->at);

                if (*reader->at == '#')
                        skip_line(reader);
                else if (length > 0 && reader->at[length] == '=')
                        read_assignment(reader, length);
                else {
                        /* Assignments before a command are for that command alone. */
                        g_ptr_array_set_size(reader->file->variables, (int) first);
                        g_array_append_val(reader->file->others, reader->line);
                        skip_line(reader);
                }
                skip_blanks(reader);
        }
        if (*reader->at)
                next(reader);
}

VbShellFile *vb_shell_file_parse(const char *text) {
        VbShellFile *file = g_new(VbShellFile, 1);
        Reader reader = { .at = text, .line = 1, .file = file };

        *file = (VbShellFile){
                .variables = g_ptr_array_new_with_free_func(variable_free),
                .others = g_array_new(FALSE, FALSE, sizeof(unsigned)),
        };
        while (*reader.at)
                read_command(&reader);
        return file;
}
