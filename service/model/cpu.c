/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/cpu.h"

#include <string.h>

#include "base/error.h"
#include "model/tables.h"

VB_STRING_TABLE(vb_cpu_mode, VbCpuMode, VB_CPU_MODE_MAX,
                [VB_CPU_MODE_CUSTOM] = "custom",
                [VB_CPU_MODE_HOST_MODEL] = "host-model",
                [VB_CPU_MODE_HOST_PASSTHROUGH] = "host-passthrough",
                [VB_CPU_MODE_MAXIMUM] = "maximum")
VB_STRING_TABLE(vb_cpu_match, VbCpuMatch, VB_CPU_MATCH_MAX,
                [VB_CPU_MATCH_MINIMUM] = "minimum",
                [VB_CPU_MATCH_EXACT] = "exact",
                [VB_CPU_MATCH_STRICT] = "strict")
VB_STRING_TABLE(vb_cpu_check, VbCpuCheck, VB_CPU_CHECK_MAX,
                [VB_CPU_CHECK_NONE] = "none",
                [VB_CPU_CHECK_PARTIAL] = "partial",
                [VB_CPU_CHECK_FULL] = "full")
VB_STRING_TABLE(vb_cpu_fallback, VbCpuFallback, VB_CPU_FALLBACK_MAX,
                [VB_CPU_FALLBACK_ALLOW] = "allow",
                [VB_CPU_FALLBACK_FORBID] = "forbid")
VB_STRING_TABLE(vb_cpu_policy, VbCpuPolicy, VB_CPU_POLICY_MAX,
                [VB_CPU_POLICY_FORCE] = "force",
                [VB_CPU_POLICY_REQUIRE] = "require",
                [VB_CPU_POLICY_OPTIONAL] = "optional",
                [VB_CPU_POLICY_DISABLE] = "disable",
                [VB_CPU_POLICY_FORBID] = "forbid")
VB_STRING_TABLE(vb_cpu_cache_mode, VbCpuCacheMode, VB_CPU_CACHE_MODE_MAX,
                [VB_CPU_CACHE_EMULATE] = "emulate",
                [VB_CPU_CACHE_PASSTHROUGH] = "passthrough",
                [VB_CPU_CACHE_DISABLE] = "disable")

#define F(field) VB_XML_FIELD(VbCpu, field)
#define NAME_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.+-"

/* Models and features become parts of QEMU's -cpu argument: a comma in one would be a further option. */
static int name_parse(const VbXmlRow *row, VbXmlMode mode, const char *text, void *field, char **ret_why) {
        if (text[0] == '\0' || strspn(text, NAME_CHARS) != strlen(text)) {
                *ret_why = g_strdup("not a name of letters, digits, '_', '.', '+' and '-'");
                return -EINVAL;
        }
        return vb_xml_string_parse(row, mode, text, field, ret_why);
}

static const VbXmlType name_type = {
        "name", sizeof(char *), name_parse, vb_xml_string_is_set, vb_xml_string_format, true
};

static const VbXmlRow model_rows[] = {
        VB_XML_ATTRIBUTE("fallback", VB_XML_ENUM(vb_cpu_fallback), F(fallback)),
        VB_XML_ATTRIBUTE("vendor_id", VB_XML_STRING, F(vendor_id), .max = 12),
        VB_XML_TEXT(.type = &name_type, F(model), .max = 128),
        {},
};

static const VbXmlRow topology_rows[] = {
#define T(field) VB_XML_FIELD(VbCpuTopology, field), VB_XML_RANGE(1, 4096)
        VB_XML_ATTRIBUTE("sockets", VB_XML_UINT, T(sockets), .flags = VB_XML_REQUIRED),
        VB_XML_ATTRIBUTE("dies", VB_XML_UINT, T(dies), .fallback = "1"),
        VB_XML_ATTRIBUTE("cores", VB_XML_UINT, T(cores), .flags = VB_XML_REQUIRED),
        VB_XML_ATTRIBUTE("threads", VB_XML_UINT, T(threads), .flags = VB_XML_REQUIRED),
        VB_XML_UNBUILT_ATTRIBUTES("clusters"),
        {},
};

static const VbXmlTable topology_table = { "topology", sizeof(VbCpuTopology), topology_rows };

static const VbXmlRow cache_rows[] = {
        VB_XML_ATTRIBUTE("level", VB_XML_OPT_UINT, VB_XML_FIELD(VbCpuCache, level), VB_XML_RANGE(1, 3)),
        VB_XML_ATTRIBUTE("mode", VB_XML_ENUM(vb_cpu_cache_mode), VB_XML_FIELD(VbCpuCache, mode),
                         .flags = VB_XML_REQUIRED),
        {},
};

static const VbXmlTable cache_table = { "cache", sizeof(VbCpuCache), cache_rows };

static const VbXmlRow feature_rows[] = {
        VB_XML_ATTRIBUTE("policy", VB_XML_ENUM(vb_cpu_policy), VB_XML_FIELD(VbCpuFeature, policy),
                         .fallback = "require"),
        VB_XML_ATTRIBUTE("name", .type = &name_type, VB_XML_FIELD(VbCpuFeature, name), .flags = VB_XML_REQUIRED,
                         .max = 128),
        {},
};

static const VbXmlTable feature_table = { "feature", sizeof(VbCpuFeature), feature_rows };

static const VbXmlRow cpu_rows[] = {
        VB_XML_ATTRIBUTE("mode", VB_XML_ENUM(vb_cpu_mode), F(mode)),
        VB_XML_ATTRIBUTE("match", VB_XML_ENUM(vb_cpu_match), F(match)),
        VB_XML_ATTRIBUTE("check", VB_XML_ENUM(vb_cpu_check), F(check)),
        VB_XML_ATTRIBUTE("migratable", VB_XML_ON_OFF, F(migratable)),
        VB_XML_GROUP("model", model_rows),
        VB_XML_VALUE("vendor", VB_XML_STRING, F(vendor), .max = 64),
        VB_XML_SINGLE("topology", topology_table, F(topology)),
        VB_XML_SINGLE("cache", cache_table, F(cache)),
        VB_XML_LIST("feature", feature_table, F(features)),
        VB_XML_UNBUILT_ELEMENTS("numa maxphysaddr"),
        {},
};

static int check_features(const VbCpu *cpu, VbXmlReader *reader) {
        g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

        for (size_t i = 0; i < cpu->features.n; i++)
                if (!g_hash_table_add(seen, cpu->features.items[i]->name))
                        return vb_xml_fail(reader, VB_ERROR_INVALID_XML, "feature '%s' is told twice",
                                           cpu->features.items[i]->name);
        return 0;
}

static int cpu_finish(void *item, VbXmlReader *reader) {
        VbCpu *cpu = item;
        bool host = cpu->mode == VB_CPU_MODE_HOST_PASSTHROUGH || cpu->mode == VB_CPU_MODE_MAXIMUM;

        if (cpu->mode == VB_CPU_MODE_ABSENT && cpu->model)
                cpu->mode = VB_CPU_MODE_CUSTOM;
        if (cpu->mode == VB_CPU_MODE_CUSTOM && !cpu->model)
                return vb_xml_fail(reader, VB_ERROR_INVALID_XML, "mode 'custom' needs a <model>");
        if (cpu->migratable && !host)
                return vb_xml_fail(reader, VB_ERROR_INVALID_XML,
                                   "migratable is for the modes host-passthrough and maximum only");
        if (cpu->mode == VB_CPU_MODE_ABSENT && cpu->features.n > 0)
                return vb_xml_fail(reader, VB_ERROR_INVALID_XML, "features need a mode or a <model>");

        if (cpu->mode == VB_CPU_MODE_CUSTOM && cpu->match == VB_CPU_MATCH_ABSENT)
                cpu->match = VB_CPU_MATCH_EXACT;
        if (cpu->mode != VB_CPU_MODE_CUSTOM)
                cpu->match = VB_CPU_MATCH_ABSENT;
        if (cpu->mode == VB_CPU_MODE_CUSTOM && cpu->fallback == VB_CPU_FALLBACK_ABSENT)
                cpu->fallback = VB_CPU_FALLBACK_ALLOW;
        if (cpu->mode == VB_CPU_MODE_HOST_MODEL && cpu->fallback == VB_CPU_FALLBACK_ALLOW)
                cpu->fallback = VB_CPU_FALLBACK_ABSENT;
        return check_features(cpu, reader);
}

const VbXmlTable vb_cpu_table = { "cpu", sizeof(VbCpu), cpu_rows, cpu_finish };
