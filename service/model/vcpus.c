/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/vcpus.h"

#include <stdlib.h>

#include "base/error.h"
#include "model/tables.h"

#define V(field) VB_XML_FIELD(VbVcpu, field)

static const VbXmlRow vcpu_rows[] = {
        VB_XML_ATTRIBUTE("id", VB_XML_OPT_UINT, V(id), .flags = VB_XML_REQUIRED, VB_XML_RANGE(0, VB_DOMAIN_VCPUS_MAX - 1)),
        VB_XML_ATTRIBUTE("enabled", VB_XML_YES_NO, V(enabled), .flags = VB_XML_REQUIRED),
        VB_XML_ATTRIBUTE("hotpluggable", VB_XML_YES_NO, V(hotpluggable)),
        VB_XML_ATTRIBUTE("order", VB_XML_UINT, V(order), VB_XML_RANGE(1, VB_DOMAIN_VCPUS_MAX),
                         .note = "in which they were plugged in"),
        {},
};

const VbXmlTable vb_vcpu_table = { "vcpu", sizeof(VbVcpu), vcpu_rows };

bool vb_vcpu_is_enabled(const VbDomainDefinition *definition, uint32_t vcpu) {
        if (vcpu < definition->vcpu_list.n)
                return definition->vcpu_list.items[vcpu]->enabled == VB_TRISTATE_YES;
        return vcpu < vb_domain_definition_vcpus(definition);
}

bool vb_vcpu_is_hotpluggable(const VbDomainDefinition *definition, uint32_t vcpu) {
        if (vcpu < definition->vcpu_list.n)
                return definition->vcpu_list.items[vcpu]->hotpluggable == VB_TRISTATE_YES;
        return vcpu >= vb_domain_definition_vcpus(definition) && vcpu < definition->vcpus;
}

uint32_t vb_vcpus_count_fixed(const VbDomainDefinition *definition) {
        uint32_t n = 0;

        for (uint32_t i = 0; i < definition->vcpus; i++)
                n += vb_vcpu_is_enabled(definition, i) && !vb_vcpu_is_hotpluggable(definition, i);
        return n;
}

static VbVcpu *append(VbDomainDefinition *definition, bool enabled) {
        VbVcpu *vcpu = g_new(VbVcpu, 1);

        *vcpu = (VbVcpu){
                .id = VB_OPT((uint32_t) definition->vcpu_list.n),
                .enabled = enabled ? VB_TRISTATE_YES : VB_TRISTATE_NO,
                .hotpluggable = enabled ? VB_TRISTATE_NO : VB_TRISTATE_YES,
                .order = enabled ? (uint32_t) definition->vcpu_list.n + 1 : 0,
        };
        VB_LIST_APPEND(&definition->vcpu_list, vcpu);
        return vcpu;
}

void vb_vcpus_spell_out(VbDomainDefinition *definition) {
        uint32_t enabled = vb_domain_definition_vcpus(definition);

        if (definition->vcpu_list.n > 0)
                return;
        for (uint32_t i = 0; i < definition->vcpus; i++)
                (void) append(definition, i < enabled);
}

/* <vcpu current='…'> follows from <vcpus>. */
static void count(VbDomainDefinition *definition) {
        uint32_t n = 0;

        for (size_t i = 0; i < definition->vcpu_list.n; i++)
                n += definition->vcpu_list.items[i]->enabled == VB_TRISTATE_YES;
        definition->vcpus_current = n < definition->vcpus ? (VbOptUint) VB_OPT(n) : (VbOptUint){};
}

static uint32_t last_order(const VbDomainDefinition *definition) {
        uint32_t last = 0;

        for (size_t i = 0; i < definition->vcpu_list.n; i++)
                last = MAX(last, definition->vcpu_list.items[i]->order);
        return last;
}

void vb_vcpu_set_enabled(VbDomainDefinition *definition, uint32_t number, bool enabled, bool hotpluggable) {
        VbVcpu *vcpu;

        vb_vcpus_spell_out(definition);
        vcpu = definition->vcpu_list.items[number];
        if ((vcpu->enabled == VB_TRISTATE_YES) == enabled)
                return;
        vcpu->enabled = enabled ? VB_TRISTATE_YES : VB_TRISTATE_NO;
        vcpu->hotpluggable = hotpluggable || !enabled ? VB_TRISTATE_YES : VB_TRISTATE_NO;
        if (enabled)
                vcpu->order = last_order(definition) + 1;
        for (size_t i = 0; !enabled && i < definition->vcpu_list.n; i++)
                definition->vcpu_list.items[i]->order -= definition->vcpu_list.items[i]->order > vcpu->order;
        if (!enabled)
                vcpu->order = 0;
        count(definition);
}

static void drop_from(VbDomainDefinition *definition, uint32_t vcpus) {
        while (definition->vcpu_list.n > vcpus)
                g_free(VB_LIST_STEAL(&definition->vcpu_list, definition->vcpu_list.n - 1));
}

void vb_vcpus_set_maximum(VbDomainDefinition *definition, uint32_t vcpus) {
        if (!definition->vcpus_current.set)
                definition->vcpus_current = (VbOptUint) VB_OPT(definition->vcpus);
        definition->vcpus = vcpus;
        if (definition->vcpus_current.value >= vcpus)
                definition->vcpus_current = (VbOptUint){};
        if (definition->vcpu_list.n == 0)
                return;
        drop_from(definition, vcpus);
        while (definition->vcpu_list.n < vcpus)
                (void) append(definition, /* enabled= */ false);
        count(definition);
}

/* --- reading -------------------------------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b) {
        const VbVcpu *const *first = a, *const *second = b;

        return (int) (*first)->id.value - (int) (*second)->id.value;
}

/* Of one that nothing was said of: off. */
static void insert(VbDomainDefinition *definition, size_t place) {
        VbVcpu *vcpu = g_new(VbVcpu, 1);

        *vcpu = (VbVcpu){ .id = VB_OPT((uint32_t) place), .enabled = VB_TRISTATE_NO };
        VB_LIST_INSERT(&definition->vcpu_list, place, vcpu);
}

static int complete(VbDomainDefinition *definition, VbXmlReader *reader) {
        VbList *list = (VbList *) &definition->vcpu_list;

        qsort(list->items, list->n, sizeof(void *), compare);
        for (uint32_t i = 0; i < definition->vcpus; i++)
                if (i >= definition->vcpu_list.n || definition->vcpu_list.items[i]->id.value > i)
                        insert(definition, i);
                else if (definition->vcpu_list.items[i]->id.value < i)
                        return vb_xml_fail(reader, VB_ERROR_INVALID_XML, "<vcpus>: vCPU %u is there twice",
                                           definition->vcpu_list.items[i]->id.value);
        if (definition->vcpu_list.n > definition->vcpus)
                return vb_xml_fail(reader, VB_ERROR_INVALID_XML, "<vcpus>: more are named than there can be (<vcpu>), %u",
                                   definition->vcpus);
        return 0;
}

static int set_default(VbVcpu *vcpu, VbXmlReader *reader) {
        bool enabled = vcpu->enabled == VB_TRISTATE_YES;

        if (!enabled && vcpu->hotpluggable == VB_TRISTATE_NO)
                return vb_xml_fail(reader, VB_ERROR_INVALID_XML, "<vcpus>: vCPU %u is not there, so it cannot but be hotpluggable",
                                   vcpu->id.value);
        if (vcpu->hotpluggable == VB_TRISTATE_ABSENT)
                vcpu->hotpluggable = enabled ? VB_TRISTATE_NO : VB_TRISTATE_YES;
        if (!enabled)
                vcpu->order = 0;
        return 0;
}

int vb_vcpus_finish(VbDomainDefinition *definition, VbXmlReader *reader) {
        int r;

        if (definition->vcpu_list.n == 0)
                return 0;
        r = complete(definition, reader);
        for (size_t i = 0; r >= 0 && i < definition->vcpu_list.n; i++)
                r = set_default(definition->vcpu_list.items[i], reader);
        if (r < 0)
                return r;
        count(definition);
        return 0;
}

/* --- rules ---------------------------------------------------------------------------------------------------------- */

int vb_vcpus_check(const VbDomainDefinition *definition, sd_bus_error *reterr) {
        uint32_t fixed = vb_vcpus_count_fixed(definition);

        if (!vb_vcpu_is_enabled(definition, 0) || vb_vcpu_is_hotpluggable(definition, 0))
                return sd_bus_error_set(reterr, VB_ERROR_INVALID_XML, "<vcpus>: vCPU 0 must be enabled and not hotpluggable");
        /* The machine is made with those that stay, and counts them from 0. */
        for (uint32_t i = 0; i < fixed; i++)
                if (!vb_vcpu_is_enabled(definition, i) || vb_vcpu_is_hotpluggable(definition, i))
                        return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                                 "<vcpus>: those that are not hotpluggable must be the first ones, and vCPU %u is not", i);
        return 0;
}
