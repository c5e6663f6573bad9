/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/complete.h"

#include <sys/utsname.h>

#include "base/error.h"
#include "qemu/resource-limits.h"

/* A definition that waits for its emulator to be asked. */
typedef struct Completion {
        QemuDriver *driver;
        VbDomainDefinition *definition; /* whoever waits has it */
        QemuCapabilitiesRequest *request;
        VbDone done;
        void *userdata;
} Completion;

static void completion_end(Completion *completion, int r, const sd_bus_error *error) {
        (void) g_ptr_array_remove_fast(completion->driver->completions, completion);
        (void) qemu_capabilities_request_free(completion->request);
        completion->done(r, error, completion->userdata);
        g_free(completion);
}

void qemu_complete_cancel_all(QemuDriver *driver) {
        while (driver->completions->len > 0)
                completion_end(g_ptr_array_index(driver->completions, 0), -ECANCELED, NULL);
}

static const char *host_arch(void) {
        static struct utsname name;

        if (name.machine[0] == '\0')
                (void) uname(&name);
        return name.machine;
}

/* What the model asks of the host. The emulator is known by then. */
typedef struct Host {
        QemuDriver *driver;
        QemuCapabilities *capabilities;
} Host;

static int find_emulator(void *userdata, VbDomainType type, const char *arch, char **ret_path, sd_bus_error *reterr) {
        Host *host = userdata;

        return qemu_capabilities_find_emulator(host->driver->capabilities, arch, ret_path, reterr);
}

static int resolve_machine(void *userdata, const char *emulator, const char *arch, const char *machine, char **ret_machine,
                           sd_bus_error *reterr) {
        Host *host = userdata;
        const QemuMachine *found = qemu_capabilities_find_machine(host->capabilities, machine);

        if (!found)
                return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                         machine ? "emulator '%s' has no machine type '%s'"
                                                 : "emulator '%s' has no default machine type: name one",
                                         emulator, machine);
        *ret_machine = g_strdup(found->name);
        return 0;
}

static bool has_device(void *userdata, const char *emulator, const char *device) {
        Host *host = userdata;

        return qemu_capabilities_offers(host->capabilities, QEMU_SET_TYPE, device);
}

static const char *default_cpu(void *userdata, const char *emulator, const char *machine) {
        Host *host = userdata;
        const QemuMachine *found = qemu_capabilities_find_machine(host->capabilities, machine);

        return found ? found->default_cpu_type : NULL;
}

static int check_acceleration(const VbDomainDefinition *definition, const QemuCapabilities *capabilities,
                              sd_bus_error *reterr) {
        if (definition->type != VB_DOMAIN_TYPE_KVM || qemu_capabilities_has_accel(capabilities, QEMU_ACCEL_KVM))
                return 0;
        return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                 "domain '%s': KVM is not available here to '%s'; type='qemu' does without",
                                 definition->name, qemu_capabilities_path(capabilities));
}

int qemu_complete_with(QemuDriver *driver, VbDomainDefinition *definition, QemuCapabilities *capabilities,
                       sd_bus_error *reterr) {
        Host host = { .driver = driver, .capabilities = capabilities };
        const VbDomainHost functions = {
                .find_emulator = find_emulator,
                .resolve_machine = resolve_machine,
                .has_device = has_device,
                .default_cpu = default_cpu,
                .arch = host_arch(),
                .userdata = &host,
        };
        int r;

        r = check_acceleration(definition, capabilities, reterr);
        if (r >= 0)
                r = qemu_limits_check(definition, reterr);
        if (r < 0)
                return r;
        return vb_domain_definition_complete(definition, &functions, reterr);
}

static void on_capabilities(QemuCapabilities *capabilities, const sd_bus_error *error, void *userdata) {
        g_auto(sd_bus_error) own = SD_BUS_ERROR_NULL;
        Completion *completion = userdata;
        int r;

        if (capabilities) {
                error = &own;
                r = qemu_complete_with(completion->driver, completion->definition, capabilities, &own);
        } else
                r = -sd_bus_error_get_errno(error);
        completion_end(completion, r, error);
}

int qemu_complete(VbHypervisor *hypervisor, VbDomainDefinition *definition, VbDone done, void *userdata,
                  sd_bus_error *reterr) {
        QemuDriver *driver = qemu_driver_of(hypervisor);
        g_autofree Completion *completion = NULL;
        QemuCapabilities *capabilities;
        int r;

        if (!definition->emulator) {
                r = qemu_capabilities_find_emulator(driver->capabilities, definition->os.arch ?: host_arch(),
                                                    &definition->emulator, reterr);
                if (r < 0)
                        return r;
        }
        r = qemu_capabilities_check_emulator(driver->capabilities, definition->emulator, reterr);
        if (r < 0)
                return r;

        capabilities = qemu_capabilities_find(driver->capabilities, definition->emulator);
        if (capabilities) {
                r = qemu_complete_with(driver, definition, capabilities, reterr);
                return r < 0 ? r : 1;
        }

        completion = g_new(Completion, 1);
        *completion = (Completion){
                .driver = driver,
                .definition = definition,
                .done = done,
                .userdata = userdata,
        };
        r = qemu_capabilities_get(driver->capabilities, definition->emulator, on_capabilities, completion,
                                  &completion->request, reterr);
        if (r < 0)
                return r;
        g_ptr_array_add(driver->completions, g_steal_pointer(&completion));
        return 0;
}
