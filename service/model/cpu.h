/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the guest sees of processor, platform and time: <cpu>, <features>, <clock>. */

#include "base/string-table.h"
#include "xml/types.h"

typedef enum __attribute__((packed)) VbCpuMode {
        VB_CPU_MODE_ABSENT,
        VB_CPU_MODE_CUSTOM,
        VB_CPU_MODE_HOST_MODEL,
        VB_CPU_MODE_HOST_PASSTHROUGH,
        VB_CPU_MODE_MAXIMUM,
        VB_CPU_MODE_MAX,
} VbCpuMode;
VB_STRING_TABLE_DECLARE(vb_cpu_mode, VbCpuMode);

typedef enum __attribute__((packed)) VbCpuMatch {
        VB_CPU_MATCH_ABSENT,
        VB_CPU_MATCH_MINIMUM,
        VB_CPU_MATCH_EXACT,
        VB_CPU_MATCH_STRICT,
        VB_CPU_MATCH_MAX,
} VbCpuMatch;
VB_STRING_TABLE_DECLARE(vb_cpu_match, VbCpuMatch);

typedef enum __attribute__((packed)) VbCpuCheck {
        VB_CPU_CHECK_ABSENT,
        VB_CPU_CHECK_NONE,
        VB_CPU_CHECK_PARTIAL,
        VB_CPU_CHECK_FULL,
        VB_CPU_CHECK_MAX,
} VbCpuCheck;
VB_STRING_TABLE_DECLARE(vb_cpu_check, VbCpuCheck);

typedef enum __attribute__((packed)) VbCpuFallback {
        VB_CPU_FALLBACK_ABSENT,
        VB_CPU_FALLBACK_ALLOW,
        VB_CPU_FALLBACK_FORBID,
        VB_CPU_FALLBACK_MAX,
} VbCpuFallback;
VB_STRING_TABLE_DECLARE(vb_cpu_fallback, VbCpuFallback);

typedef enum __attribute__((packed)) VbCpuPolicy {
        VB_CPU_POLICY_ABSENT, /* require */
        VB_CPU_POLICY_FORCE,
        VB_CPU_POLICY_REQUIRE,
        VB_CPU_POLICY_OPTIONAL,
        VB_CPU_POLICY_DISABLE,
        VB_CPU_POLICY_FORBID,
        VB_CPU_POLICY_MAX,
} VbCpuPolicy;
VB_STRING_TABLE_DECLARE(vb_cpu_policy, VbCpuPolicy);

typedef enum __attribute__((packed)) VbCpuCacheMode {
        VB_CPU_CACHE_ABSENT,
        VB_CPU_CACHE_EMULATE,
        VB_CPU_CACHE_PASSTHROUGH,
        VB_CPU_CACHE_DISABLE,
        VB_CPU_CACHE_MODE_MAX,
} VbCpuCacheMode;
VB_STRING_TABLE_DECLARE(vb_cpu_cache_mode, VbCpuCacheMode);

typedef struct VbCpuFeature {
        VbCpuPolicy policy;
        char *name;
} VbCpuFeature;

typedef struct VbCpuTopology {
        uint32_t sockets;
        uint32_t dies;
        uint32_t cores;
        uint32_t threads;
} VbCpuTopology;

typedef struct VbCpuCache {
        VbOptUint level;
        VbCpuCacheMode mode;
} VbCpuCache;

typedef struct VbCpu {
        VbCpuMode mode; /* absent: <cpu> holds only a topology */
        VbCpuMatch match;
        VbCpuCheck check;
        VbTristate migratable; /* host-passthrough and maximum */
        VbCpuFallback fallback;
        char *model; /* of mode custom */
        char *vendor_id;
        char *vendor;
        VbCpuTopology *topology; /* or NULL */
        VbCpuCache *cache;       /* or NULL */
        VB_LIST(VbCpuFeature) features;
} VbCpu;

typedef enum __attribute__((packed)) VbHypervMode {
        VB_HYPERV_MODE_ABSENT,
        VB_HYPERV_MODE_CUSTOM,
        VB_HYPERV_MODE_PASSTHROUGH,
        VB_HYPERV_MODE_MAX,
} VbHypervMode;
VB_STRING_TABLE_DECLARE(vb_hyperv_mode, VbHypervMode);

typedef struct VbHyperv {
        VbHypervMode mode;
        VbTristate relaxed;
        VbTristate vapic;
        VbTristate spinlocks;
        uint32_t spinlock_retries;
        VbTristate vpindex;
        VbTristate runtime;
        VbTristate synic;
        VbTristate stimer;
        VbTristate stimer_direct;
        VbTristate reset;
        VbTristate vendor_id;
        char *vendor_id_value;
        VbTristate frequencies;
        VbTristate reenlightenment;
        VbTristate tlbflush;
        VbTristate ipi;
        VbTristate evmcs;
        VbTristate avic;
} VbHyperv;

typedef struct VbKvmFeatures {
        VbTristate hidden;
        VbTristate hint_dedicated;
        VbTristate poll_control;
        VbTristate pv_ipi;
} VbKvmFeatures;

typedef enum __attribute__((packed)) VbIoapic {
        VB_IOAPIC_ABSENT,
        VB_IOAPIC_QEMU,
        VB_IOAPIC_KVM,
        VB_IOAPIC_MAX,
} VbIoapic;
VB_STRING_TABLE_DECLARE(vb_ioapic, VbIoapic);

typedef enum __attribute__((packed)) VbGicVersion {
        VB_GIC_VERSION_ABSENT,
        VB_GIC_VERSION_2,
        VB_GIC_VERSION_3,
        VB_GIC_VERSION_HOST,
        VB_GIC_VERSION_MAX,
} VbGicVersion;
VB_STRING_TABLE_DECLARE(vb_gic_version, VbGicVersion);

typedef struct VbFeatures {
        bool acpi;
        bool apic;
        VbTristate apic_eoi;
        bool pae;
        VbTristate hap;
        VbHyperv *hyperv;   /* or NULL */
        VbKvmFeatures *kvm; /* or NULL */
        VbTristate pvspinlock;
        VbTristate pmu;
        VbTristate vmport;
        bool gic;
        VbGicVersion gic_version;
        VbTristate smm;
        VbOptUint smm_tseg_mib;
        VbIoapic ioapic;
        VbTristate vmcoreinfo;
} VbFeatures;

typedef enum __attribute__((packed)) VbClockOffset {
        VB_CLOCK_OFFSET_ABSENT, /* utc */
        VB_CLOCK_OFFSET_UTC,
        VB_CLOCK_OFFSET_LOCALTIME,
        VB_CLOCK_OFFSET_VARIABLE,
        VB_CLOCK_OFFSET_TIMEZONE,
        VB_CLOCK_OFFSET_ABSOLUTE,
        VB_CLOCK_OFFSET_MAX,
} VbClockOffset;
VB_STRING_TABLE_DECLARE(vb_clock_offset, VbClockOffset);

typedef enum __attribute__((packed)) VbClockBasis {
        VB_CLOCK_BASIS_ABSENT,
        VB_CLOCK_BASIS_UTC,
        VB_CLOCK_BASIS_LOCALTIME,
        VB_CLOCK_BASIS_MAX,
} VbClockBasis;
VB_STRING_TABLE_DECLARE(vb_clock_basis, VbClockBasis);

typedef enum __attribute__((packed)) VbTimerName {
        VB_TIMER_ABSENT,
        VB_TIMER_PLATFORM,
        VB_TIMER_PIT,
        VB_TIMER_RTC,
        VB_TIMER_HPET,
        VB_TIMER_TSC,
        VB_TIMER_KVMCLOCK,
        VB_TIMER_HYPERVCLOCK,
        VB_TIMER_ARMVTIMER,
        VB_TIMER_NAME_MAX,
} VbTimerName;
VB_STRING_TABLE_DECLARE(vb_timer_name, VbTimerName);

typedef enum __attribute__((packed)) VbTickPolicy {
        VB_TICKPOLICY_ABSENT,
        VB_TICKPOLICY_DELAY,
        VB_TICKPOLICY_CATCHUP,
        VB_TICKPOLICY_MERGE,
        VB_TICKPOLICY_DISCARD,
        VB_TICKPOLICY_MAX,
} VbTickPolicy;
VB_STRING_TABLE_DECLARE(vb_tickpolicy, VbTickPolicy);

typedef enum __attribute__((packed)) VbTimerTrack {
        VB_TIMER_TRACK_ABSENT,
        VB_TIMER_TRACK_BOOT,
        VB_TIMER_TRACK_GUEST,
        VB_TIMER_TRACK_WALL,
        VB_TIMER_TRACK_REALTIME,
        VB_TIMER_TRACK_MAX,
} VbTimerTrack;
VB_STRING_TABLE_DECLARE(vb_timer_track, VbTimerTrack);

typedef enum __attribute__((packed)) VbTimerMode {
        VB_TIMER_MODE_ABSENT,
        VB_TIMER_MODE_AUTO,
        VB_TIMER_MODE_NATIVE,
        VB_TIMER_MODE_EMULATE,
        VB_TIMER_MODE_PARAVIRT,
        VB_TIMER_MODE_SMPSAFE,
        VB_TIMER_MODE_MAX,
} VbTimerMode;
VB_STRING_TABLE_DECLARE(vb_timer_mode, VbTimerMode);

typedef struct VbTimer {
        VbTimerName name;
        VbTickPolicy tickpolicy;
        VbTimerTrack track;
        VbTimerMode mode;
        VbTristate present;
        uint64_t frequency; /* Hz; 0: not given */
        uint32_t catchup_threshold;
        uint32_t catchup_slew;
        uint32_t catchup_limit;
} VbTimer;

typedef struct VbClock {
        VbClockOffset offset;
        VbClockBasis basis;
        bool adjustment_reset; /* adjustment='reset' */
        VbOptInt adjustment;   /* seconds; of offset variable, or of utc and localtime with a number */
        uint64_t start;        /* of offset absolute: seconds since 1970 */
        char *timezone;
        VB_LIST(VbTimer) timers;
} VbClock;
