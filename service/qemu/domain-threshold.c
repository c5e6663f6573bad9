/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Domain1: images that fill up. The emulator watches the lowest node of an image, whose places are those of the file or device. */

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "hypervisor/disk-tuning.h"
#include "qemu/ask.h"
#include "qemu/command-device.h"
#include "qemu/handlers.h"
#include "qemu/json.h"
#include "qemu/threshold.h"

#define LAYER "storage"

/* --- what is asked for ------------------------------------------------------------------------------------------------ */

static bool chain_has(const VbDisk *disk, unsigned long index) {
        if (index == qemu_disk_top_index(disk))
                return disk->path != NULL;
        for (const VbBackingStore *image = disk->backing; image; image = image->backing)
                if (image->index == index && image->path)
                        return true;
        return false;
}

/* "vda", "vda[3]" or a path. */
static int find_image(const VbDomainDefinition *live, const char *name, const VbDisk **ret_disk, uint32_t *ret_index, sd_bus_error *reterr) {
        const char *bracket = g_str_has_suffix(name, "]") ? strrchr(name, '[') : NULL;
        g_autofree char *target = bracket && g_ascii_isdigit(bracket[1]) ? g_strndup(name, (size_t) (bracket - name)) : NULL;
        unsigned long index;
        char *end;
        int place;

        place = vb_disk_find(live, target ?: name, reterr);
        if (place < 0)
                return place;
        *ret_disk = live->disks.items[place];
        index = target ? strtoul(bracket + 1, &end, 10) : qemu_disk_top_index(*ret_disk);
        if ((target && end[1] != '\0') || !chain_has(*ret_disk, index))
                return sd_bus_error_setf(reterr, VB_ERROR_NO_DEVICE, "domain '%s': disk '%s' has no such image", live->name, name);
        *ret_index = (uint32_t) index;
        return 0;
}

int qemu_on_set_block_threshold(VbCall *call, VbObject *object, const VbDomain1SetBlockThresholdArgs *args, sd_bus_error *reterr) {
        VbDomain *domain = vb_domain_of(object);
        char node[QEMU_NODE_NAME_SIZE];
        const VbDisk *disk = NULL;
        VbJson *arguments;
        uint32_t index = 0;
        int r;

        r = qemu_ask_find_monitor(domain, NULL, reterr);
        if (r < 0)
                return r;
        r = find_image(domain->live, args->disk, &disk, &index, reterr);
        if (r < 0)
                return r;
        r = vb_domain_begin(domain, "set a threshold of a disk", vb_call_reply_done, call, reterr);
        if (r < 0)
                return r;
        (void) vb_call_ref(call);

        qemu_image_node_name(disk, index, LAYER, node);
        arguments = qmp_arguments("node-name", node, NULL);
        (void) json_object_object_add(arguments, "write-threshold", json_object_new_uint64(args->threshold));
        r = qemu_ask(qemu_domain_of(domain), "block-set-write-threshold", arguments, qemu_ask_finish, reterr);
        if (r < 0) {
                vb_domain_abandon(domain);
                vb_call_unref(call);
        }
        return r;
}

/* --- what is told ----------------------------------------------------------------------------------------------------- */

/* The disk and the image's index of "vda-3-storage". */
static const VbDisk *find_node(const VbDomainDefinition *live, const char *node, uint32_t *ret_index) {
        for (size_t i = 0; i < live->disks.n; i++) {
                const VbDisk *disk = live->disks.items[i];
                size_t length = strlen(disk->target);
                char *end;

                if (!g_str_has_prefix(node, disk->target) || node[length] != '-' || !g_ascii_isdigit(node[length + 1]))
                        continue;
                *ret_index = (uint32_t) strtoul(node + length + 1, &end, 10);
                if (strcmp(end, "-" LAYER) == 0)
                        return disk;
        }
        return NULL;
}

void qemu_threshold_exceeded(QemuDomain *qemu, VbJson *data) {
        uint64_t threshold = (uint64_t) qemu_json_number(data, "write-threshold", 0);
        uint64_t excess = (uint64_t) qemu_json_number(data, "amount-exceeded", 0);
        g_autofree char *name = NULL;
        uint32_t index = 0;
        const VbDisk *disk = find_node(qemu->domain->live, qemu_json_string(data, "node-name") ?: "", &index);

        if (!disk)
                return;
        if (index == qemu_disk_top_index(disk))
                vb_domain1_emit_block_threshold(&qemu->domain->object, disk->target, threshold, excess);
        name = g_strdup_printf("%s[%u]", disk->target, index);
        vb_domain1_emit_block_threshold(&qemu->domain->object, name, threshold, excess);
}
