/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/cpu-description.h"

#include <libxml/tree.h>
#include <string.h>

#include "base/error.h"
#include "qemu/cpu.h"
#include "xml/document.h"

#define FEATURES_MAX 4096u

static bool is_element(const xmlNode *node, const char *name) {
        return node->type == XML_ELEMENT_NODE && g_str_equal((const char *) node->name, name);
}

static char *text_of(const xmlNode *node) {
        xmlChar *text = xmlNodeGetContent(node);
        char *copy = g_strstrip(g_strdup((const char *) text));

        xmlFree(text);
        return copy;
}

static char *attribute_of(const xmlNode *node, const char *name) {
        xmlChar *text = xmlGetNoNsProp(node, (const xmlChar *) name);
        char *copy = g_strdup((const char *) text);

        xmlFree(text);
        return copy;
}

static int refuse(const xmlNode *node, const char *what, sd_bus_error *reterr) {
        return sd_bus_error_setf(reterr, VB_ERROR_INVALID_XML, "line %ld: <%s>: %s", xmlGetLineNo(node), node->name, what);
}

static int take_once(const xmlNode *node, char **text, sd_bus_error *reterr) {
        if (*text)
                return refuse(node, "there is one already", reterr);
        *text = text_of(node);
        return 0;
}

static int take_feature(QemuCpuDescription *description, const xmlNode *node, sd_bus_error *reterr) {
        g_autofree char *name = attribute_of(node, "name"), *policy = attribute_of(node, "policy");
        VbCpuFeature feature = { .policy = VB_CPU_POLICY_REQUIRE };

        if (!name || !*name)
                return refuse(node, "has no name", reterr);
        if (policy) {
                int value = vb_cpu_policy_from_string(policy);

                if (value < 0)
                        return refuse(node, "policy must be force, require, optional, disable or forbid", reterr);
                feature.policy = (VbCpuPolicy) value;
        }
        if (description->features->len >= FEATURES_MAX)
                return refuse(node, "there are too many", reterr);
        feature.name = g_strdup(qemu_cpu_feature_from_xml(name));
        for (guint i = 0; i < description->features->len; i++)
                if (g_str_equal(g_array_index(description->features, VbCpuFeature, i).name, feature.name)) {
                        g_free(feature.name);
                        return refuse(node, "is told twice", reterr);
                }
        g_array_append_val(description->features, feature);
        return 0;
}

static int take_element(QemuCpuDescription *description, const xmlNode *node, bool validate, sd_bus_error *reterr) {
        static const char *const others[] = { "cache",       "counter", "maxphysaddr", "microcode", "numa",
                                              "pages",       "signature", "topology",  NULL };

        if (is_element(node, "arch"))
                return take_once(node, &description->arch, reterr);
        if (is_element(node, "model"))
                return take_once(node, &description->model, reterr);
        if (is_element(node, "vendor"))
                return take_once(node, &description->vendor, reterr);
        if (is_element(node, "feature"))
                return take_feature(description, node, reterr);
        if (validate && !g_strv_contains(others, (const char *) node->name))
                return refuse(node, "has no place in <cpu>", reterr);
        return 0;
}

static int take_root(QemuCpuDescription *description, const xmlNode *root, bool validate, sd_bus_error *reterr) {
        g_autofree char *match = attribute_of(root, "match"), *mode = attribute_of(root, "mode");
        int r = 0;

        if (!is_element(root, "cpu"))
                return refuse(root, "is not a <cpu>", reterr);
        for (const xmlNode *node = root->children; node && r >= 0; node = node->next)
                if (node->type == XML_ELEMENT_NODE)
                        r = take_element(description, node, validate, reterr);
        if (r < 0)
                return r;
        description->strict = g_strcmp0(match, "strict") == 0;
        if (!description->model)
                return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                         "<cpu%s%s%s>: names no <model>, so there is nothing to compare", mode ? " mode='" : "",
                                         mode ?: "", mode ? "'" : "");
        return 0;
}

static void feature_done(gpointer data) {
        g_free(((VbCpuFeature *) data)->name);
}

int qemu_cpu_description_parse(QemuCpuDescription **ret, const char *xml, bool validate, sd_bus_error *reterr) {
        g_autoptr(QemuCpuDescription) description = g_new0(QemuCpuDescription, 1);
        g_autoptr(xmlDoc) document = NULL;
        int r;

        description->features = g_array_new(/* zero_terminated= */ FALSE, /* clear= */ TRUE, sizeof(VbCpuFeature));
        g_array_set_clear_func(description->features, feature_done);
        r = vb_xml_document_read(&document, xml, strlen(xml), reterr);
        if (r < 0)
                return r;
        r = take_root(description, xmlDocGetRootElement(document), validate, reterr);
        if (r < 0)
                return r;
        *ret = g_steal_pointer(&description);
        return 0;
}

QemuCpuDescription *qemu_cpu_description_free(QemuCpuDescription *description) {
        if (!description)
                return NULL;
        g_free(description->arch);
        g_free(description->model);
        g_free(description->vendor);
        g_array_unref(description->features);
        g_free(description);
        return NULL;
}
