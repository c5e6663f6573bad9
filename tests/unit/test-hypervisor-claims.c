/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypervisor/claims.h"

#include <fcntl.h>
#include <string.h>

#include "base/error.h"
#include "hypervisor/lock.h"

#define DISK(device, source, target, more) \
        "<disk type='file' device='" device "'>" source "<target dev='" target "'/>" more "</disk>"
#define SOURCE(path) "<source file='" path "'/>"

static VbDomainDefinition *define(const char *devices) {
        g_autofree char *xml = g_strdup_printf("<domain type='qemu'><name>web</name><uuid>11111111-2222-4333-8444-555555555555</uuid>"
                                               "<memory>65536</memory><os><type>hvm</type></os><devices>%s</devices></domain>",
                                               devices);
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        VbDomainDefinition *definition = NULL;
        int r = vb_domain_definition_parse(&definition, xml, strlen(xml), 0, &error);

        if (r < 0)
                g_error("%s", error.message);
        return definition;
}

/* "disk vda=/a.img disk vdb=/b.img(shared)" */
static char *describe(const VbClaims *claims) {
        GString *text = g_string_new(NULL);

        for (size_t i = 0; i < claims->n; i++) {
                const VbClaim *claim = &claims->items[i];

                g_string_append_printf(text, "%s%s=%s%s%s%s", i > 0 ? " " : "", claim->device, claim->folder ?: "",
                                       claim->folder ? "/" : "", claim->name, claim->shared ? "(shared)" : "");
        }
        if (claims->leaves_disks)
                g_string_append(text, " and disks");
        return g_string_free(text, FALSE);
}

static const struct {
        const char *name;
        const char *devices;
        bool disks;
        const char *expected;
} cases[] = {
        { "none", "", true, "" },
        { "writable", DISK("disk", SOURCE("/a.img"), "vda", ""), true, "disk vda=/a.img" },
        { "read-only", DISK("disk", SOURCE("/a.img"), "vda", "<readonly/>"), true, "" },
        { "cdrom", DISK("cdrom", SOURCE("/a.iso"), "sda", ""), true, "" },
        { "empty-drive", DISK("cdrom", "", "sda", ""), true, "" },
        { "floppy", DISK("floppy", SOURCE("/a.img"), "fda", ""), true, "disk fda=/a.img" },
        { "shareable", DISK("disk", SOURCE("/a.img"), "vda", "<shareable/>"), true, "disk vda=/a.img(shared)" },
        { "shareable-twice", DISK("disk", SOURCE("/a.img"), "vda", "<shareable/>") DISK("disk", SOURCE("/a.img"), "vdb", "<shareable/>"), true,
          "disk vda=/a.img(shared)" },
        { "twice", DISK("disk", SOURCE("/a.img"), "vda", "") DISK("disk", SOURCE("/a.img"), "vdb", ""), true,
          "disk vda=/a.img disk vdb=/a.img" },
        { "spelling", DISK("disk", SOURCE("/srv//x/../a.img"), "vda", ""), true, "disk vda=/srv/a.img" },
        { "callers-own", DISK("disk", SOURCE("fd:system"), "vda", ""), true,
          "disk vda=/11111111-2222-4333-8444-555555555555/fd:system" },
        { "no-disks", DISK("disk", SOURCE("/a.img"), "vda", ""), false, " and disks" },
        { "no-shared-disks", DISK("disk", SOURCE("/a.img"), "vda", "<shareable/>"), false, "" },
        { "lease", "<lease><key>web</key><target path='/srv/./leases'/></lease>" DISK("disk", SOURCE("/a.img"), "vda", ""), false,
          "lease web=/srv/leases/web and disks" },
};

static void test_case(gconstpointer data) {
        const typeof(cases[0]) *row = data;
        VbDomainDefinition *definition = define(row->devices);
        g_autoptr(VbClaims) claims = vb_claims_new(definition, row->disks);
        g_autofree char *text = describe(claims);

        g_assert_cmpstr(text, ==, row->expected);
        (void) vb_domain_definition_free(definition);
}

/* The next daemon knows what the last one knew. */
static void test_json(void) {
        VbDomainDefinition *definition = define("<lease><lockspace>cluster</lockspace><key>web</key><target path='/srv/leases' offset='1048576'/>"
                                                "</lease>" DISK("disk", SOURCE("/a.img"), "vda", "<shareable/>"));
        g_autoptr(VbClaims) claims = vb_claims_new(definition, true), read = NULL;
        g_autofree char *before = describe(claims), *after = NULL;
        g_autoptr(VbJson) json = NULL;

        claims->manager = vb_lock_manager_find("lockd");
        claims->pid = 4711;
        claims->start_time = G_MAXINT64;
        claims->state = VB_CLAIMS_SUSPENDED;
        claims->token = g_strdup("\"what\" \\ it may be");
        json = vb_claims_to_json(claims);
        g_assert_cmpint(vb_claims_from_json(&read, json), ==, 0);

        after = describe(read);
        g_assert_cmpstr(after, ==, before);
        g_assert_true(read->manager == claims->manager);
        g_assert_cmpint(read->pid, ==, claims->pid);
        g_assert_cmpuint(read->start_time, ==, claims->start_time);
        g_assert_cmpint(read->state, ==, VB_CLAIMS_SUSPENDED);
        g_assert_cmpstr(read->token, ==, claims->token);
        g_assert_cmpstr(vb_claims_find(read, "lease web")->lockspace, ==, "cluster");
        g_assert_cmpuint(vb_claims_find(read, "lease web")->offset, ==, 1048576);
        g_assert_null(vb_claims_find(read, "disk vdb"));
        (void) vb_domain_definition_free(definition);
}

static void test_json_refused(void) {
        static const char *const rows[] = {
                "{}",
                "{'manager':'paper','state':'held','claims':[]}",
                "{'manager':'lockd','state':'perhaps','claims':[]}",
                "{'manager':'lockd','state':'held'}",
                "{'manager':'lockd','state':'held','claims':{}}",
                "{'manager':'lockd','state':'held','claims':[{'device':'disk vda'}]}",
                "{'manager':'lockd','state':'held','claims':[1]}",
                "{'manager':'lockd','state':'held','pid':4294967296,'claims':[]}",
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                g_autofree char *text = g_strdelimit(g_strdup(rows[i]), "'", '"');
                g_autoptr(VbJson) json = json_tokener_parse(text);
                VbClaims *claims = NULL;

                g_assert_nonnull(json);
                g_assert_cmpint(vb_claims_from_json(&claims, json), ==, -EBADMSG);
                g_assert_null(claims);
        }
}

static void test_close(void) {
        VbDomainDefinition *definition = define(DISK("disk", SOURCE("/a.img"), "vda", ""));
        g_autoptr(VbClaims) claims = vb_claims_new(definition, true);
        int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

        claims->items[0].fd = fd;
        vb_claims_close(claims);
        g_assert_cmpint(fcntl(fd, F_GETFD), <, 0);
        g_assert_cmpint(claims->items[0].fd, <, 0);
        (void) vb_domain_definition_free(definition);
}

static void test_managers(void) {
        g_assert_cmpstr(vb_lock_manager_name(vb_lock_manager_find("lockd")), ==, "lockd");
        g_assert_null(vb_lock_manager_find("none"));
        g_assert_null(vb_lock_manager_find(NULL));
        g_assert_null(vb_lock_manager_name(NULL));
}

int main(int argc, char **argv) {
        vb_error_init();
        g_test_init(&argc, &argv, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *name = g_strconcat("/hypervisor/claims/", cases[i].name, NULL);

                g_test_add_data_func(name, &cases[i], test_case);
        }
        g_test_add_func("/hypervisor/claims/json", test_json);
        g_test_add_func("/hypervisor/claims/json-refused", test_json_refused);
        g_test_add_func("/hypervisor/claims/close", test_close);
        g_test_add_func("/hypervisor/lock/managers", test_managers);
        return g_test_run();
}
