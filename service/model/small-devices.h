/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The devices with little to choose: <memballoon>, <rng>, <watchdog>, <panic>, <tpm>. */

#include "model/device.h"
#include "model/display.h" /* VbVirtioModel */

typedef enum __attribute__((packed)) VbMemballoonModel {
        VB_MEMBALLOON_ABSENT,
        VB_MEMBALLOON_VIRTIO,
        VB_MEMBALLOON_NONE, /* asked for: no balloon */
        VB_MEMBALLOON_VIRTIO_TRANSITIONAL,
        VB_MEMBALLOON_VIRTIO_NON_TRANSITIONAL,
        VB_MEMBALLOON_MODEL_MAX,
} VbMemballoonModel;
VB_STRING_TABLE_DECLARE(vb_memballoon_model, VbMemballoonModel);

typedef struct VbMemballoon {
        VbDeviceInfo info;

        VbMemballoonModel model;
        VbTristate autodeflate;
        VbTristate free_page_reporting;
        uint32_t stats_period; /* seconds; 0: not polled */
        VbVirtioOptions virtio;
} VbMemballoon;

typedef enum __attribute__((packed)) VbRngBackend {
        VB_RNG_BACKEND_ABSENT,
        VB_RNG_BACKEND_RANDOM,
        VB_RNG_BACKEND_BUILTIN,
        VB_RNG_BACKEND_MAX,
} VbRngBackend;
VB_STRING_TABLE_DECLARE(vb_rng_backend, VbRngBackend);

typedef struct VbRng {
        VbDeviceInfo info;

        VbVirtioModel model;
        VbRngBackend backend;
        char *path;           /* random: "/dev/urandom" */
        uint32_t rate_bytes;  /* 0: no limit */
        uint32_t rate_period; /* ms; 0: QEMU's default */
        VbVirtioOptions virtio;
} VbRng;

typedef enum __attribute__((packed)) VbWatchdogModel {
        VB_WATCHDOG_ABSENT,
        VB_WATCHDOG_I6300ESB,
        VB_WATCHDOG_IB700,
        VB_WATCHDOG_DIAG288,
        VB_WATCHDOG_MODEL_MAX,
} VbWatchdogModel;
VB_STRING_TABLE_DECLARE(vb_watchdog_model, VbWatchdogModel);

typedef enum __attribute__((packed)) VbWatchdogAction {
        VB_WATCHDOG_ACTION_ABSENT, /* never after parsing: reset */
        VB_WATCHDOG_ACTION_RESET,
        VB_WATCHDOG_ACTION_SHUTDOWN,
        VB_WATCHDOG_ACTION_POWEROFF,
        VB_WATCHDOG_ACTION_PAUSE,
        VB_WATCHDOG_ACTION_DUMP,
        VB_WATCHDOG_ACTION_NONE,
        VB_WATCHDOG_ACTION_INJECT_NMI,
        VB_WATCHDOG_ACTION_MAX,
} VbWatchdogAction;
VB_STRING_TABLE_DECLARE(vb_watchdog_action, VbWatchdogAction);

typedef struct VbWatchdog {
        VbDeviceInfo info;

        VbWatchdogModel model;
        VbWatchdogAction action;
} VbWatchdog;

typedef enum __attribute__((packed)) VbPanicModel {
        VB_PANIC_ABSENT, /* never after completion */
        VB_PANIC_ISA,
        VB_PANIC_PSERIES,
        VB_PANIC_HYPERV,
        VB_PANIC_S390,
        VB_PANIC_PVPANIC_PCI, /* known to later releases of the format only */
        VB_PANIC_MODEL_MAX,
} VbPanicModel;
VB_STRING_TABLE_DECLARE(vb_panic_model, VbPanicModel);

typedef struct VbPanic {
        VbDeviceInfo info;

        VbPanicModel model;
} VbPanic;

typedef enum __attribute__((packed)) VbTpmModel {
        VB_TPM_MODEL_ABSENT,
        VB_TPM_MODEL_TIS,
        VB_TPM_MODEL_CRB,
        VB_TPM_MODEL_MAX,
} VbTpmModel;
VB_STRING_TABLE_DECLARE(vb_tpm_model, VbTpmModel);

typedef enum __attribute__((packed)) VbTpmBackend {
        VB_TPM_BACKEND_ABSENT,
        VB_TPM_BACKEND_EMULATOR,
        VB_TPM_BACKEND_MAX,
} VbTpmBackend;
VB_STRING_TABLE_DECLARE(vb_tpm_backend, VbTpmBackend);

typedef enum __attribute__((packed)) VbTpmVersion {
        VB_TPM_VERSION_ABSENT,
        VB_TPM_VERSION_1_2,
        VB_TPM_VERSION_2_0,
        VB_TPM_VERSION_MAX,
} VbTpmVersion;
VB_STRING_TABLE_DECLARE(vb_tpm_version, VbTpmVersion);

typedef struct VbTpm {
        VbDeviceInfo info;

        VbTpmModel model;
        VbTpmBackend backend;
        VbTpmVersion version;
        VbTristate persistent_state;
        /* <active_pcr_banks>; none of them: swtpm's choice */
        bool pcr_sha1;
        bool pcr_sha256;
        bool pcr_sha384;
        bool pcr_sha512;
} VbTpm;

/* The longest name of a lockspace and of a lease in it: file systems and lock managers have such limits. */
#define VB_LEASE_NAME_MAX 255

/* <lease>: something that the guest must hold while it runs, by agreement among those who use it; no device that the guest would see, so it has
 * neither address nor alias. */
typedef struct VbLease {
        char *lockspace; /* NULL: none given */
        char *key;
        char *path;      /* of the lease itself, or its lockspace: the lock manager's business */
        uint64_t offset; /* bytes */
} VbLease;
