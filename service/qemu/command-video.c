/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Video cards. */
#include "qemu/command-build.h"

#include <string.h>

#include "base/error.h"

/* Each model as the first card, which the firmware shows its messages on, and as a further one. */
static const struct {
        const char *primary, *further;
} drivers[VB_VIDEO_MODEL_MAX] = {
        [VB_VIDEO_VGA] = { "VGA", "secondary-vga" },
        [VB_VIDEO_CIRRUS] = { "cirrus-vga", NULL },
        [VB_VIDEO_VMVGA] = { "vmware-svga", NULL },
        [VB_VIDEO_QXL] = { "qxl-vga", "qxl" },
        [VB_VIDEO_VIRTIO] = { "virtio-vga", "virtio-gpu-pci" },
        [VB_VIDEO_BOCHS] = { "bochs-display", "bochs-display" },
        [VB_VIDEO_RAMFB] = { "ramfb", NULL },
};

static const char *virtio_driver(const QemuContext *context, const VbVideo *video, bool primary) {
        bool accelerated = video->acceleration_3d == VB_TRISTATE_YES;

        /* Only PCs know VGA. */
        if (primary && qemu_context_is_x86(context))
                return accelerated ? "virtio-vga-gl" : "virtio-vga";
        return accelerated ? "virtio-gpu-gl-pci" : "virtio-gpu-pci";
}

static const char *video_driver(const QemuContext *context, const VbVideo *video) {
        bool primary = video->primary == VB_TRISTATE_YES ||
                       (video->primary == VB_TRISTATE_ABSENT && video == context->definition->videos.items[0]);

        if (video->model == VB_VIDEO_VIRTIO)
                return virtio_driver(context, video, primary);
        return primary ? drivers[video->model].primary : drivers[video->model].further;
}

static void add_mib_of_kib(VbJson *device, const char *key, uint32_t kib) {
        if (kib != 0)
                qemu_json_add_number(device, key, ((uint64_t) kib + 1023) / 1024);
}

static void add_bytes_of_kib(VbJson *device, const char *key, uint32_t kib) {
        if (kib != 0)
                qemu_json_add_number(device, key, (uint64_t) kib * 1024);
}

static int add_qxl_memory(const QemuContext *context, VbJson *device, const VbVideo *video, sd_bus_error *reterr) {
        if (video->ram > UINT32_MAX / 1024)
                return qemu_unsupported(context, reterr, "video model 'qxl': %u KiB of RAM are more than 4 GiB",
                                        video->ram);

        if (video->heads != 0)
                qemu_json_add_number(device, "max_outputs", video->heads);
        add_bytes_of_kib(device, "ram_size", video->ram);
        add_bytes_of_kib(device, "vram_size", video->vram);
        add_mib_of_kib(device, "vram64_size_mb", video->vram64);
        add_mib_of_kib(device, "vgamem_mb", video->vgamem);
        return 0;
}

static int add_memory(const QemuContext *context, VbJson *device, const VbVideo *video, sd_bus_error *reterr) {
        switch (video->model) {
        case VB_VIDEO_QXL:
                return add_qxl_memory(context, device, video, reterr);
        case VB_VIDEO_VGA:
        case VB_VIDEO_CIRRUS:
        case VB_VIDEO_VMVGA:
                add_mib_of_kib(device, "vgamem_mb", video->vram);
                return 0;
        case VB_VIDEO_BOCHS:
                add_bytes_of_kib(device, "vgamem", video->vram);
                return 0;
        case VB_VIDEO_VIRTIO:
                if (video->heads != 0)
                        qemu_json_add_number(device, "max_outputs", video->heads);
                qemu_device_add_tristate(device, "blob", video->blob);
                qemu_device_add_virtio(device, &video->virtio);
                return 0;
        default:
                return 0;
        }
}

int qemu_video_device(const QemuContext *context, const VbVideo *video, VbJson **ret, sd_bus_error *reterr) {
        const char *model = vb_video_model_to_string(video->model);
        g_autofree char *what = g_strdup_printf("video model '%s'", model);
        g_autoptr(VbJson) device = NULL;
        const char *driver;
        int r;

        if (video->model == VB_VIDEO_NONE || video->model == VB_VIDEO_ABSENT) {
                *ret = NULL;
                return 0;
        }
        driver = video_driver(context, video);
        if (!driver)
                return qemu_unsupported(context, reterr, "video model '%s' can only be the first of a domain", model);

        r = qemu_device_new(context, driver, &video->info, what, &device, reterr);
        if (r < 0)
                return r;
        r = add_memory(context, device, video, reterr);
        if (r < 0)
                return r;
        if (video->resolution_x != 0 && video->resolution_y != 0) {
                qemu_json_add_number(device, "xres", video->resolution_x);
                qemu_json_add_number(device, "yres", video->resolution_y);
        }

        *ret = g_steal_pointer(&device);
        return 0;
}

static int build_video(QemuBuild *build, const VbVideo *video, sd_bus_error *reterr) {
        VbJson *device;
        int r;

        r = qemu_video_device(&build->context, video, &device, reterr);
        if (r < 0)
                return r;
        if (device)
                qemu_build_add_json(build, "-device", device);
        return 0;
}

/* The first console of QEMU is that of the first card it is told of. */
int qemu_build_videos(QemuBuild *build, sd_bus_error *reterr) {
        const VbDomainDefinition *definition = build->context.definition;
        int r;

        for (int primary = 1; primary >= 0; primary--)
                for (size_t i = 0; i < definition->videos.n; i++) {
                        const VbVideo *video = definition->videos.items[i];

                        if ((video->primary == VB_TRISTATE_YES) != primary)
                                continue;
                        r = build_video(build, video, reterr);
                        if (r < 0)
                                return r;
                }
        return 0;
}
