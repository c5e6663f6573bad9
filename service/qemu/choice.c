/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/choice.h"

#include <sys/utsname.h>

#include "base/error.h"
#include "qemu/capabilities-private.h"

struct QemuChoiceRequest {
        QemuChoiceCallback callback;
        void *userdata;
        QemuCapabilitiesRequest *asking;
        char *arch, *machine, *virttype;
};

QemuChoiceRequest *qemu_choice_request_free(QemuChoiceRequest *request) {
        if (!request)
                return NULL;

        qemu_capabilities_request_free(request->asking);
        g_free(request->arch);
        g_free(request->machine);
        g_free(request->virttype);
        g_free(request);
        return NULL;
}

/* The machine that is named; else the emulator's default; and where it has none (ARM), the one that is made
 * for guests. */
static const QemuMachine *choose_machine(const QemuCapabilities *capabilities, const char *name) {
        const QemuMachine *machine = qemu_capabilities_find_machine(capabilities, name);

        return machine || name ? machine : qemu_capabilities_find_machine(capabilities, "virt");
}

static int choose_accel(const QemuCapabilities *capabilities, const char *virttype, sd_bus_error *reterr) {
        bool kvm = qemu_capabilities_has_accel(capabilities, QEMU_ACCEL_KVM);
        QemuAccel accel = virttype ? g_str_equal(virttype, "kvm") ? QEMU_ACCEL_KVM : QEMU_ACCEL_TCG
                          : kvm    ? QEMU_ACCEL_KVM
                                   : QEMU_ACCEL_TCG;

        if (qemu_capabilities_has_accel(capabilities, accel))
                return (int) accel;
        return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT,
                                 "virtualization type '%s': not possible with '%s' on this host",
                                 virttype ?: "qemu", qemu_capabilities_path(capabilities));
}

static int choose(const QemuChoiceRequest *request, QemuCapabilities *capabilities, QemuChoice *ret,
                  sd_bus_error *reterr) {
        const char *target = qemu_capabilities_arch(capabilities);
        const char *arch = request->arch ?: qemu_emulator_arch(target) ?: target;
        const QemuMachine *machine = choose_machine(capabilities, request->machine);
        int accel;

        if (!g_str_equal(arch, target) && !qemu_emulator_runs(target, arch))
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT,
                                         "emulator '%s': runs guests of architecture '%s', not '%s'",
                                         qemu_capabilities_path(capabilities), target, arch);
        if (!machine)
                return sd_bus_error_setf(
                        reterr, VB_ERROR_INVALID_ARGUMENT, "emulator '%s': has no machine type '%s'",
                        qemu_capabilities_path(capabilities), request->machine ?: "(default)");
        accel = choose_accel(capabilities, request->virttype, reterr);
        if (accel < 0)
                return accel;
        *ret = (QemuChoice){ capabilities, arch, machine, (QemuAccel) accel };
        return 0;
}

static void on_emulator(QemuCapabilities *capabilities, const sd_bus_error *error, void *userdata) {
        QemuChoiceRequest *request = userdata;
        g_auto(sd_bus_error) refusal = SD_BUS_ERROR_NULL;
        QemuChoice choice;

        if (capabilities && choose(request, capabilities, &choice, &refusal) < 0) {
                capabilities = NULL;
                error = &refusal;
        }
        request->callback(capabilities ? &choice : NULL, error, request->userdata); /* may have freed the request */
}

static int invalid(sd_bus_error *reterr, const sd_bus_error *cause) {
        return sd_bus_error_set(reterr, VB_ERROR_INVALID_ARGUMENT, cause->message);
}

int qemu_choose(QemuCapabilitiesManager *manager, const QemuEmulatorQuery *query, QemuChoiceCallback callback, void *userdata,
                QemuChoiceRequest **ret, sd_bus_error *reterr) {
        g_autoptr(QemuChoiceRequest) request = g_new0(QemuChoiceRequest, 1);
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        g_autofree char *path = g_strdup(query->emulator);
        struct utsname host;
        int r;

        if (query->virttype && !g_str_equal(query->virttype, "kvm") && !g_str_equal(query->virttype, "qemu"))
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT,
                                         "virtualization type '%s': must be 'kvm' or 'qemu'",
                                         query->virttype);
        request->callback = callback;
        request->userdata = userdata;
        /* An emulator that is named alone says by itself what it runs. */
        request->arch = g_strdup(query->arch);
        if (!path) {
                if (uname(&host) < 0)
                        return sd_bus_error_set_errnof(reterr, errno,
                                                       "cannot tell the host's architecture: %m");
                if (!request->arch)
                        request->arch = g_strdup(host.machine);
                if (qemu_capabilities_find_emulator(manager, request->arch, &path, &error) < 0)
                        return invalid(reterr, &error);
        }
        if (qemu_capabilities_check_emulator(manager, path, &error) < 0)
                return invalid(reterr, &error);

        request->machine = g_strdup(query->machine);
        request->virttype = g_strdup(query->virttype);
        r = qemu_capabilities_get(manager, path, on_emulator, request, &request->asking, reterr);
        if (r < 0)
                return r;
        *ret = g_steal_pointer(&request);
        return 0;
}
