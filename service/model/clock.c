/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* <clock>: what the guest's hardware clock shows, and its timers. */

#include <string.h>

#include "base/error.h"
#include "model/cpu.h"
#include "model/tables.h"

VB_STRING_TABLE(vb_clock_offset, VbClockOffset, VB_CLOCK_OFFSET_MAX,
                [VB_CLOCK_OFFSET_UTC] = "utc",
                [VB_CLOCK_OFFSET_LOCALTIME] = "localtime",
                [VB_CLOCK_OFFSET_VARIABLE] = "variable",
                [VB_CLOCK_OFFSET_TIMEZONE] = "timezone",
                [VB_CLOCK_OFFSET_ABSOLUTE] = "absolute")
VB_STRING_TABLE(vb_clock_basis, VbClockBasis, VB_CLOCK_BASIS_MAX,
                [VB_CLOCK_BASIS_UTC] = "utc",
                [VB_CLOCK_BASIS_LOCALTIME] = "localtime")
VB_STRING_TABLE(vb_timer_name, VbTimerName, VB_TIMER_NAME_MAX,
                [VB_TIMER_PLATFORM] = "platform",
                [VB_TIMER_PIT] = "pit",
                [VB_TIMER_RTC] = "rtc",
                [VB_TIMER_HPET] = "hpet",
                [VB_TIMER_TSC] = "tsc",
                [VB_TIMER_KVMCLOCK] = "kvmclock",
                [VB_TIMER_HYPERVCLOCK] = "hypervclock",
                [VB_TIMER_ARMVTIMER] = "armvtimer")
VB_STRING_TABLE(vb_tickpolicy, VbTickPolicy, VB_TICKPOLICY_MAX,
                [VB_TICKPOLICY_DELAY] = "delay",
                [VB_TICKPOLICY_CATCHUP] = "catchup",
                [VB_TICKPOLICY_MERGE] = "merge",
                [VB_TICKPOLICY_DISCARD] = "discard")
VB_STRING_TABLE(vb_timer_track, VbTimerTrack, VB_TIMER_TRACK_MAX,
                [VB_TIMER_TRACK_BOOT] = "boot",
                [VB_TIMER_TRACK_GUEST] = "guest",
                [VB_TIMER_TRACK_WALL] = "wall",
                [VB_TIMER_TRACK_REALTIME] = "realtime")
VB_STRING_TABLE(vb_timer_mode, VbTimerMode, VB_TIMER_MODE_MAX,
                [VB_TIMER_MODE_AUTO] = "auto",
                [VB_TIMER_MODE_NATIVE] = "native",
                [VB_TIMER_MODE_EMULATE] = "emulate",
                [VB_TIMER_MODE_PARAVIRT] = "paravirt",
                [VB_TIMER_MODE_SMPSAFE] = "smpsafe")

#define T(field) VB_XML_FIELD(VbTimer, field)
#define OF(name) VB_XML_WHEN(VbTimer, name, VB_XML_BIT(VB_TIMER_##name))

static const VbXmlRow catchup_rows[] = {
        VB_XML_ATTRIBUTE("threshold", VB_XML_UINT, T(catchup_threshold)),
        VB_XML_ATTRIBUTE("slew", VB_XML_UINT, T(catchup_slew)),
        VB_XML_ATTRIBUTE("limit", VB_XML_UINT, T(catchup_limit)),
        {},
};

#define ONLY(mask) VB_XML_WHEN(VbTimer, name, mask)
#define WITH_TRACK (VB_XML_BIT(VB_TIMER_PLATFORM) | VB_XML_BIT(VB_TIMER_RTC))

static const VbXmlRow timer_rows[] = {
        VB_XML_ATTRIBUTE("name", VB_XML_ENUM(vb_timer_name), T(name), .flags = VB_XML_REQUIRED,
                         .unbuilt = "xen"),
        VB_XML_ATTRIBUTE("present", VB_XML_YES_NO, T(present)),
        VB_XML_ATTRIBUTE("tickpolicy", VB_XML_ENUM(vb_tickpolicy), T(tickpolicy)),
        VB_XML_ATTRIBUTE("track", VB_XML_ENUM(vb_timer_track), T(track), ONLY(WITH_TRACK)),
        VB_XML_ATTRIBUTE("frequency", VB_XML_UINT64, T(frequency), ONLY(VB_XML_BIT(VB_TIMER_TSC))),
        VB_XML_ATTRIBUTE("mode", VB_XML_ENUM(vb_timer_mode), T(mode), ONLY(VB_XML_BIT(VB_TIMER_TSC))),
        VB_XML_GROUP("catchup", catchup_rows),
        {},
};

const VbXmlTable vb_clock_timer_table = { "timer", sizeof(VbTimer), timer_rows };

#define C(field) VB_XML_FIELD(VbDomainDefinition, clock.field)
#define OFFSET(name) VB_XML_WHEN(VbDomainDefinition, clock.offset, VB_XML_BIT(VB_CLOCK_OFFSET_##name))

/* "reset" for clocks that follow the host, or seconds. What follows the host by so many seconds is offset
 * variable under another name; vb_domain_table's finish makes it so. */
static VbClock *clock_of(const VbXmlRow *row, void *field) {
        return (VbClock *) (void *) ((char *) field - offsetof(VbClock, adjustment));
}

static int adjustment_parse(const VbXmlRow *row, VbXmlMode mode, const char *text, void *field,
                            char **ret_why) {
        if (strcmp(text, "reset") == 0) {
                clock_of(row, field)->adjustment_reset = true;
                return 0;
        }
        return vb_xml_type_opt_int.parse(row, mode, text, field, ret_why);
}

static bool adjustment_is_set(const VbXmlRow *row, VbXmlMode mode, const void *field) {
        return ((const VbOptInt *) field)->set || clock_of(row, (void *) field)->adjustment_reset;
}

static void adjustment_format(const VbXmlRow *row, VbXmlMode mode, const void *field, GString *out) {
        if (clock_of(row, (void *) field)->adjustment_reset)
                g_string_append(out, "reset");
        else
                vb_xml_type_opt_int.format(row, mode, field, out);
}

static const VbXmlType adjustment_type = { "seconds, or `reset`", sizeof(VbOptInt), adjustment_parse,
                                           adjustment_is_set, adjustment_format, false };

#define FOLLOWS                                                                                            \
        VB_XML_WHEN(VbDomainDefinition, clock.offset,                                                      \
                    VB_XML_BIT(VB_CLOCK_OFFSET_UTC) | VB_XML_BIT(VB_CLOCK_OFFSET_LOCALTIME) |              \
                            VB_XML_BIT(VB_CLOCK_OFFSET_VARIABLE))

const VbXmlRow vb_clock_rows[] = {
        VB_XML_ATTRIBUTE("offset", VB_XML_ENUM(vb_clock_offset), C(offset), .fallback = "utc"),
        VB_XML_ATTRIBUTE("adjustment", .type = &adjustment_type, C(adjustment), FOLLOWS),
        VB_XML_ATTRIBUTE("basis", VB_XML_ENUM(vb_clock_basis), C(basis), OFFSET(VARIABLE), .fallback = "utc"),
        VB_XML_ATTRIBUTE("timezone", VB_XML_STRING, C(timezone), OFFSET(TIMEZONE), .flags = VB_XML_REQUIRED,
                         .max = 64),
        VB_XML_ATTRIBUTE("start", VB_XML_UINT64, C(start), OFFSET(ABSOLUTE), .flags = VB_XML_REQUIRED,
                         .max = INT64_MAX),
        VB_XML_LIST("timer", vb_clock_timer_table, C(timers), .max = 16),
        {},
};
