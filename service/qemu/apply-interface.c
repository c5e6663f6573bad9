/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Limits of a network card whose guest runs; beside the loop, as the kernel's lock on networks may be taken for long. */
#include "qemu/apply.h"

#include <net/if.h>

#include "base/error.h"
#include "base/log.h"
#include "base/netlink.h"
#include "qemu/traffic.h"

int qemu_check_traffic(const QemuDomain *qemu, const VbInterface *interface, sd_bus_error *reterr) {
        if (!interface->bandwidth || !qemu_driver_is_session(qemu->driver))
                return 0;
        return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                 "domain '%s': interface '%s': network bandwidth tuning is not available in session mode",
                                 qemu->domain->name, interface->info.alias);
}

/* For the thread. */
typedef struct Change {
        char *name; /* the host's side */
        char *alias;
        QemuTraffic before, wanted;
} Change;

static void change_free(void *data) {
        Change *change = data;

        g_free(change->name);
        g_free(change->alias);
        g_free(change);
}

static int change_in_thread(void *data, sd_bus_error *reterr) {
        vb_autofd netlink = vb_netlink_open();
        const Change *change = data;
        int ifindex = (int) if_nametoindex(change->name), r;

        if (netlink < 0 || ifindex <= 0)
                return sd_bus_error_setf(reterr, VB_ERROR_OPERATION_FAILED, "interface '%s': cannot find '%s' on this host: %s", change->alias,
                                         change->name, g_strerror(netlink < 0 ? -netlink : ENODEV));
        r = qemu_traffic_set(netlink, ifindex, &change->wanted, change->alias, reterr);
        if (r < 0 && qemu_traffic_set(netlink, ifindex, &change->before, change->alias, NULL) < 0)
                vb_log_warning("network interface '%s': its limits are in part those that could not be set", change->name);
        return r;
}

static void on_changed(VbWorker *worker, int r, const sd_bus_error *error, void *data, void *userdata) {
        g_auto(sd_bus_error) told = SD_BUS_ERROR_NULL;
        QemuDomain *qemu = userdata;

        if (r < 0) {
                (void) sd_bus_error_copy(&told, error);
                (void) vb_error_prefix(&told, "domain '%s'", qemu->domain->name);
        }
        qemu->traffic = vb_worker_free(qemu->traffic);
        vb_domain_finish(qemu->domain, r, &told);
}

int qemu_apply_interface(QemuDomain *qemu, const VbDomainDefinition *wanted, unsigned part, sd_bus_error *reterr) {
        const VbInterface *interface = wanted->interfaces.items[part], *before = qemu->domain->live->interfaces.items[part];
        Change *change;
        int r;

        if (!vb_interface_has_host_side(interface) || !interface->target)
                return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                         "domain '%s': interface '%s': it is not plugged into the host's networks, where its traffic could be limited",
                                         wanted->name, interface->info.alias);
        r = qemu_check_traffic(qemu, interface, reterr);
        if (r < 0)
                return r;
        change = g_new(Change, 1);
        *change = (Change){
                .name = g_strdup(interface->target),
                .alias = g_strdup(interface->info.alias),
                .before = qemu_traffic_of(before),
                .wanted = qemu_traffic_of(interface),
        };
        r = vb_worker_start(&qemu->traffic, qemu_driver_event(qemu->driver), change_in_thread, change, change_free, on_changed, qemu,
                            reterr);
        if (r < 0)
                change_free(change);
        return r;
}
