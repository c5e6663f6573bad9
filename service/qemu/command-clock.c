/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* -rtc, and the tick policies of timers that are devices. The paravirtual clocks are CPU features: command-cpu.c. */
#include "qemu/command-build.h"

#include <time.h>

/* The guest's clock is started at a moment that only now can be known. local: shown as local time of the host. */
static int add_moment(const QemuContext *context, GString *options, int64_t seconds, bool local, sd_bus_error *reterr) {
        time_t moment = (time_t) seconds;
        char text[64];
        struct tm parts;

        if (!(local ? localtime_r(&moment, &parts) : gmtime_r(&moment, &parts)) ||
            strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts) == 0)
                return qemu_unsupported(context, reterr, "clock: %" PRIi64 " seconds after 1970 is no date", seconds);

        qemu_options_add(options, "base", text);
        return 0;
}

static int add_base(const QemuContext *context, GString *options, sd_bus_error *reterr) {
        const VbClock *clock = &context->definition->clock;
        int64_t adjustment = clock->adjustment.set ? clock->adjustment.value : 0;
        bool local;

        switch (clock->offset) {
        case VB_CLOCK_OFFSET_VARIABLE:
                local = clock->basis == VB_CLOCK_BASIS_LOCALTIME;
                return add_moment(context, options, (int64_t) time(NULL) + adjustment, local, reterr);
        case VB_CLOCK_OFFSET_ABSOLUTE:
                return add_moment(context, options, (int64_t) MIN(clock->start, (uint64_t) INT64_MAX),
                                  /* local= */ false, reterr);
        case VB_CLOCK_OFFSET_LOCALTIME:
        case VB_CLOCK_OFFSET_TIMEZONE: /* the environment says which one */
                if (adjustment != 0)
                        return add_moment(context, options, (int64_t) time(NULL) + adjustment, /* local= */ true,
                                          reterr);
                qemu_options_add(options, "base", "localtime");
                return 0;
        default:
                if (adjustment != 0)
                        return add_moment(context, options, (int64_t) time(NULL) + adjustment, /* local= */ false,
                                          reterr);
                qemu_options_add(options, "base", "utc");
                return 0;
        }
}

static int add_rtc_timer(const QemuContext *context, GString *options, const VbTimer *timer, sd_bus_error *reterr) {
        switch (timer->track) {
        case VB_TIMER_TRACK_ABSENT:
                break;
        case VB_TIMER_TRACK_GUEST:
                qemu_options_add(options, "clock", "vm");
                break;
        case VB_TIMER_TRACK_WALL:
                qemu_options_add(options, "clock", "host");
                break;
        case VB_TIMER_TRACK_REALTIME:
                qemu_options_add(options, "clock", "rt");
                break;
        default:
                return qemu_unsupported(context, reterr, "timer 'rtc': track '%s' is not one of guest, wall, realtime",
                                        vb_timer_track_to_string(timer->track));
        }

        switch (timer->tickpolicy) {
        case VB_TICKPOLICY_ABSENT:
        case VB_TICKPOLICY_DELAY:
                return 0;
        case VB_TICKPOLICY_CATCHUP:
                qemu_options_add(options, "driftfix", "slew");
                return 0;
        default:
                return qemu_unsupported(context, reterr, "timer 'rtc': tickpolicy '%s' is not one of delay, catchup",
                                        vb_tickpolicy_to_string(timer->tickpolicy));
        }
}

static int check_pit(const QemuContext *context, const VbTimer *timer, const char **ret_policy, sd_bus_error *reterr) {
        switch (timer->tickpolicy) {
        case VB_TICKPOLICY_ABSENT:
                *ret_policy = NULL;
                return 0;
        case VB_TICKPOLICY_DELAY:
                *ret_policy = "delay";
                return 0;
        case VB_TICKPOLICY_DISCARD:
                *ret_policy = "discard";
                return 0;
        default:
                return qemu_unsupported(context, reterr, "timer 'pit': tickpolicy '%s' is not one of delay, discard",
                                        vb_tickpolicy_to_string(timer->tickpolicy));
        }
}

static int build_pit(QemuBuild *build, const VbTimer *timer, sd_bus_error *reterr) {
        const char *policy;
        int r;

        r = check_pit(&build->context, timer, &policy, reterr);
        if (r < 0)
                return r;

        /* The translator's own PIT loses no ticks. */
        if (policy && qemu_context_is_x86(&build->context) && qemu_context_accel(&build->context) == QEMU_ACCEL_KVM) {
                g_autofree char *value = g_strdup_printf("kvm-pit.lost_tick_policy=%s", policy);

                qemu_build_add(build, "-global", value);
        }
        return 0;
}

static int build_timers(QemuBuild *build, GString *rtc, sd_bus_error *reterr) {
        const VbClock *clock = &build->context.definition->clock;
        int r;

        for (size_t i = 0; i < clock->timers.n; i++) {
                const VbTimer *timer = clock->timers.items[i];

                if (timer->name == VB_TIMER_RTC)
                        r = add_rtc_timer(&build->context, rtc, timer, reterr);
                else if (timer->name == VB_TIMER_PIT)
                        r = build_pit(build, timer, reterr);
                else if (timer->name == VB_TIMER_PLATFORM || timer->name == VB_TIMER_ARMVTIMER)
                        r = qemu_unsupported(&build->context, reterr, "timer '%s' is not supported",
                                             vb_timer_name_to_string(timer->name));
                else
                        r = 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

int qemu_build_clock(QemuBuild *build, sd_bus_error *reterr) {
        g_autoptr(GString) options = qemu_options_new(NULL);
        int r;

        r = add_base(&build->context, options, reterr);
        if (r < 0)
                return r;
        r = build_timers(build, options, reterr);
        if (r < 0)
                return r;

        qemu_build_add_options(build, "-rtc", g_steal_pointer(&options));
        return 0;
}
