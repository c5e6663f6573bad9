/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/panic.h"

#include <inttypes.h>

#include "qemu/json.h"

/* Registers: all 64 bits of them. */
static uint64_t get_register(VbJson *info, const char *key) {
        VbJson *member = qemu_json_member(info, key, json_type_int);

        return member ? json_object_get_uint64(member) : 0;
}

/* The parameters of a Windows guest's crash, of which the first is the number of its blue screen. */
static char *describe_hyperv(VbJson *info) {
        GString *text = g_string_new("hyper-v:");

        for (unsigned i = 1; i <= 5; i++) {
                g_autofree char *key = g_strdup_printf("arg%u", i);

                g_string_append_printf(text, "%s %s='0x%" PRIx64 "'", i > 1 ? "," : "", key, get_register(info, key));
        }
        return g_string_free(text, FALSE);
}

/* Words of the emulator's own, of which it has few. */
static const char *get_reason(VbJson *info) {
        const char *reason = qemu_json_string(info, "reason");

        return reason && strlen(reason) <= 64 && reason[strspn(reason, G_CSET_a_2_z "-")] == '\0' ? reason : "unknown";
}

static char *describe_s390(VbJson *info) {
        return g_strdup_printf("s390: core='%" PRIu64 "' psw-mask='0x%016" PRIx64 "' psw-addr='0x%016" PRIx64 "' reason='%s'",
                               get_register(info, "core"), get_register(info, "psw-mask"), get_register(info, "psw-addr"), get_reason(info));
}

char *qemu_panic_describe(VbJson *info) {
        const char *type = qemu_json_string(info, "type") ?: "";

        if (g_str_equal(type, "hyper-v"))
                return describe_hyperv(info);
        if (g_str_equal(type, "s390"))
                return describe_s390(info);
        return NULL;
}
