/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The devices with little to choose: inputs, watchdogs, balloon, random numbers, panic notifiers, TPMs. */
#include "qemu/command-build.h"

#include <string.h>

#include "base/error.h"

/* --- Input --- */

static const char *input_driver(const VbInput *input) {
        static const char *const usb[VB_INPUT_TYPE_MAX] = {
                [VB_INPUT_MOUSE] = "usb-mouse",
                [VB_INPUT_TABLET] = "usb-tablet",
                [VB_INPUT_KEYBOARD] = "usb-kbd",
        };
        static const char *const virtio[VB_INPUT_TYPE_MAX] = {
                [VB_INPUT_MOUSE] = "virtio-mouse-pci",
                [VB_INPUT_TABLET] = "virtio-tablet-pci",
                [VB_INPUT_KEYBOARD] = "virtio-keyboard-pci",
        };

        return input->bus == VB_INPUT_BUS_VIRTIO ? virtio[input->type] : usb[input->type];
}

int qemu_input_device(const QemuContext *context, const VbInput *input, VbJson **ret, sd_bus_error *reterr) {
        g_autofree char *what = g_strdup_printf("input device '%s' on bus '%s'", vb_input_type_to_string(input->type),
                                                vb_input_bus_to_string(input->bus));
        VbJson *device;
        int r;

        if (input->bus == VB_INPUT_BUS_PS2 || input->bus == VB_INPUT_BUS_ABSENT) {
                *ret = NULL; /* on the board */
                return 0;
        }

        r = qemu_device_new(context, input_driver(input), &input->info, what, &device, reterr);
        if (r < 0)
                return r;
        if (input->bus == VB_INPUT_BUS_VIRTIO)
                qemu_device_add_virtio(device, &input->virtio);
        *ret = device;
        return 0;
}

/* --- Watchdog --- */

int qemu_watchdog_device(const QemuContext *context, const VbWatchdog *watchdog, VbJson **ret, sd_bus_error *reterr) {
        const char *model = vb_watchdog_model_to_string(watchdog->model);
        g_autofree char *what = g_strdup_printf("watchdog model '%s'", model);

        return qemu_device_new(context, model, &watchdog->info, what, ret, reterr);
}

/* --- Balloon --- */

int qemu_memballoon_device(const QemuContext *context, const VbMemballoon *memballoon, VbJson **ret,
                           sd_bus_error *reterr) {
        const char *driver;
        VbJson *device;
        int r;

        switch (memballoon->model) {
        case VB_MEMBALLOON_ABSENT:
        case VB_MEMBALLOON_NONE:
                *ret = NULL;
                return 0;
        case VB_MEMBALLOON_VIRTIO_TRANSITIONAL:
                driver = "virtio-balloon-pci-transitional";
                break;
        case VB_MEMBALLOON_VIRTIO_NON_TRANSITIONAL:
                driver = "virtio-balloon-pci-non-transitional";
                break;
        default:
                driver = "virtio-balloon-pci";
        }

        r = qemu_device_new(context, driver, &memballoon->info, "memory balloon", &device, reterr);
        if (r < 0)
                return r;
        qemu_device_add_tristate(device, "deflate-on-oom", memballoon->autodeflate);
        qemu_device_add_tristate(device, "free-page-reporting", memballoon->free_page_reporting);
        qemu_device_add_virtio(device, &memballoon->virtio);
        *ret = device;
        return 0;
}

static void build_balloon_setup(QemuBuild *build, const VbMemballoon *memballoon) {
        const VbDomainDefinition *definition = build->context.definition;
        VbJson *arguments;

        if (memballoon->stats_period != 0) {
                arguments = qemu_json_new();
                qemu_json_addf(arguments, "path", "/machine/peripheral/%s", memballoon->info.alias);
                qemu_json_add(arguments, "property", "guest-stats-polling-interval");
                qemu_json_add_number(arguments, "value", memballoon->stats_period);
                qemu_build_add_setup(build, "qom-set", arguments);
        }
        if (definition->current_memory != 0 && definition->current_memory < definition->memory) {
                arguments = qemu_json_new();
                qemu_json_add_number(arguments, "value", definition->current_memory * 1024);
                qemu_build_add_setup(build, "balloon", arguments);
        }
}

/* --- Random numbers --- */

int qemu_rng_device(const QemuContext *context, const VbRng *rng, VbJson **ret, sd_bus_error *reterr) {
        g_autofree char *driver = g_strdup_printf("virtio-rng-pci%s", qemu_virtio_suffix(rng->model));
        VbJson *device;
        int r;

        r = qemu_device_new(context, driver, &rng->info, "random number generator", &device, reterr);
        if (r < 0)
                return r;
        qemu_json_addf(device, "rng", "obj%s", rng->info.alias);
        if (rng->rate_bytes != 0) {
                qemu_json_add_number(device, "max-bytes", rng->rate_bytes);
                qemu_json_add_number(device, "period", rng->rate_period != 0 ? rng->rate_period : 1000);
        }
        qemu_device_add_virtio(device, &rng->virtio);
        *ret = device;
        return 0;
}

VbJson *qemu_rng_backend(const VbRng *rng, const char *filename) {
        bool builtin = rng->backend == VB_RNG_BACKEND_BUILTIN;
        g_autofree char *id = g_strdup_printf("obj%s", rng->info.alias);
        VbJson *backend = qemu_json_new_object(builtin ? "rng-builtin" : "rng-random", id);

        if (!builtin)
                qemu_json_add(backend, "filename", filename);
        return backend;
}

static int build_rng_backend(QemuBuild *build, const VbRng *rng, sd_bus_error *reterr) {
        g_autofree char *path = NULL;
        int r;

        if (qemu_rng_needs_file(rng)) {
                r = qemu_build_file_path(build, rng->info.alias, &path, reterr);
                if (r < 0)
                        return r;
        }
        qemu_build_add_json(build, "-object", qemu_rng_backend(rng, path ?: rng->path ?: "/dev/urandom"));
        return 0;
}

/* --- Panic --- */

#define PVPANIC_IOPORT 0x505

int qemu_panic_device(const QemuContext *context, const VbPanic *panic, VbJson **ret, sd_bus_error *reterr) {
        const char *model = vb_panic_model_to_string(panic->model);
        g_autofree char *what = g_strdup_printf("panic device model '%s'", model ?: "isa");
        VbJson *device;
        int r;

        switch (panic->model) {
        case VB_PANIC_HYPERV:
                *ret = NULL; /* a feature of the CPU */
                return 0;
        case VB_PANIC_PVPANIC_PCI:
                return qemu_device_new(context, "pvpanic-pci", &panic->info, what, ret, reterr);
        case VB_PANIC_ABSENT:
        case VB_PANIC_ISA:
                r = qemu_device_new(context, "pvpanic", NULL, what, &device, reterr);
                if (r < 0)
                        return r;
                qemu_json_add(device, "id", panic->info.alias);
                qemu_json_add_number(device, "ioport",
                                     panic->info.address.type == VB_ADDRESS_ISA &&
                                                     panic->info.address.isa.iobase != 0 ?
                                             panic->info.address.isa.iobase :
                                             PVPANIC_IOPORT);
                *ret = device;
                return 0;
        default:
                return qemu_unsupported(context, reterr, "%s is not something machine type '%s' can have", what,
                                        context->definition->os.machine);
        }
}

/* --- TPM --- */

int qemu_tpm_device(const QemuContext *context, const VbTpm *tpm, VbJson **ret, sd_bus_error *reterr) {
        const char *driver = tpm->model == VB_TPM_MODEL_CRB       ? "tpm-crb" :
                             qemu_context_is_x86(context)         ? "tpm-tis" :
                                                                    "tpm-tis-device";
        g_autofree char *what = g_strdup_printf("TPM model '%s'", vb_tpm_model_to_string(tpm->model) ?: "tpm-tis");
        VbJson *device;
        int r;

        r = qemu_device_new(context, driver, &tpm->info, what, &device, reterr);
        if (r < 0)
                return r;
        qemu_json_addf(device, "tpmdev", "tpm-%s", tpm->info.alias);
        *ret = device;
        return 0;
}

static int build_tpm_backend(QemuBuild *build, const VbTpm *tpm, sd_bus_error *reterr) {
        QemuSocket *socket = qemu_resources_find_socket(build->resources, tpm->info.alias);
        GString *options;

        if (!qemu_capabilities_offers(build->context.capabilities, QEMU_SET_TPM_BACKEND, "emulator"))
                return qemu_not_offered(&build->context, reterr, "TPM backend 'emulator'");
        if (!socket || socket->fd < 0)
                return sd_bus_error_setf(reterr, VB_ERROR_OPERATION_FAILED, "domain '%s': the TPM emulator was not started",
                                         build->context.definition->name);

        options = qemu_options_new("socket");
        qemu_options_addf(options, "id", "chr%s", tpm->info.alias);
        qemu_options_add_number(options, "fd", (uint64_t) qemu_build_keep_fd(build, &socket->fd));
        qemu_build_add_options(build, "-chardev", options);

        options = qemu_options_new("emulator");
        qemu_options_addf(options, "id", "tpm-%s", tpm->info.alias);
        qemu_options_addf(options, "chardev", "chr%s", tpm->info.alias);
        qemu_build_add_options(build, "-tpmdev", options);
        return 0;
}

/* --- On the command line --- */

/* r and device as a description function has left them. */
static int add_device(QemuBuild *build, int r, VbJson *device) {
        if (r >= 0 && device)
                qemu_build_add_json(build, "-device", device);
        return r;
}

static int build_tpms(QemuBuild *build, sd_bus_error *reterr) {
        const VbDomainDefinition *definition = build->context.definition;
        VbJson *device = NULL;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < definition->tpms.n; i++) {
                r = build_tpm_backend(build, definition->tpms.items[i], reterr);
                if (r >= 0)
                        r = qemu_tpm_device(&build->context, definition->tpms.items[i], &device, reterr);
                r = add_device(build, r, device);
        }
        return r;
}

static int build_inputs(QemuBuild *build, sd_bus_error *reterr) {
        const VbDomainDefinition *definition = build->context.definition;
        VbJson *device = NULL;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < definition->inputs.n; i++) {
                r = qemu_input_device(&build->context, definition->inputs.items[i], &device, reterr);
                r = add_device(build, r, device);
        }
        return r;
}

static int build_watchdogs(QemuBuild *build, sd_bus_error *reterr) {
        const VbDomainDefinition *definition = build->context.definition;
        VbJson *device = NULL;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < definition->watchdogs.n; i++) {
                r = qemu_watchdog_device(&build->context, definition->watchdogs.items[i], &device, reterr);
                r = add_device(build, r, device);
        }
        return r;
}

static int build_memballoons(QemuBuild *build, sd_bus_error *reterr) {
        const VbDomainDefinition *definition = build->context.definition;
        VbJson *device = NULL;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < definition->memballoons.n; i++) {
                r = qemu_memballoon_device(&build->context, definition->memballoons.items[i], &device, reterr);
                if (r >= 0 && device)
                        build_balloon_setup(build, definition->memballoons.items[i]);
                r = add_device(build, r, device);
        }
        return r;
}

static int build_rngs(QemuBuild *build, sd_bus_error *reterr) {
        const VbDomainDefinition *definition = build->context.definition;
        VbJson *device = NULL;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < definition->rngs.n; i++) {
                r = build_rng_backend(build, definition->rngs.items[i], reterr);
                if (r >= 0)
                        r = qemu_rng_device(&build->context, definition->rngs.items[i], &device, reterr);
                r = add_device(build, r, device);
        }
        return r;
}

static int build_panics(QemuBuild *build, sd_bus_error *reterr) {
        const VbDomainDefinition *definition = build->context.definition;
        VbJson *device = NULL;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < definition->panics.n; i++) {
                r = qemu_panic_device(&build->context, definition->panics.items[i], &device, reterr);
                r = add_device(build, r, device);
        }
        return r;
}

int qemu_build_small_devices(QemuBuild *build, sd_bus_error *reterr) {
        static int (*const families[])(QemuBuild *build, sd_bus_error *reterr) = {
                build_tpms, build_inputs, qemu_build_sounds, build_watchdogs, build_memballoons, build_rngs, build_panics,
        };
        int r = 0;

        for (size_t i = 0; r >= 0 && i < G_N_ELEMENTS(families); i++)
                r = families[i](build, reterr);
        return r;
}
