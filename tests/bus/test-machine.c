/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The machine client against mocks of systemd-machined and of the user's service manager, on a private bus. What the
 * real ones do with it is tested in tests/system. */
#include "bus/machine.h"

#include <string.h>

#include "base/error.h"
#include "base/uuid.h"
#include "private-bus.h"
#include "test-util.h"

typedef struct Fixture {
        PrivateBus *bus;
        sd_event *event;
        sd_bus *server, *client;
        VbMachineCall *call;
        sd_bus_message *held; /* what the mock has not answered */
        GString *heard;       /* what the mock was asked, in words */
        unsigned n_done;
        int r;
        char *message, *name, *unit;
        bool free_in_done;
        char *removed;
} Fixture;

/* Any message as text: strings as they are, numbers, arrays in brackets. */
static void describe(sd_bus_message *m, GString *out) {
        const char *contents;
        char type;

        while (sd_bus_message_peek_type(m, &type, &contents) > 0) {
                union {
                        const char *s;
                        uint8_t y;
                        uint32_t u;
                        int32_t i;
                        uint64_t t;
                        int b;
                } v = { 0 };

                if (strchr("arv", type)) {
                        g_assert_cmpint(sd_bus_message_enter_container(m, type, contents), >=, 0);
                        (void) g_string_append(out, type == 'r' ? "(" : type == 'a' ? "[" : "");
                        describe(m, out);
                        if (out->str[out->len - 1] == ' ')
                                (void) g_string_truncate(out, out->len - 1);
                        (void) g_string_append(out, type == 'r' ? ") " : type == 'a' ? "] " : "");
                        g_assert_cmpint(sd_bus_message_exit_container(m), >=, 0);
                        continue;
                }
                g_assert_cmpint(sd_bus_message_read_basic(m, type, &v), >=, 0);
                switch (type) {
                case 's':
                case 'o': g_string_append_printf(out, "%s ", v.s[0] ? v.s : "''"); break;
                case 'y': g_string_append_printf(out, "%02x ", v.y); break;
                case 'u': g_string_append_printf(out, "%u ", v.u); break;
                case 'i': g_string_append_printf(out, "%d ", v.i); break;
                case 'b': g_string_append(out, v.b ? "true " : "false "); break;
                case 't': g_string_append_printf(out, "%" G_GUINT64_FORMAT " ", v.t); break;
                default: g_assert_not_reached();
                }
        }
}

static void send_job_removed(Fixture *f, const char *unit, const char *result) {
        g_assert_cmpint(sd_bus_emit_signal(f->server, "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager",
                                           "JobRemoved", "uoss", 7u, "/org/freedesktop/systemd1/job/7", unit, result),
                        >=, 0);
}

static int mock(sd_bus_message *m, void *userdata, sd_bus_error *reterr) {
        Fixture *f = userdata;
        const char *member = sd_bus_message_get_member(m), *name = "";

        (void) sd_bus_message_peek_type(m, NULL, NULL);
        if (strcmp(member, "Subscribe") == 0)
                return sd_bus_error_set(reterr, "org.freedesktop.systemd1.AlreadySubscribed", "already");

        g_string_append_printf(f->heard, "%s ", member);
        describe(m, f->heard);
        (void) sd_bus_message_rewind(m, true);
        (void) sd_bus_message_read(m, "s", &name);
        if (strstr(name, "silent")) {
                f->held = sd_bus_message_ref(m);
                return 1;
        }
        if (strstr(name, "taken"))
                return sd_bus_error_set(reterr, "org.freedesktop.machine1.MachineExists", "Machine already exists");
        if (strstr(name, "gone"))
                return sd_bus_error_set(reterr, "org.freedesktop.machine1.NoSuchMachine", "No such machine");
        if (strcmp(member, "StartTransientUnit") == 0 && !strstr(name, "jobless")) {
                send_job_removed(f, "some-other.scope", "failed");
                g_assert_cmpint(sd_bus_reply_method_return(m, "o", "/org/freedesktop/systemd1/job/7"), >=, 0);
                send_job_removed(f, name, strstr(name, "jobfails") ? "failed" : "done");
                return 1;
        }
        if (strstr("CreateMachineWithNetwork StartTransientUnit StopUnit", member))
                return sd_bus_reply_method_return(m, "o", "/x");
        return sd_bus_reply_method_return(m, NULL);
}

static const sd_bus_vtable machined_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("CreateMachineWithNetwork", "sayssusaia(sv)", "o", mock, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("TerminateMachine", "s", NULL, mock, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_SIGNAL("MachineRemoved", "so", 0),
        SD_BUS_VTABLE_END,
};

static const sd_bus_vtable manager_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Subscribe", NULL, NULL, mock, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("StartTransientUnit", "ssa(sv)a(sa(sv))", "o", mock, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("StopUnit", "ss", "o", mock, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("SetUnitProperties", "sba(sv)", NULL, mock, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_SIGNAL("JobRemoved", "uoss", 0),
        SD_BUS_VTABLE_END,
};

static void on_done(VbMachineCall *call, int r, const char *unit, const sd_bus_error *error, void *userdata) {
        Fixture *f = userdata;

        f->n_done++;
        f->r = r;
        f->unit = g_strdup(unit);
        f->name = g_strdup(error ? error->name : NULL);
        f->message = g_strdup(error ? error->message : NULL);
        if (f->free_in_done)
                f->call = vb_machine_call_free(call);
}

static void begin(Fixture *f, bool with_mocks) {
        *f = (Fixture) { .bus = private_bus_new(), .event = test_event_new(), .heard = g_string_new(NULL) };
        f->client = private_bus_connect(f->bus, f->event);
        if (!with_mocks)
                return;
        f->server = private_bus_connect(f->bus, f->event);
        g_assert_cmpint(sd_bus_add_object_vtable(f->server, NULL, "/org/freedesktop/machine1",
                                                 "org.freedesktop.machine1.Manager", machined_vtable, f),
                        >=, 0);
        g_assert_cmpint(sd_bus_add_object_vtable(f->server, NULL, "/org/freedesktop/systemd1",
                                                 "org.freedesktop.systemd1.Manager", manager_vtable, f),
                        >=, 0);
        g_assert_cmpint(sd_bus_request_name(f->server, "org.freedesktop.machine1", 0), >=, 0);
        g_assert_cmpint(sd_bus_request_name(f->server, "org.freedesktop.systemd1", 0), >=, 0);
}

/* Ready for the next call. */
static void clear(Fixture *f) {
        f->call = vb_machine_call_free(f->call);
        g_clear_pointer(&f->held, sd_bus_message_unref);
        g_clear_pointer(&f->message, g_free);
        g_clear_pointer(&f->name, g_free);
        g_clear_pointer(&f->unit, g_free);
        (void) g_string_truncate(f->heard, 0);
        f->n_done = 0;
        f->r = 1;
}

static void end(Fixture *f) {
        clear(f);
        sd_bus_flush_close_unref(f->client);
        sd_bus_flush_close_unref(f->server);
        sd_event_unref(f->event);
        private_bus_free(f->bus);
        (void) g_string_free(f->heard, true);
        g_free(f->removed);
}

static const VbUuid uuid = { { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 } };
static const int ifindexes[] = { 4, 17 };

static VbMachineSpec spec_of(const char *name) {
        return (VbMachineSpec) { .name = name, .uuid = &uuid, .service = "virtbus-qemu", .class = "vm", .leader = 42,
                                 .description = "Guest web", .resources = VB_MACHINE_RESOURCES_NONE };
}

static void test_create(void) {
        VbMachineSpec spec = spec_of("qemu-3-web");
        Fixture f;

        begin(&f, true);
        spec.ifindexes = ifindexes;
        spec.n_ifindexes = 2;
        spec.resources.cpu_weight = 200;
        spec.resources.memory_max = 1ull << 30;
        spec.resources.allowed_cpus = "0-2,9";
        g_assert_cmpint(vb_machine_create(&f.call, f.client, &spec, on_done, &f, 0), ==, 0);
        g_assert_cmpuint(f.n_done, ==, 0);
        TEST_RUN_UNTIL(f.event, f.n_done > 0);
        g_assert_cmpint(f.r, ==, 0);
        g_assert_cmpstr(f.unit, ==, "machine-qemu\\x2d3\\x2dweb.scope");
        g_assert_cmpstr(f.heard->str, ==,
                        "CreateMachineWithNetwork qemu-3-web [00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f] "
                        "virtbus-qemu vm 42 '' [4 17] [(Description Guest web) (Slice machine.slice) "
                        "(Before [virtbus-guests.target]) (After [virtlockd.service virtlogd.service]) (CollectMode inactive-or-failed) (CPUWeight 200) (MemoryMax 1073741824) "
                        "(AllowedCPUs [07 02])] ");
        end(&f);
}

static void test_create_fails(void) {
        VbMachineSpec taken = spec_of("qemu-3-taken"), silent = spec_of("qemu-3-silent"), bad = spec_of("qemu-3-bad");
        Fixture f;

        begin(&f, true);
        g_assert_cmpint(vb_machine_create(&f.call, f.client, &taken, on_done, &f, 0), ==, 0);
        TEST_RUN_UNTIL(f.event, f.n_done > 0);
        g_assert_cmpint(f.r, ==, -EHOSTUNREACH);
        g_assert_cmpstr(f.name, ==, VB_ERROR_MACHINE_FAILED);
        g_assert_cmpstr(f.message, ==, "machine 'qemu-3-taken': systemd-machined refused: Machine already exists");
        g_assert_null(f.unit);

        clear(&f);
        f.free_in_done = true;
        g_assert_cmpint(vb_machine_create(&f.call, f.client, &silent, on_done, &f, 50000), ==, 0);
        TEST_RUN_UNTIL(f.event, f.n_done > 0);
        g_assert_cmpint(f.r, ==, -ETIMEDOUT);
        g_assert_cmpstr(f.name, ==, VB_ERROR_TIMEOUT);
        g_assert_cmpstr(f.message, ==, "machine 'qemu-3-silent': systemd-machined did not answer within 0.05 s");
        g_assert_null(f.call);
        /* Its late answer finds nobody. */
        g_assert_cmpint(sd_bus_reply_method_return(f.held, "o", "/x"), >=, 0);
        for (int i = 0; i < 10; i++)
                (void) sd_event_run(f.event, 2000);
        g_assert_cmpuint(f.n_done, ==, 1);

        clear(&f);
        bad.resources.allowed_cpus = "3-1";
        g_assert_cmpint(vb_machine_create(&f.call, f.client, &bad, on_done, &f, 0), ==, -EINVAL);
        end(&f);
}

static void test_absent(void) {
        VbMachineSpec spec = spec_of("qemu-3-web");
        Fixture f;

        begin(&f, false);
        g_assert_cmpint(vb_machine_create(&f.call, f.client, &spec, on_done, &f, 0), ==, 0);
        TEST_RUN_UNTIL(f.event, f.n_done > 0);
        g_assert_cmpint(f.r, ==, -EHOSTUNREACH);
        g_assert_cmpstr(f.name, ==, VB_ERROR_MACHINE_FAILED);
        g_assert_true(g_str_has_prefix(f.message, "machine 'qemu-3-web': systemd-machined is not there: "));
        end(&f);
}

static void test_cancel(void) {
        VbMachineSpec spec = spec_of("qemu-3-silent");
        Fixture f;

        begin(&f, true);
        g_assert_cmpint(vb_machine_create(&f.call, f.client, &spec, on_done, &f, 50000), ==, 0);
        TEST_RUN_UNTIL(f.event, f.held);
        f.call = vb_machine_call_free(f.call);
        g_assert_cmpint(sd_bus_reply_method_return(f.held, "o", "/x"), >=, 0);
        for (int i = 0; i < 20; i++)
                (void) sd_event_run(f.event, 5000);
        g_assert_cmpuint(f.n_done, ==, 0);
        end(&f);
}

static void test_terminate(void) {
        Fixture f;

        begin(&f, true);
        g_assert_cmpint(vb_machine_terminate(&f.call, f.client, "qemu-3-web", on_done, &f, 0), ==, 0);
        TEST_RUN_UNTIL(f.event, f.n_done > 0);
        g_assert_cmpint(f.r, ==, 0);
        g_assert_cmpstr(f.heard->str, ==, "TerminateMachine qemu-3-web ");
        clear(&f);
        g_assert_cmpint(vb_machine_terminate(&f.call, f.client, "qemu-3-gone", on_done, &f, 0), ==, 0);
        TEST_RUN_UNTIL(f.event, f.n_done > 0);
        g_assert_cmpint(f.r, ==, 0);
        end(&f);
}

static void test_scope(void) {
        VbMachineSpec spec = spec_of("qemu-3-web"), fails = spec_of("qemu-3-jobfails"), never = spec_of("qemu-3-jobless");
        Fixture f;

        begin(&f, true);
        g_assert_cmpint(vb_machine_create_scope(&f.call, f.client, &spec, on_done, &f, 0), ==, 0);
        TEST_RUN_UNTIL(f.event, f.n_done > 0);
        g_assert_cmpint(f.r, ==, 0);
        g_assert_cmpstr(f.unit, ==, "virtbus-qemu-3-web.scope");
        g_assert_cmpstr(f.heard->str, ==,
                        "StartTransientUnit virtbus-qemu-3-web.scope fail [(Description Guest web) "
                        "(Before [virtbus-guests.target]) (After [virtlockd.service virtlogd.service]) (CollectMode inactive-or-failed) (PIDs [42])] [] ");
        clear(&f);

        g_assert_cmpint(vb_machine_create_scope(&f.call, f.client, &fails, on_done, &f, 0), ==, 0);
        TEST_RUN_UNTIL(f.event, f.n_done > 0);
        g_assert_cmpint(f.r, ==, -EHOSTUNREACH);
        g_assert_cmpstr(f.message, ==,
                        "scope 'virtbus-qemu-3-jobfails.scope': the user's service manager could not make its scope: "
                        "job failed");
        clear(&f);

        g_assert_cmpint(vb_machine_create_scope(&f.call, f.client, &never, on_done, &f, 50000), ==, 0);
        TEST_RUN_UNTIL(f.event, f.n_done > 0);
        g_assert_cmpint(f.r, ==, -ETIMEDOUT);
        clear(&f);

        g_assert_cmpint(vb_machine_stop_scope(&f.call, f.client, "virtbus-qemu-3-web.scope", on_done, &f, 0), ==, 0);
        TEST_RUN_UNTIL(f.event, f.n_done > 0);
        g_assert_cmpint(f.r, ==, 0);
        g_assert_cmpstr(f.heard->str, ==, "StopUnit virtbus-qemu-3-web.scope replace ");
        end(&f);
}

static void test_set_resources(void) {
        VbMachineResources resources = VB_MACHINE_RESOURCES_NONE;
        Fixture f;

        begin(&f, true);
        resources.io_weight = 50; /* of a group that stays */
        resources.cpu_weight = 7;
        resources.tasks_max = 100;
        g_assert_cmpint(vb_machine_set_resources(&f.call, f.client, "x.scope", VB_MACHINE_CPU | VB_MACHINE_OTHERS, &resources, on_done, &f, 0), ==, 0);
        TEST_RUN_UNTIL(f.event, f.n_done > 0);
        g_assert_cmpint(f.r, ==, 0);
        g_assert_cmpstr(f.heard->str, ==, "SetUnitProperties x.scope true [(CPUWeight 7) (CPUQuotaPerSecUSec 18446744073709551615) (TasksMax 100)] ");
        end(&f);
}

static void on_removed(const char *name, void *userdata) {
        ((Fixture *) userdata)->removed = g_strdup(name);
}

static void test_removed(void) {
        g_autoptr(sd_bus_slot) slot = NULL;
        Fixture f;

        begin(&f, true);
        g_assert_cmpint(vb_machine_watch_removed(&slot, f.client, on_removed, &f), ==, 0);
        /* An answered call on the same connection: the match before it is in force. */
        g_assert_cmpint(vb_machine_terminate(&f.call, f.client, "x", on_done, &f, 0), ==, 0);
        TEST_RUN_UNTIL(f.event, f.n_done > 0);
        g_assert_cmpint(sd_bus_emit_signal(f.server, "/org/freedesktop/machine1", "org.freedesktop.machine1.Manager",
                                           "MachineRemoved", "so", "qemu-3-web", "/x"),
                        >=, 0);
        TEST_RUN_UNTIL(f.event, f.removed);
        g_assert_cmpstr(f.removed, ==, "qemu-3-web");
        g_clear_pointer(&slot, sd_bus_slot_unref);
        end(&f);
}

static void test_names(void) {
        static const struct {
                const char *name, *expected;
        } rows[] = {
                { "web", "qemu-7-web" },
                { "web.example.org", "qemu-7-web.example.org" },
                { "a_b", "qemu-7-a-b" },
                { "-a--b..c.-d-", "qemu-7-a-b-c-d" },
                { "../../etc", "qemu-7-etc" },
                { "b\303\274ro", "qemu-7-b-ro" },
                { "\303\274", "qemu-7" },
                { "", "qemu-7" },
                { "0123456789012345678901234567890123456789012345678901234567890123456789",
                  "qemu-7-012345678901234567890123456789012345678901234567890123456" },
                { "01234567890123456789012345678901234567890123456789012345 x",
                  "qemu-7-01234567890123456789012345678901234567890123456789012345" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                g_autofree char *name = vb_machine_name("qemu", 7, rows[i].name);

                g_assert_cmpstr(name, ==, rows[i].expected);
                g_assert_cmpuint(strlen(name), <=, VB_MACHINE_NAME_MAX);
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        vb_error_init();
        g_test_add_func("/machine/names", test_names);
        g_test_add_func("/machine/create", test_create);
        g_test_add_func("/machine/create-fails", test_create_fails);
        g_test_add_func("/machine/absent", test_absent);
        g_test_add_func("/machine/cancel", test_cancel);
        g_test_add_func("/machine/terminate", test_terminate);
        g_test_add_func("/machine/scope", test_scope);
        g_test_add_func("/machine/set-resources", test_set_resources);
        g_test_add_func("/machine/removed", test_removed);
        return g_test_run();
}
