/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/iothreads.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "hypervisor/tuning.h"
#include "model/iothreads.h"
#include "qemu/ask.h"
#include "qemu/command-device.h"
#include "qemu/json.h"
#include "qemu/resource-limits.h"

uint32_t qemu_iothread_number(const char *name) {
        return name && g_str_has_prefix(name, "iothread") ? (uint32_t) strtoul(name + strlen("iothread"), NULL, 10) : 0;
}

void qemu_iothreads_take(QemuDomain *qemu, VbJson *answer) {
        size_t n = json_object_is_type(answer, json_type_array) ? json_object_array_length(answer) : 0;

        g_clear_pointer(&qemu->iothreads, g_array_unref);
        qemu->iothreads = g_array_new(FALSE, TRUE, sizeof(QemuIothread));
        for (size_t i = 0; i < n && i < VB_DOMAIN_IOTHREADS_MAX; i++) {
                VbJson *told = json_object_array_get_idx(answer, i);
                int64_t thread = qemu_json_number(told, "thread-id", 0);
                QemuIothread found = { .id = qemu_iothread_number(qemu_json_string(told, "id")), .thread = (pid_t) thread };

                if (found.id > 0 && thread > 0 && thread <= INT32_MAX)
                        g_array_append_val(qemu->iothreads, found);
        }
}

static int pin(const QemuDomain *qemu, const VbDomainDefinition *definition, const QemuIothread *iothread, sd_bus_error *reterr) {
        const char *cpus = vb_tuning_iothread_cpus(definition, iothread->id);
        int r;

        r = qemu_limits_pin_thread(vb_process_get_pid(qemu->process), iothread->thread, cpus);
        if (r == -EINVAL)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "domain '%s': I/O thread %u: the host has none of the CPUs %s for it",
                                         definition->name, iothread->id, cpus ?: "that there are");
        if (r < 0)
                return sd_bus_error_setf(reterr, VB_ERROR_OPERATION_FAILED, "domain '%s': I/O thread %u cannot be bound to CPUs %s: %s",
                                         definition->name, iothread->id, cpus ?: "all", g_strerror(-r));
        return 0;
}

int qemu_iothreads_pin(const QemuDomain *qemu, const VbDomainDefinition *definition, sd_bus_error *reterr) {
        int r = 0;

        for (unsigned i = 0; r >= 0 && definition->cputune && qemu->process && qemu->iothreads && i < qemu->iothreads->len; i++)
                r = pin(qemu, definition, &g_array_index(qemu->iothreads, QemuIothread, i), reterr);
        return r;
}

/* --- changes -------------------------------------------------------------------------------------------------------- */

static void on_told(QmpMonitor *monitor, const QmpReply *reply, void *userdata) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        QemuDomain *qemu = userdata;
        int r = reply->r;

        if (r < 0)
                (void) sd_bus_error_copy(&error, &reply->error);
        else {
                qemu_iothreads_take(qemu, reply->result);
                qemu_stats_outdate(qemu);
                r = qemu_iothreads_pin(qemu, qemu->domain->live, &error);
        }
        vb_domain_finish(qemu->domain, r, r < 0 ? &error : NULL);
}

static void on_changed(QmpMonitor *monitor, const QmpReply *reply, void *userdata) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        QemuDomain *qemu = userdata;
        int r = reply->r;

        if (r < 0)
                (void) sd_bus_error_copy(&error, &reply->error);
        else
                r = qemu_ask(qemu, "query-iothreads", NULL, on_told, &error);
        if (r < 0)
                vb_domain_finish(qemu->domain, r, &error);
}

int qemu_apply_iothreads(QemuDomain *qemu, const VbDomainDefinition *wanted, unsigned id, sd_bus_error *reterr) {
        g_autofree char *name = g_strdup_printf("iothread%u", id);

        if (vb_iothread_exists(wanted, id))
                return qemu_ask(qemu, "object-add", qemu_iothread_object(wanted, id), on_changed, reterr);
        return qemu_ask(qemu, "object-del", qmp_arguments("id", name, NULL), on_changed, reterr);
}

int qemu_apply_iothread_pin(QemuDomain *qemu, const VbDomainDefinition *wanted, unsigned id, sd_bus_error *reterr) {
        for (unsigned i = 0; qemu->process && qemu->iothreads && i < qemu->iothreads->len; i++) {
                const QemuIothread *iothread = &g_array_index(qemu->iothreads, QemuIothread, i);
                int r;

                if (iothread->id != id)
                        continue;
                r = pin(qemu, wanted, iothread, reterr);
                if (r < 0)
                        return r;
                vb_domain_finish(qemu->domain, 0, NULL);
                return 0;
        }
        return sd_bus_error_setf(reterr, VB_ERROR_INVALID_STATE, "domain '%s': the thread of I/O thread %u is not known yet", wanted->name,
                                 id);
}
