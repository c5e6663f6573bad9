/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/agent-link.h"

#include "base/error.h"
#include "qemu/console.h"
#include "qemu/guest-clock.h"
#include "qemu/state-file.h"

static VbChardev *find_agent_channel(const VbDomainDefinition *live) {
        for (size_t i = 0; i < live->channels.n; i++)
                if (qemu_channel_is_agent(live->channels.items[i]))
                        return live->channels.items[i];
        return NULL;
}

bool qemu_agent_has_channel(const QemuDomain *qemu) {
        return find_agent_channel(qemu->domain->live);
}

static void on_closed(GuestAgent *agent, int r, void *userdata) {
        QemuDomain *qemu = userdata;

        qemu->agent = guest_agent_free(qemu->agent);
}

int qemu_agent_link(QemuDomain *qemu, GuestAgent **ret, sd_bus_error *reterr) {
        const VbDomain *domain = qemu->domain;
        const VbChardev *channel = find_agent_channel(domain->live);
        g_autofree char *name = NULL;
        int fd = -EBADF, r;

        if (!channel)
                return sd_bus_error_setf(reterr, VB_ERROR_NO_AGENT,
                                         "domain '%s' has no channel for a guest agent ('org.qemu.guest_agent.0')",
                                         domain->name);
        if (!qemu->agent) {
                r = qemu_channel_connect(channel, qemu->run_dir, &fd, reterr);
                if (r < 0)
                        return r;
                name = g_strdup_printf("domain '%s'", domain->name);
                r = guest_agent_new(&qemu->agent, qemu_driver_event(qemu->driver), fd, name, on_closed, qemu);
                if (r < 0)
                        return r;
        }
        *ret = qemu->agent;
        return 0;
}

void qemu_agent_tell_awaited(const QemuDomain *qemu) {
        if (qemu_agent_has_channel(qemu) && !qemu->domain->agent_connected)
                vb_domain1_emit_agent_awaited(&qemu->domain->object);
}

void qemu_agent_port_changed(QemuDomain *qemu, const char *alias, bool open) {
        const VbDomainDefinition *live = qemu->domain->live;

        for (size_t i = 0; i < live->channels.n; i++) {
                VbChardev *channel = live->channels.items[i];

                if (g_strcmp0(channel->info.alias, alias) != 0 || channel->target_type != VB_CHAR_TARGET_VIRTIO)
                        continue;
                channel->state = open ? VB_CHANNEL_STATE_CONNECTED : VB_CHANNEL_STATE_DISCONNECTED;
                if (!qemu->start)
                        qemu_state_file_save_live(qemu);
                if (qemu_channel_is_agent(channel)) {
                        vb_domain_set_agent_connected(qemu->domain, open);
                        if (!open)
                                qemu->agent = guest_agent_free(qemu->agent);
                        qemu_guest_clock_changed(qemu);
                }
        }
}
