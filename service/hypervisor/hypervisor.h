/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a daemon that runs guests is made of, whatever runs them: its domains, where their files are, and the driver. */

#include "base/writer.h"
#include "hypervisor/driver.h"
#include "hypervisor/lock.h"
#include "hypervisor/host-settings.h"
#include "hypervisor/host-shutdown.h"
#include "hypervisor/registry.h"

typedef struct VbAutostart VbAutostart;
typedef struct VbHostSleep VbHostSleep;

struct VbHypervisor {
        VbDaemon *daemon;
        const VbDriver *driver;
        void *driver_data; /* the driver's */

        VbRegistry *registry;
        VbWriter *writer;
        VbAutostart *autostart; /* guests that still are to be started with the host */
        VbHostSleep *sleep;     /* guests that are paused while the host sleeps */
        VbHostShutdown *host_shutdown;
        int last_id;
        unsigned active; /* domains with a guest */

        /* configured */
        unsigned domains_per_user; /* 0: no limit */
        const VbLockSettings *locks; /* the driver's; NULL: there is no lock manager */
        VbHostSettings host;       /* when the host goes down and comes up; the driver reads them with its own */
        uint64_t turn_timeout_usec;    /* how long a call waits for others that change the same domain */
        char *config_dir;          /* "/etc/virtbus/qemu" */
        char *autostart_dir;
        char *run_dir;             /* "/run/virtbus/qemu" */
        char *state_dir;           /* "/var/lib/virtbus/qemu" */
        const char *host_root;     /* before /proc and /sys: "", or where a test has its own */

        GPtrArray *works; /* of VbCallWork: calls that are being answered by a thread */

        /* what Domain1 is served by: the layer's handlers with the driver's added */
        VbDomain1Handlers domain_handlers;
        VbObjectInterface domain_interfaces[2];
        VbObjectKind domain_kind;
};

/* Makes the folders. driver_data stays the caller's. */
VB_MUST_USE int vb_hypervisor_new(VbHypervisor **ret, VbDaemon *daemon, const VbDriver *driver, void *driver_data,
                                  sd_bus_error *reterr);
/* Lets go of all domains, before what the driver has made is freed. */
void vb_hypervisor_clear(VbHypervisor *hypervisor);
/* Waits for what is still to be written. Guests are left alone. Takes NULL, returns NULL. */
VbHypervisor *vb_hypervisor_free(VbHypervisor *hypervisor);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VbHypervisor, vb_hypervisor_free)

/* Puts all domains of the registry on the bus. */
VB_MUST_USE int vb_hypervisor_export(VbHypervisor *hypervisor);
VB_MUST_USE int vb_hypervisor_export_domain(VbHypervisor *hypervisor, VbDomain *domain);

/* The hypervisor behind the root object. */
VbHypervisor *vb_hypervisor_of(VbObject *root);

/* For the root object: the layer's handlers, and those of the driver (may be NULL) for members that the layer does not serve. */
VbHypervisor1Handlers vb_hypervisor_handlers(const VbHypervisor1Handlers *driver);
