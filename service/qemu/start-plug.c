/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The step of a start that plugs the guest's network cards in; beside the loop, as the kernel's lock on networks may be taken for long. */

#include "base/error.h"
#include "base/log.h"
#include "qemu/apply.h"
#include "qemu/plug.h"
#include "qemu/start-private.h"
#include "qemu/state-file.h"

static int connect_in_thread(void *data, sd_bus_error *reterr) {
        return qemu_plugs_connect(data, reterr);
}

static void plugs_free(void *data) {
        (void) qemu_plugs_free(data);
}

static void note_indexes(QemuStart *start, const QemuPlugs *plugs) {
        start->ifindexes = g_new(int, plugs->n);
        start->n_ifindexes = plugs->n;
        for (size_t i = 0; i < plugs->n; i++)
                start->ifindexes[i] = plugs->plugs[i].ifindex;
}

static void on_connected(VbWorker *worker, int r, const sd_bus_error *error, void *data, void *userdata) {
        g_auto(sd_bus_error) told = SD_BUS_ERROR_NULL;
        QemuStart *start = userdata;
        QemuPlugs *plugs = data;

        if (r < 0) {
                (void) sd_bus_error_copy(&told, error);
                (void) vb_error_prefix(&told, "domain '%s'", start->qemu->domain->name);
        } else {
                qemu_plugs_take(plugs, start->resources, qemu_start_live(start));
                note_indexes(start, plugs);
                /* A daemon that ends now is followed by one that knows what to remove. */
                qemu_state_file_save_live(start->qemu);
        }
        vb_operation_step_done(start->operation, r, &told);
        start->worker = vb_worker_free(start->worker);
}

/* A session's daemon has the rights of its user, who may own taps that somebody made for her. */
static int check_session(const QemuStart *start, sd_bus_error *reterr) {
        for (size_t i = 0; i < start->resources->n_taps; i++) {
                const VbInterface *interface = start->resources->taps[i].interface;

                if (interface->type == VB_INTERFACE_ETHERNET && interface->target_managed == VB_TRISTATE_NO) {
                        int r = qemu_check_traffic(start->qemu, interface, reterr);

                        if (r < 0)
                                return r;
                        continue;
                }
                return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                         "domain '%s': interface '%s': networks of the host are for guests of the system service; "
                                         "an interface of type 'user' needs no rights",
                                         start->qemu->domain->name, interface->info.alias);
        }
        return 0;
}

/* As libvirt has it: such a definition is good for a guest all the same. */
static void warn_of_limits(const VbDomain *domain, const VbDomainDefinition *live) {
        for (size_t i = 0; i < live->interfaces.n; i++) {
                const VbInterface *interface = live->interfaces.items[i];

                if (interface->bandwidth && !vb_interface_has_host_side(interface))
                        vb_log_warning_for(VB_DOMAIN_LOG(domain),
                                           "domain '%s': interface '%s': limits on traffic are not there for interfaces of type '%s'",
                                           domain->name, interface->info.alias, vb_interface_type_to_string(interface->type));
        }
}

int qemu_start_plug(VbOperation *operation, void *userdata, sd_bus_error *reterr) {
        QemuStart *start = userdata;
        const QemuDriver *driver = start->qemu->driver;
        QemuPlugs *plugs;
        int r;

        warn_of_limits(start->qemu->domain, qemu_start_live(start));
        if (start->resources->n_taps == 0)
                return VB_STEP_DONE;
        if (qemu_driver_is_session(driver)) {
                r = check_session(start, reterr);
                if (r < 0)
                        return r;
        }

        plugs = qemu_plugs_new(start->resources, &start->qemu->domain->uuid);
        r = vb_worker_start(&start->worker, qemu_driver_event(driver), connect_in_thread, plugs, plugs_free, on_connected, start,
                            reterr);
        if (r < 0) {
                (void) qemu_plugs_free(plugs);
                return r;
        }
        return VB_STEP_PENDING;
}

static void on_disconnected(VbWorker *worker, int r, const sd_bus_error *error, void *data, void *userdata) {
        QemuStart *start = userdata;

        start->worker = vb_worker_free(start->worker);
        vb_operation_undo_done(start->operation, r);
}

int qemu_start_plug_undo(VbOperation *operation, void *userdata) {
        QemuStart *start = userdata;
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        int r;

        /* What was still being made is removed by the thread that makes it. And what was never made may be another's. */
        start->worker = vb_worker_free(start->worker);
        if (start->n_ifindexes == 0)
                return VB_STEP_DONE;
        r = qemu_plugs_disconnect(&start->worker, qemu_driver_event(start->qemu->driver), qemu_start_live(start), on_disconnected,
                                  start, &error);
        return r < 0 ? r : r == 0 ? VB_STEP_DONE : VB_STEP_PENDING;
}
