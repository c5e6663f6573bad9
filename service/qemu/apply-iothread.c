/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Properties of an I/O thread whose guest runs: one request each. When the emulator refuses one, those before it get their old values back,
 * as far as they had been told. */
#include "qemu/iothreads.h"

#include "base/error.h"
#include "model/iothreads.h"
#include "qemu/ask.h"
#include "qemu/command-device.h"

typedef struct Setting {
        const char *name;
        VbOptUint before, wanted;
} Setting;

struct QemuIothreadChange {
        QemuDomain *qemu;
        char *path;
        Setting settings[QEMU_IOTHREAD_PROPERTIES];
        unsigned n, done;
        bool back; /* … to the old values */
        int r;
        sd_bus_error error;
};

QemuIothreadChange *qemu_iothread_change_free(QemuIothreadChange *change) {
        if (!change)
                return NULL;

        g_free(change->path);
        sd_bus_error_free(&change->error);
        g_free(change);
        return NULL;
}

static void on_set(QmpMonitor *monitor, const QmpReply *reply, void *userdata);

static int set(QemuIothreadChange *change, const char *name, uint32_t value, sd_bus_error *reterr) {
        VbJson *arguments = qmp_arguments("path", change->path, "property", name, NULL);

        (void) json_object_object_add(arguments, "value", json_object_new_int64(value));
        return qemu_ask(change->qemu, "qom-set", arguments, on_set, reterr);
}

static void finish(QemuDomain *qemu) {
        QemuIothreadChange *change = g_steal_pointer(&qemu->iothread_change);

        qemu_stats_outdate(qemu);
        vb_domain_finish(qemu->domain, change->r, change->r < 0 ? &change->error : NULL);
        (void) qemu_iothread_change_free(change);
}

static void go_back(QemuIothreadChange *change) {
        change->back = true;
        while (change->done > 0) {
                const Setting *setting = &change->settings[--change->done];

                if (setting->before.set && set(change, setting->name, setting->before.value, NULL) >= 0)
                        return;
        }
        finish(change->qemu);
}

static void go_on(QemuIothreadChange *change) {
        const Setting *setting = &change->settings[change->done];

        if (change->done == change->n) {
                finish(change->qemu);
                return;
        }
        change->r = set(change, setting->name, setting->wanted.value, &change->error);
        if (change->r < 0)
                go_back(change);
}

static void on_set(QmpMonitor *monitor, const QmpReply *reply, void *userdata) {
        QemuDomain *qemu = userdata;
        QemuIothreadChange *change = qemu->iothread_change;

        if (!change)
                return; /* the guest has gone, and the change with it */
        if (change->back)
                go_back(change);
        else if (reply->r < 0) {
                change->r = reply->r;
                (void) sd_bus_error_copy(&change->error, &reply->error);
                go_back(change);
        } else {
                change->done++;
                go_on(change);
        }
}

/* At each moment the emulator wants no more helpers at least than at most. */
static void order_pool(QemuIothreadChange *change, const VbIothread *before) {
        Setting *last = change->n >= 2 ? &change->settings[change->n - 2] : NULL;

        if (last && g_str_equal(last[0].name, "thread-pool-min") && last[1].wanted.value >= (before ? before->pool_min.value : 0)) {
                Setting first = last[0];

                last[0] = last[1];
                last[1] = first;
        }
}

int qemu_apply_iothread_tuning(QemuDomain *qemu, const VbDomainDefinition *wanted, unsigned id, sd_bus_error *reterr) {
        const VbIothread *before = vb_iothread_find(qemu->domain->live, id), *after = vb_iothread_find(wanted, id);
        QemuIothreadChange *change;
        int r;

        r = qemu_ask_check_connected(qemu, reterr);
        if (r < 0)
                return r;
        change = g_new(QemuIothreadChange, 1);
        *change = (QemuIothreadChange){ .qemu = qemu, .path = g_strdup_printf("/objects/iothread%u", id), .error = SD_BUS_ERROR_NULL };
        for (size_t i = 0; i < QEMU_IOTHREAD_PROPERTIES; i++) {
                const QemuIothreadProperty *property = &qemu_iothread_properties[i];
                Setting setting = { property->name, qemu_iothread_property(before, property), qemu_iothread_property(after, property) };

                if (setting.wanted.set && !(setting.before.set && setting.before.value == setting.wanted.value))
                        change->settings[change->n++] = setting;
        }
        order_pool(change, before);
        qemu->iothread_change = change;
        go_on(change);
        return 0;
}
