/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "import/shell-file.h"

#include "test-util.h"

static void check_value(const char *text, const char *name, const char *value, unsigned line) {
        g_autoptr(VbShellFile) file = vb_shell_file_parse(text);
        const VbShellVariable *variable = vb_shell_file_find(file, name);

        if (!variable)
                g_error("no %s in: %s", name, text);
        g_assert_cmpstr(variable->value, ==, value);
        g_assert_cmpuint(variable->line, ==, line);
}

static void test_values(void) {
        static const struct {
                const char *text, *value;
                unsigned line;
        } rows[] = {
                { "A=1", "1", 1 },
                { "A=1\n", "1", 1 },
                { "A=\n", "", 1 },
                { "A=", "", 1 },
                { "A=x", "x", 1 },
                { "\n# A=2\n  A=1 # why\n", "1", 3 },
                { "A=1#2\n", "1#2", 1 },
                { "A=1; B=2; #A=3\n", "1", 1 },
                { "A=1 B=2\n", "1", 1 },
                { "B=2 A=1\n", "1", 1 },
                { "export A=1\n", "1", 1 },
                { "export\tB=2 A=1\n", "1", 1 },
                { "A=1\nA=2\n", "2", 2 },
                { "A='one two'\n", "one two", 1 },
                { "A='a\"b$c`d\\e'\n", "a\"b$c`d\\e", 1 },
                { "A=\"one 'two' # three\"\n", "one 'two' # three", 1 },
                { "A=\"\\\" \\\\ \\$x \\` \\n\"\n", "\" \\ $x ` \\n", 1 },
                { "A=one\\ two\n", "one two", 1 },
                { "A=o'n'\"e\"\n", "one", 1 },
                { "A=one\\\ntwo\n", "onetwo", 1 },
                { "A=\"one\\\ntwo\"\n", "onetwo", 1 },
                { "A=\"one\ntwo\"\nB=1\n", "one\ntwo", 1 },
                { "B='\n\n'\nA=1\n", "1", 4 },
                { "B=1 \\\n A=1\n", "1", 2 },
                { "A=1\r\nB=2\r\n", "1", 1 },
                { "A=\\", "", 1 },
                { "if true; then A=3; fi\nA=1\n", "1", 2 },
                { "A=1\nA=2 command\n", "1", 1 },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
                check_value(rows[i].text, "A", rows[i].value, rows[i].line);
}

/* Only a shell could say what these are, and there is none. */
static void test_what_is_not_run(void) {
        static const char *const rows[] = {
                "A=$B\n", "A=\"${B}\"\n", "A=`touch /tmp/run`\n", "A=$(touch /tmp/run)\n", "A=\"$(touch /tmp/run)\"\n", "A='no end\n",
                "A=\"no end\n", "A=(1 2)\n", "A=1&\n", "A=<file\n",
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                g_autoptr(VbShellFile) file = vb_shell_file_parse(rows[i]);
                const VbShellVariable *variable = vb_shell_file_find(file, "A");

                if (!variable || variable->value || !variable->why)
                        g_assert_cmpuint(file->others->len, >, 0);
        }
}

static void test_what_is_no_assignment(void) {
        g_autoptr(VbShellFile) file = vb_shell_file_parse("A=1\n[ -f x ] && B=2\nC = 3\n1D=4\n=5\n. /etc/other\nF=6\n");

        g_assert_cmpuint(file->variables->len, ==, 2);
        g_assert_cmpuint(file->others->len, ==, 5);
        for (unsigned i = 0; i < 5; i++)
                g_assert_cmpuint(g_array_index(file->others, unsigned, i), ==, i + 2);
        g_assert_null(vb_shell_file_find(file, "B"));
        g_assert_null(vb_shell_file_find(file, "C"));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/shell-file/values", test_values);
        g_test_add_func("/shell-file/not-run", test_what_is_not_run);
        g_test_add_func("/shell-file/no-assignment", test_what_is_no_assignment);
        return g_test_run();
}
