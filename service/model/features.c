/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* <features>: what the machine offers its guest beside devices. */

#include <string.h>

#include "base/error.h"
#include "model/cpu.h"
#include "model/tables.h"

VB_STRING_TABLE(vb_hyperv_mode, VbHypervMode, VB_HYPERV_MODE_MAX,
                [VB_HYPERV_MODE_CUSTOM] = "custom",
                [VB_HYPERV_MODE_PASSTHROUGH] = "passthrough")
VB_STRING_TABLE(vb_ioapic, VbIoapic, VB_IOAPIC_MAX,
                [VB_IOAPIC_QEMU] = "qemu",
                [VB_IOAPIC_KVM] = "kvm")
VB_STRING_TABLE(vb_gic_version, VbGicVersion, VB_GIC_VERSION_MAX,
                [VB_GIC_VERSION_2] = "2",
                [VB_GIC_VERSION_3] = "3",
                [VB_GIC_VERSION_HOST] = "host")

#define F(field) VB_XML_FIELD(VbFeatures, field)
#define H(field) VB_XML_FIELD(VbHyperv, field)
#define K(field) VB_XML_FIELD(VbKvmFeatures, field)

/* Most of them are an element with state='on' or 'off'. A bare <pmu/> is on. */
#define STATE_ROWS(name, field)                                                       \
        static const VbXmlRow name##_rows[] = {                                       \
                VB_XML_ATTRIBUTE("state", VB_XML_ON_OFF, field, .fallback = "on"), {} \
        }
#define REQUIRED_STATE_ROWS(name, field)                                                             \
        static const VbXmlRow name##_rows[] = {                                                      \
                VB_XML_ATTRIBUTE("state", VB_XML_ON_OFF, field, .flags = VB_XML_REQUIRED), {}        \
        }

REQUIRED_STATE_ROWS(relaxed, H(relaxed));
REQUIRED_STATE_ROWS(vapic, H(vapic));
REQUIRED_STATE_ROWS(vpindex, H(vpindex));
REQUIRED_STATE_ROWS(runtime, H(runtime));
REQUIRED_STATE_ROWS(synic, H(synic));
REQUIRED_STATE_ROWS(stimer_direct, H(stimer_direct));
REQUIRED_STATE_ROWS(reset, H(reset));
REQUIRED_STATE_ROWS(frequencies, H(frequencies));
REQUIRED_STATE_ROWS(reenlightenment, H(reenlightenment));
REQUIRED_STATE_ROWS(tlbflush, H(tlbflush));
REQUIRED_STATE_ROWS(ipi, H(ipi));
REQUIRED_STATE_ROWS(evmcs, H(evmcs));
REQUIRED_STATE_ROWS(avic, H(avic));

static const VbXmlRow spinlocks_rows[] = {
        VB_XML_ATTRIBUTE("state", VB_XML_ON_OFF, H(spinlocks), .flags = VB_XML_REQUIRED),
        VB_XML_ATTRIBUTE("retries", VB_XML_UINT, H(spinlock_retries), VB_XML_RANGE(4095, UINT32_MAX)),
        {},
};

static const VbXmlRow stimer_rows[] = {
        VB_XML_ATTRIBUTE("state", VB_XML_ON_OFF, H(stimer), .flags = VB_XML_REQUIRED),
        VB_XML_GROUP("direct", stimer_direct_rows),
        {},
};

static const VbXmlRow vendor_id_rows[] = {
        VB_XML_ATTRIBUTE("state", VB_XML_ON_OFF, H(vendor_id), .flags = VB_XML_REQUIRED),
        VB_XML_ATTRIBUTE("value", VB_XML_STRING, H(vendor_id_value), .max = 12),
        {},
};

static const VbXmlRow hyperv_rows[] = {
        VB_XML_ATTRIBUTE("mode", VB_XML_ENUM(vb_hyperv_mode), H(mode), .fallback = "custom"),
        VB_XML_GROUP("relaxed", relaxed_rows),
        VB_XML_GROUP("vapic", vapic_rows),
        VB_XML_GROUP("spinlocks", spinlocks_rows),
        VB_XML_GROUP("vpindex", vpindex_rows),
        VB_XML_GROUP("runtime", runtime_rows),
        VB_XML_GROUP("synic", synic_rows),
        VB_XML_GROUP("stimer", stimer_rows),
        VB_XML_GROUP("reset", reset_rows),
        VB_XML_GROUP("vendor_id", vendor_id_rows),
        VB_XML_GROUP("frequencies", frequencies_rows),
        VB_XML_GROUP("reenlightenment", reenlightenment_rows),
        VB_XML_GROUP("tlbflush", tlbflush_rows),
        VB_XML_GROUP("ipi", ipi_rows),
        VB_XML_GROUP("evmcs", evmcs_rows),
        VB_XML_GROUP("avic", avic_rows),
        VB_XML_UNBUILT_ELEMENTS("emsr_bitmap xmm_input"),
        {},
};

static int hyperv_finish(void *item, VbXmlReader *reader) {
        const VbHyperv *hyperv = item;

        if (hyperv->spinlocks == VB_TRISTATE_YES && hyperv->spinlock_retries == 0)
                return vb_xml_fail(reader, VB_ERROR_INVALID_XML, "spinlocks need retries, at least 4095");
        if (hyperv->vendor_id == VB_TRISTATE_YES && !hyperv->vendor_id_value)
                return vb_xml_fail(reader, VB_ERROR_INVALID_XML, "vendor_id needs a value");
        if (hyperv->vendor_id_value && strchr(hyperv->vendor_id_value, ','))
                return vb_xml_fail(reader, VB_ERROR_INVALID_XML, "vendor_id '%s': a comma is not allowed",
                                   hyperv->vendor_id_value);
        return 0;
}

static const VbXmlTable hyperv_table = { "hyperv", sizeof(VbHyperv), hyperv_rows, hyperv_finish };

REQUIRED_STATE_ROWS(hidden, K(hidden));
REQUIRED_STATE_ROWS(hint_dedicated, K(hint_dedicated));
REQUIRED_STATE_ROWS(poll_control, K(poll_control));
REQUIRED_STATE_ROWS(pv_ipi, K(pv_ipi));

static const VbXmlRow kvm_rows[] = {
        VB_XML_GROUP("hidden", hidden_rows),
        VB_XML_GROUP("hint-dedicated", hint_dedicated_rows),
        VB_XML_GROUP("poll-control", poll_control_rows),
        VB_XML_GROUP("pv-ipi", pv_ipi_rows),
        VB_XML_UNBUILT_ELEMENTS("dirty-ring"),
        {},
};

static const VbXmlTable kvm_table = { "kvm", sizeof(VbKvmFeatures), kvm_rows };

STATE_ROWS(hap, F(hap));
STATE_ROWS(pvspinlock, F(pvspinlock));
STATE_ROWS(pmu, F(pmu));
STATE_ROWS(vmport, F(vmport));
STATE_ROWS(vmcoreinfo, F(vmcoreinfo));

static const VbXmlRow apic_rows[] = {
        VB_XML_ATTRIBUTE("eoi", VB_XML_ON_OFF, F(apic_eoi)),
        {},
};

static const VbXmlRow gic_rows[] = {
        VB_XML_ATTRIBUTE("version", VB_XML_ENUM(vb_gic_version), F(gic_version)),
        {},
};

/* <tseg unit='MiB'>, in MiB only, as hardware has it. */
static int tseg_unit_parse(const VbXmlRow *row, VbXmlMode mode, const char *text, void *field, char **ret_why) {
        if (strcmp(text, "MiB") == 0)
                return 0;
        *ret_why = g_strdup("not MiB");
        return -EINVAL;
}

static bool tseg_unit_is_set(const VbXmlRow *row, VbXmlMode mode, const void *field) {
        return ((const VbOptUint *) field)->set;
}

static void tseg_unit_format(const VbXmlRow *row, VbXmlMode mode, const void *field, GString *out) {
        g_string_append(out, "MiB");
}

static const VbXmlType tseg_unit_type = { "`MiB`", sizeof(VbOptUint), tseg_unit_parse, tseg_unit_is_set,
                                          tseg_unit_format, false };

static const VbXmlRow tseg_rows[] = {
        VB_XML_ATTRIBUTE("unit", .type = &tseg_unit_type, F(smm_tseg_mib)),
        VB_XML_TEXT(VB_XML_OPT_UINT, F(smm_tseg_mib), VB_XML_RANGE(0, 65535)),
        {},
};

static const VbXmlRow smm_rows[] = {
        VB_XML_ATTRIBUTE("state", VB_XML_ON_OFF, F(smm), .fallback = "on"),
        VB_XML_GROUP("tseg", tseg_rows),
        {},
};

static const VbXmlRow ioapic_rows[] = {
        VB_XML_ATTRIBUTE("driver", VB_XML_ENUM(vb_ioapic), F(ioapic), .flags = VB_XML_REQUIRED),
        {},
};

static const VbXmlRow features_rows[] = {
        VB_XML_FLAG("acpi", F(acpi)),
        VB_XML_FLAG("apic", F(apic), .children = apic_rows),
        VB_XML_FLAG("pae", F(pae)),
        VB_XML_GROUP("hap", hap_rows),
        VB_XML_SINGLE("hyperv", hyperv_table, F(hyperv)),
        VB_XML_SINGLE("kvm", kvm_table, F(kvm)),
        VB_XML_GROUP("pvspinlock", pvspinlock_rows),
        VB_XML_GROUP("pmu", pmu_rows),
        VB_XML_GROUP("vmport", vmport_rows),
        VB_XML_FLAG("gic", F(gic), .children = gic_rows),
        VB_XML_GROUP("smm", smm_rows),
        VB_XML_GROUP("ioapic", ioapic_rows),
        VB_XML_GROUP("vmcoreinfo", vmcoreinfo_rows),
        VB_XML_UNBUILT_ELEMENTS("viridian privnet capabilities hpt htm nested-hv msrs ccf-assist xen cfpc "
                                "sbbc ibs tcg async-teardown ras ps2"),
        {},
};

const VbXmlTable vb_features_table = { "features", sizeof(VbFeatures), features_rows };
