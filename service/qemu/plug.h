/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Network cards on the host's networks: a tap device on a bridge or by itself, or a macvtap on an interface. Blocks on the kernel's
 * network lock, and on udev for macvtap: work for a thread. */

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/uuid.h"
#include "base/worker.h"
#include "model/domain.h"
#include "qemu/resources.h"
#include "qemu/traffic.h"

/* One card: what is wanted, and what it got. */
typedef struct QemuPlug {
        /* wanted */
        char *alias; /* "net0" */
        VbInterfaceType type;
        char *source; /* bridge, or interface below a macvtap */
        VbInterfaceMode mode;
        char *target; /* a name for the host's side; NULL: any */
        bool existing; /* the host's side is there already, and has that name */
        bool isolated;
        uint32_t mtu;
        VbMac mac;
        unsigned queues;
        bool vnet_header;
        QemuVhost vhost;
        QemuTraffic traffic;

        /* got */
        char name[IF_NAMESIZE];
        int ifindex;
        int *fds; /* queues of each */
        int *vhost_fds;
        bool taken; /* the guest has it now */
} QemuPlug;

typedef struct QemuPlugs {
        QemuPlug *plugs;
        size_t n;
        VbUuid uuid; /* the guest's */
} QemuPlugs;

/* Of the taps that a guest needs; stands on its own, for a thread. */
QemuPlugs *qemu_plugs_new(const QemuResources *resources, const VbUuid *uuid);
/* Closes and removes what was not taken. Takes NULL, returns NULL. */
QemuPlugs *qemu_plugs_free(QemuPlugs *plugs);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QemuPlugs, qemu_plugs_free)

/* Makes them all; of a failure, qemu_plugs_free() clears up. UnsupportedConfiguration, naming the card, if the host has no such bridge or interface. */
VB_MUST_USE int qemu_plugs_connect(QemuPlugs *plugs, sd_bus_error *reterr);

/* Hands the descriptors to the resources, and the names to the live definition that the resources were made from. */
void qemu_plugs_take(QemuPlugs *plugs, QemuResources *resources, VbDomainDefinition *live);

/* Of a guest whose emulator has ended: removes what does not vanish with it (macvtaps; taps do). Nothing else is touched that
 * has one of their names by now. Returns 1 if that is under way and done will be called, 0 if there is nothing to remove. */
VB_MUST_USE int qemu_plugs_disconnect(VbWorker **ret, sd_event *event, const VbDomainDefinition *live, VbWorkDone done,
                                      void *userdata, sd_bus_error *reterr);
/* The same, done when it returns; for the daemon's start. */
VB_MUST_USE int qemu_plugs_disconnect_now(const VbDomainDefinition *live, sd_bus_error *reterr);

/* At the daemon's start: removes macvtaps of this host that no guest has. */
typedef bool (*QemuPlugsHas)(const VbUuid *uuid, void *userdata);
void qemu_plugs_sweep(QemuPlugsHas has_guest, void *userdata);
