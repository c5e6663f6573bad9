/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/small-devices.h"

#include <string.h>

#include "base/error.h"
#include "model/tables.h"

VB_STRING_TABLE(vb_memballoon_model, VbMemballoonModel, VB_MEMBALLOON_MODEL_MAX,
                [VB_MEMBALLOON_VIRTIO] = "virtio",
                [VB_MEMBALLOON_NONE] = "none",
                [VB_MEMBALLOON_VIRTIO_TRANSITIONAL] = "virtio-transitional",
                [VB_MEMBALLOON_VIRTIO_NON_TRANSITIONAL] = "virtio-non-transitional")
VB_STRING_TABLE(vb_rng_backend, VbRngBackend, VB_RNG_BACKEND_MAX,
                [VB_RNG_BACKEND_RANDOM] = "random",
                [VB_RNG_BACKEND_BUILTIN] = "builtin")
VB_STRING_TABLE(vb_watchdog_model, VbWatchdogModel, VB_WATCHDOG_MODEL_MAX,
                [VB_WATCHDOG_I6300ESB] = "i6300esb",
                [VB_WATCHDOG_IB700] = "ib700",
                [VB_WATCHDOG_DIAG288] = "diag288")
VB_STRING_TABLE(vb_watchdog_action, VbWatchdogAction, VB_WATCHDOG_ACTION_MAX,
                [VB_WATCHDOG_ACTION_RESET] = "reset",
                [VB_WATCHDOG_ACTION_SHUTDOWN] = "shutdown",
                [VB_WATCHDOG_ACTION_POWEROFF] = "poweroff",
                [VB_WATCHDOG_ACTION_PAUSE] = "pause",
                [VB_WATCHDOG_ACTION_DUMP] = "dump",
                [VB_WATCHDOG_ACTION_NONE] = "none",
                [VB_WATCHDOG_ACTION_INJECT_NMI] = "inject-nmi")
VB_STRING_TABLE(vb_panic_model, VbPanicModel, VB_PANIC_MODEL_MAX,
                [VB_PANIC_ISA] = "isa",
                [VB_PANIC_PSERIES] = "pseries",
                [VB_PANIC_HYPERV] = "hyperv",
                [VB_PANIC_S390] = "s390",
                [VB_PANIC_PVPANIC_PCI] = "pvpanic")
VB_STRING_TABLE(vb_tpm_model, VbTpmModel, VB_TPM_MODEL_MAX,
                [VB_TPM_MODEL_TIS] = "tpm-tis",
                [VB_TPM_MODEL_CRB] = "tpm-crb")
VB_STRING_TABLE(vb_tpm_backend, VbTpmBackend, VB_TPM_BACKEND_MAX,
                [VB_TPM_BACKEND_EMULATOR] = "emulator")
VB_STRING_TABLE(vb_tpm_version, VbTpmVersion, VB_TPM_VERSION_MAX,
                [VB_TPM_VERSION_1_2] = "1.2",
                [VB_TPM_VERSION_2_0] = "2.0")

#define DEVICE_ROWS VB_ALIAS_ROW, VB_ACPI_ROW, VB_ADDRESS_ROW

/* <memballoon> */

#define F(field) VB_XML_FIELD(VbMemballoon, field)

static const VbXmlRow stats_rows[] = {
        VB_XML_ATTRIBUTE("period", VB_XML_UINT, F(stats_period), VB_XML_RANGE(0, INT32_MAX)),
        {},
};

static const VbXmlRow memballoon_driver_rows[] = { VB_VIRTIO_OPTION_ROWS(VbMemballoon), {} };

static const VbXmlRow memballoon_rows[] = {
        VB_XML_ATTRIBUTE("model", VB_XML_ENUM(vb_memballoon_model), F(model), .flags = VB_XML_REQUIRED,
                         .unbuilt = "xen"),
        VB_XML_ATTRIBUTE("autodeflate", VB_XML_ON_OFF, F(autodeflate)),
        VB_XML_ATTRIBUTE("freePageReporting", VB_XML_ON_OFF, F(free_page_reporting)),
        VB_XML_GROUP("stats", stats_rows),
        DEVICE_ROWS,
        VB_XML_GROUP("driver", memballoon_driver_rows),
        {},
};

const VbXmlTable vb_memballoon_table = { "memballoon", sizeof(VbMemballoon), memballoon_rows };
#undef F

/* <rng> */

#define F(field) VB_XML_FIELD(VbRng, field)

static const VbXmlRow rate_rows[] = {
        VB_XML_ATTRIBUTE("bytes", VB_XML_UINT, F(rate_bytes), .flags = VB_XML_REQUIRED),
        VB_XML_ATTRIBUTE("period", VB_XML_UINT, F(rate_period)),
        {},
};

static const VbXmlRow backend_rows[] = {
        VB_XML_ATTRIBUTE("model", VB_XML_ENUM(vb_rng_backend), F(backend), .flags = VB_XML_REQUIRED,
                         .unbuilt = "egd"),
        VB_XML_TEXT(VB_XML_STRING, F(path), VB_XML_WHEN(VbRng, backend, VB_XML_BIT(VB_RNG_BACKEND_RANDOM))),
        VB_XML_UNBUILT_ATTRIBUTES("type"),
        VB_XML_UNBUILT_ELEMENTS("source protocol log"),
        {},
};

static const VbXmlRow rng_driver_rows[] = { VB_VIRTIO_OPTION_ROWS(VbRng), {} };

static const VbXmlRow rng_rows[] = {
        VB_XML_ATTRIBUTE("model", VB_XML_ENUM(vb_virtio_model), F(model), .flags = VB_XML_REQUIRED),
        VB_XML_GROUP("rate", rate_rows),
        VB_XML_GROUP("backend", backend_rows, .flags = VB_XML_REQUIRED),
        VB_XML_GROUP("driver", rng_driver_rows),
        DEVICE_ROWS,
        {},
};

static int rng_finish(void *item, VbXmlReader *reader) {
        VbRng *rng = item;

        if (rng->backend == VB_RNG_BACKEND_RANDOM && !rng->path)
                rng->path = g_strdup("/dev/random");
        return 0;
}

const VbXmlTable vb_rng_table = { "rng", sizeof(VbRng), rng_rows, rng_finish };
#undef F

/* <watchdog> */

#define F(field) VB_XML_FIELD(VbWatchdog, field)

static const VbXmlRow watchdog_rows[] = {
        VB_XML_ATTRIBUTE("model", VB_XML_ENUM(vb_watchdog_model), F(model), .flags = VB_XML_REQUIRED,
                         .unbuilt = "itco"),
        VB_XML_ATTRIBUTE("action", VB_XML_ENUM(vb_watchdog_action), F(action), .fallback = "reset"),
        DEVICE_ROWS,
        {},
};

const VbXmlTable vb_watchdog_table = { "watchdog", sizeof(VbWatchdog), watchdog_rows };
#undef F

/* <panic> */

static const VbXmlRow panic_rows[] = {
        VB_XML_ATTRIBUTE("model", VB_XML_ENUM(vb_panic_model), VB_XML_FIELD(VbPanic, model)),
        VB_ALIAS_ROW,
        VB_ADDRESS_ROW,
        {},
};

const VbXmlTable vb_panic_table = { "panic", sizeof(VbPanic), panic_rows };

/* <tpm> */

#define F(field) VB_XML_FIELD(VbTpm, field)

/* <sha256/> and its like: there or not. */
static const VbXmlRow pcr_rows[] = {
        VB_XML_FLAG("sha1", F(pcr_sha1)),
        VB_XML_FLAG("sha256", F(pcr_sha256)),
        VB_XML_FLAG("sha384", F(pcr_sha384)),
        VB_XML_FLAG("sha512", F(pcr_sha512)),
        {},
};

static const VbXmlRow tpm_backend_rows[] = {
        VB_XML_ATTRIBUTE("type", VB_XML_ENUM(vb_tpm_backend), F(backend), .flags = VB_XML_REQUIRED,
                         .unbuilt = "passthrough external"),
        VB_XML_ATTRIBUTE("version", VB_XML_ENUM(vb_tpm_version), F(version)),
        VB_XML_ATTRIBUTE("persistent_state", VB_XML_YES_NO, F(persistent_state)),
        VB_XML_GROUP("active_pcr_banks", pcr_rows),
        VB_XML_UNBUILT_ATTRIBUTES("debug"),
        VB_XML_UNBUILT_ELEMENTS("device encryption source profile"),
        {},
};

static const VbXmlRow tpm_rows[] = {
        VB_XML_ATTRIBUTE("model", VB_XML_ENUM(vb_tpm_model), F(model), .fallback = "tpm-tis",
                         .unbuilt = "tpm-spapr spapr-tpm-proxy"),
        VB_XML_GROUP("backend", tpm_backend_rows, .flags = VB_XML_REQUIRED),
        VB_ALIAS_ROW,
        VB_ADDRESS_ROW,
        {},
};

static int tpm_finish(void *item, VbXmlReader *reader) {
        VbTpm *tpm = item;

        if (tpm->version == VB_TPM_VERSION_ABSENT)
                tpm->version = tpm->model == VB_TPM_MODEL_TIS ? VB_TPM_VERSION_1_2 : VB_TPM_VERSION_2_0;
        if (tpm->model == VB_TPM_MODEL_CRB && tpm->version == VB_TPM_VERSION_1_2)
                return vb_xml_fail(reader, VB_ERROR_INVALID_XML, "tpm-crb needs version 2.0");
        return 0;
}

const VbXmlTable vb_tpm_table = { "tpm", sizeof(VbTpm), tpm_rows, tpm_finish };
#undef F

/* <lease> */

#define F(field) VB_XML_FIELD(VbLease, field)

static const VbXmlRow lease_target_rows[] = {
        VB_XML_ATTRIBUTE("path", VB_XML_STRING, F(path), .flags = VB_XML_REQUIRED),
        VB_XML_ATTRIBUTE("offset", VB_XML_UINT64, F(offset), VB_XML_RANGE(0, INT64_MAX)),
        {},
};

static const VbXmlRow lease_rows[] = {
        VB_XML_VALUE("lockspace", VB_XML_STRING, F(lockspace), .max = VB_LEASE_NAME_MAX),
        VB_XML_VALUE("key", VB_XML_STRING, F(key), .flags = VB_XML_REQUIRED, .max = VB_LEASE_NAME_MAX),
        VB_XML_GROUP("target", lease_target_rows, .flags = VB_XML_REQUIRED),
        {},
};

/* A lock manager may make a file of that name. */
static int check_lease_name(const char *element, const char *name, VbXmlReader *reader) {
        if (strchr(name, '/') || g_str_equal(name, ".") || g_str_equal(name, ".."))
                return vb_xml_fail(reader, VB_ERROR_INVALID_XML, "<%s>%s: must be a name, not a path", element, name);
        for (const char *c = name; *c; c = g_utf8_next_char(c))
                if (g_unichar_iscntrl(g_utf8_get_char(c)))
                        return vb_xml_fail(reader, VB_ERROR_INVALID_XML,
                                           "<%s>: must not contain line breaks and other control characters", element);
        return 0;
}

static int lease_finish(void *item, VbXmlReader *reader) {
        VbLease *lease = item;
        int r;

        r = check_lease_name("key", lease->key, reader);
        if (r >= 0 && lease->lockspace)
                r = check_lease_name("lockspace", lease->lockspace, reader);
        if (r >= 0 && lease->path[0] != '/')
                r = vb_xml_fail(reader, VB_ERROR_INVALID_XML, "<target path='%s'>: must be an absolute path", lease->path);
        return r;
}

const VbXmlTable vb_lease_table = { "lease", sizeof(VbLease), lease_rows, lease_finish };
