/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/guest-clock.h"

#include <time.h>

#include "base/error.h"
#include "qemu/agent-link.h"
#include "qemu/ask.h"
#include "qemu/state-file.h"

/* From when the guest runs. */
#define PATIENCE_USEC (UINT64_C(60) * 1000000)
#define AGENT_TIMEOUT_USEC (UINT64_C(10) * 1000000)
#define COMMAND_TIMEOUT_USEC (UINT64_C(10) * 1000000)

struct QemuGuestClock {
        QemuDomain *qemu;
        GuestAgent *agent;         /* the one that was asked; NULL: none is */
        uint64_t command;
        sd_event_source *patience; /* NULL: the guest does not run yet */
};

QemuGuestClock *qemu_guest_clock_free(QemuGuestClock *clock) {
        if (!clock)
                return NULL;
        /* An agent that has gone has told of it. */
        if (clock->agent)
                guest_agent_forget(clock->agent, clock->command);
        sd_event_source_disable_unref(clock->patience);
        g_free(clock);
        return NULL;
}

static void end(QemuGuestClock *clock) {
        QemuDomain *qemu = clock->qemu;

        qemu->clock = qemu_guest_clock_free(clock);
        qemu_state_file_save(qemu);
}

/* Ticks of its hardware's clock that the guest has missed would be made up for, beyond the time that it has now (timer rtc, tickpolicy
 * catchup). The emulator has this command for PCs. */
static void forget_missed_ticks(QemuDomain *qemu) {
        const VbDomainDefinition *live = qemu->domain->live;

        if (qemu->monitor && (g_strcmp0(live->os.arch, "x86_64") == 0 || g_strcmp0(live->os.arch, "i686") == 0))
                (void) qmp_monitor_send(qemu->monitor, "rtc-reset-reinjection", NULL, NULL, NULL, COMMAND_TIMEOUT_USEC);
}

static void on_answered(GuestAgent *agent, const GuestAgentReply *reply, void *userdata) {
        QemuGuestClock *clock = userdata;
        QemuDomain *qemu = clock->qemu;
        const VbDomain *domain = qemu->domain;

        clock->agent = NULL;
        /* Another may come in its place. */
        if (reply->r == -ENOTCONN || reply->r == -ECANCELED)
                return;
        if (reply->r >= 0) {
                vb_log_info_for(VB_DOMAIN_LOG(domain), "domain '%s': its clock was set", domain->name);
                forget_missed_ticks(qemu);
        } else
                vb_log_notice_for(VB_DOMAIN_LOG(domain), "domain '%s': its clock may be behind: %s", domain->name,
                                  reply->error.message);
        end(clock);
}

/* A clock that is apart from the host's on purpose is set by the guest's hardware, which has kept the difference. */
static VbJson *make_arguments(const VbDomainDefinition *live) {
        bool is_apart = live->clock.offset == VB_CLOCK_OFFSET_VARIABLE || live->clock.offset == VB_CLOCK_OFFSET_ABSOLUTE ||
                        (live->clock.adjustment.set && live->clock.adjustment.value != 0);
        struct timespec now;
        VbJson *arguments;

        if (is_apart)
                return NULL;
        (void) clock_gettime(CLOCK_REALTIME, &now);
        arguments = json_object_new_object();
        (void) json_object_object_add(arguments, "time",
                                      json_object_new_int64((int64_t) now.tv_sec * 1000000000 + now.tv_nsec));
        return arguments;
}

static void ask(QemuGuestClock *clock) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        QemuDomain *qemu = clock->qemu;
        GuestAgent *agent = NULL;

        if (qemu_agent_link(qemu, &agent, &error) < 0) {
                vb_log_notice_for(VB_DOMAIN_LOG(qemu->domain), "%s; its clock may be behind", error.message);
                end(clock);
                return;
        }
        clock->agent = agent;
        clock->command = guest_agent_send(agent, "guest-set-time", make_arguments(qemu->domain->live), /* no_reply= */ false,
                                          on_answered, clock, AGENT_TIMEOUT_USEC);
}

static int on_impatient(sd_event_source *source, uint64_t usec, void *userdata) {
        QemuGuestClock *clock = userdata;
        const VbDomain *domain = clock->qemu->domain;

        vb_log_notice_for(VB_DOMAIN_LOG(domain), "domain '%s': no agent has set its clock in time, and it may be behind",
                          domain->name);
        end(clock);
        return 0;
}

void qemu_guest_clock_changed(QemuDomain *qemu) {
        QemuGuestClock *clock = qemu->clock;
        int r;

        if (!clock || clock->agent || qemu->domain->state != VB_DOMAIN_RUNNING)
                return;
        if (!clock->patience) {
                r = sd_event_add_time_relative(qemu_driver_event(qemu->driver), &clock->patience, CLOCK_MONOTONIC,
                                               PATIENCE_USEC, /* accuracy= */ 0, on_impatient, clock);
                if (r < 0) {
                        (void) vb_log_warning_errno(r, "domain '%s': cannot wait for its agent to set its clock: %m",
                                                    qemu->domain->name);
                        end(clock);
                        return;
                }
        }
        if (qemu->domain->agent_connected)
                ask(clock);
}

void qemu_guest_clock_remember(QemuDomain *qemu) {
        /* What was asked for before now told an earlier time. */
        (void) qemu_guest_clock_free(qemu->clock);
        qemu->clock = g_new(QemuGuestClock, 1);
        *qemu->clock = (QemuGuestClock){ .qemu = qemu };
}

void qemu_guest_clock_catch_up(QemuDomain *qemu) {
        if (!qemu_agent_has_channel(qemu))
                return;
        qemu_guest_clock_remember(qemu);
        qemu_state_file_save(qemu);
        qemu_guest_clock_changed(qemu);
}

void qemu_catch_up(VbDomain *domain) {
        qemu_guest_clock_catch_up(qemu_domain_of(domain));
}
