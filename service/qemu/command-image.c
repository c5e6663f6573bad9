/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Images as block nodes. From below, a disk "vda" is
 *
 *     vda-2-storage ◀ vda-2-format        the backing image: read-only
 *                        ▲
 *     vda-1-storage ◀ vda-1-format        the image that was asked for
 *                        ▲
 *                     vda-copy-on-read    if it was asked for
 *                        ▲
 *                     vda-throttle        if there are limits
 *                        ▲
 *                     the device
 *
 * Names come from the target and not the alias: targets are short and unique, where aliases of people's choice may be
 * longer than QEMU lets a node's name be. The number is the one in <source index='1'>. */
#include "qemu/command-build.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "qemu/json.h"

void qemu_image_node_name(const VbDisk *disk, uint32_t index, const char *layer,
                          char buffer[static QEMU_NODE_NAME_SIZE]) {
        (void) snprintf(buffer, QEMU_NODE_NAME_SIZE, "%s-%u-%s", disk->target, index, layer);
}

static void filter_node_name(const VbDisk *disk, const char *filter, char buffer[static QEMU_NODE_NAME_SIZE]) {
        (void) snprintf(buffer, QEMU_NODE_NAME_SIZE, "%s-%s", disk->target, filter);
}

uint32_t qemu_disk_top_index(const VbDisk *disk) {
        return disk->source_index != 0 ? disk->source_index : 1;
}

static bool has_limits(const VbDisk *disk) {
        return disk->iotune != NULL;
}

static bool has_copy_on_read(const VbDisk *disk) {
        return disk->copy_on_read == VB_TRISTATE_YES;
}

static void node_below_throttle(const VbDisk *disk, char buffer[static QEMU_NODE_NAME_SIZE]) {
        if (has_copy_on_read(disk))
                filter_node_name(disk, "copy-on-read", buffer);
        else
                qemu_image_node_name(disk, qemu_disk_top_index(disk), "format", buffer);
}

void qemu_disk_top_node(const VbDisk *disk, char buffer[static QEMU_NODE_NAME_SIZE]) {
        if (has_limits(disk))
                filter_node_name(disk, "throttle", buffer);
        else
                node_below_throttle(disk, buffer);
}

/* --- Options that nodes of one chain share --- */

static void add_cache(VbJson *node, const VbDisk *disk) {
        bool direct = disk->cache == VB_DISK_CACHE_NONE || disk->cache == VB_DISK_CACHE_DIRECTSYNC;
        VbJson *cache;

        if (disk->cache == VB_DISK_CACHE_ABSENT || disk->cache == VB_DISK_CACHE_DEFAULT)
                return;

        cache = qemu_json_new();
        qemu_json_add_bool(cache, "direct", direct);
        qemu_json_add_bool(cache, "no-flush", disk->cache == VB_DISK_CACHE_UNSAFE);
        qemu_json_add_json(node, "cache", cache);
}

/* What the guest writes is looked at once, in the uppermost image; "unmap" needs a node that may discard. */
static void add_zeroes(VbJson *node, const VbDisk *disk) {
        const char *word = vb_disk_detect_zeroes_to_string(disk->detect_zeroes);

        if (disk->detect_zeroes == VB_DISK_DETECT_ZEROES_ABSENT)
                return;
        if (disk->detect_zeroes == VB_DISK_DETECT_ZEROES_UNMAP && disk->discard != VB_DISK_DISCARD_UNMAP)
                word = vb_disk_detect_zeroes_to_string(VB_DISK_DETECT_ZEROES_ON);
        qemu_json_add(node, "detect-zeroes", word);
}

static void add_discard(VbJson *node, const VbDisk *disk) {
        if (disk->discard != VB_DISK_DISCARD_ABSENT)
                qemu_json_add(node, "discard", vb_disk_discard_to_string(disk->discard));
}

/* --- The two nodes of an image --- */

static int add_aio(const QemuContext *context, VbJson *node, const VbDisk *disk, sd_bus_error *reterr) {
        const char *word = vb_disk_io_to_string(disk->io);

        if (disk->io == VB_DISK_IO_ABSENT)
                return 0;
        if (!qemu_capabilities_offers(context->capabilities, QEMU_SET_BLOCK_AIO, word))
                return qemu_not_offered(context, reterr, "disk '%s': io='%s'", disk->target, word);
        qemu_json_add(node, "aio", word);
        return 0;
}

int qemu_image_storage(const QemuContext *context, const VbDisk *disk, const QemuImage *image, VbJson **ret,
                       sd_bus_error *reterr) {
        g_autoptr(VbJson) node = qemu_json_new_driver(image->block_device ? "host_device" : "file");
        char name[QEMU_NODE_NAME_SIZE];
        int r;

        qemu_image_node_name(disk, image->index, "storage", name);
        qemu_json_add(node, "filename", image->filename);
        qemu_json_add(node, "node-name", name);
        /* Said outright and not left to auto-read-only: QEMU would first look for a descriptor that only reads. */
        qemu_json_add_bool(node, "read-only", !image->writable);
        /* What a format frees is freed in the file; whether the guest may free anything is the format node's matter. */
        if (image->writable)
                qemu_json_add(node, "discard", "unmap");
        add_cache(node, disk);
        r = add_aio(context, node, disk, reterr);
        if (r < 0)
                return r;

        *ret = g_steal_pointer(&node);
        return 0;
}

VbJson *qemu_image_format(const VbDisk *disk, const QemuImage *image) {
        bool qcow2 = image->format == VB_IMAGE_QCOW2;
        VbJson *node = qemu_json_new_driver(qcow2 ? "qcow2" : "raw");
        char name[QEMU_NODE_NAME_SIZE];

        qemu_image_node_name(disk, image->index, "format", name);
        qemu_json_add(node, "node-name", name);
        qemu_json_add_bool(node, "read-only", !image->writable);
        add_cache(node, disk);
        if (image->index == qemu_disk_top_index(disk)) {
                add_discard(node, disk);
                add_zeroes(node, disk);
        }
        qemu_image_node_name(disk, image->index, "storage", name);
        qemu_json_add(node, "file", name);
        /* Without this, QEMU would go by what the image's header says, which its guest may have written. */
        if (qcow2 && image->backing_index == 0)
                qemu_json_add_json(node, "backing", NULL);
        if (qcow2 && image->backing_index != 0) {
                qemu_image_node_name(disk, image->backing_index, "format", name);
                qemu_json_add(node, "backing", name);
        }
        return node;
}

/* --- Filters --- */

VbJson *qemu_disk_copy_on_read(const VbDisk *disk) {
        char name[QEMU_NODE_NAME_SIZE];
        VbJson *node;

        if (!has_copy_on_read(disk))
                return NULL;

        node = qemu_json_new_driver("copy-on-read");
        filter_node_name(disk, "copy-on-read", name);
        qemu_json_add(node, "node-name", name);
        add_cache(node, disk);
        add_discard(node, disk);
        qemu_image_node_name(disk, qemu_disk_top_index(disk), "format", name);
        qemu_json_add(node, "file", name);
        return node;
}

char *qemu_disk_throttle_group_id(const VbDisk *disk) {
        if (!has_limits(disk))
                return NULL;
        return disk->iotune->group_name ? g_strdup_printf("throttle-group-%s", disk->iotune->group_name) :
                                          g_strdup_printf("throttle-%s", disk->target);
}

VbJson *qemu_disk_throttle_group(const VbDisk *disk) {
        const VbDiskIotune *iotune = disk->iotune;
        g_autofree char *id = qemu_disk_throttle_group_id(disk);
        VbJson *group, *limits;

        if (!iotune)
                return NULL;

        const struct {
                const char *name;
                uint64_t value;
        } members[] = {
                { "bps-total", iotune->total_bytes_sec },
                { "bps-read", iotune->read_bytes_sec },
                { "bps-write", iotune->write_bytes_sec },
                { "iops-total", iotune->total_iops_sec },
                { "iops-read", iotune->read_iops_sec },
                { "iops-write", iotune->write_iops_sec },
                { "bps-total-max", iotune->total_bytes_sec_max },
                { "bps-read-max", iotune->read_bytes_sec_max },
                { "bps-write-max", iotune->write_bytes_sec_max },
                { "iops-total-max", iotune->total_iops_sec_max },
                { "iops-read-max", iotune->read_iops_sec_max },
                { "iops-write-max", iotune->write_iops_sec_max },
                { "bps-total-max-length", iotune->total_bytes_sec_max_length },
                { "bps-read-max-length", iotune->read_bytes_sec_max_length },
                { "bps-write-max-length", iotune->write_bytes_sec_max_length },
                { "iops-total-max-length", iotune->total_iops_sec_max_length },
                { "iops-read-max-length", iotune->read_iops_sec_max_length },
                { "iops-write-max-length", iotune->write_iops_sec_max_length },
                { "iops-size", iotune->size_iops_sec },
        };

        limits = qemu_json_new();
        for (size_t i = 0; i < G_N_ELEMENTS(members); i++)
                if (members[i].value != 0)
                        qemu_json_add_number(limits, members[i].name, members[i].value);

        group = qemu_json_new_object("throttle-group", id);
        qemu_json_add_json(group, "limits", limits);
        return group;
}

VbJson *qemu_disk_throttle(const VbDisk *disk) {
        g_autofree char *group = qemu_disk_throttle_group_id(disk);
        char name[QEMU_NODE_NAME_SIZE];
        VbJson *node;

        if (!group)
                return NULL;

        node = qemu_json_new_driver("throttle");
        filter_node_name(disk, "throttle", name);
        qemu_json_add(node, "node-name", name);
        qemu_json_add(node, "throttle-group", group);
        add_cache(node, disk);
        add_discard(node, disk);
        node_below_throttle(disk, name);
        qemu_json_add(node, "file", name);
        return node;
}

/* --- In what the emulator tells --- */

VbJson *qemu_block_find_device(VbJson *list, const char *alias) {
        g_autofree char *path = g_strdup_printf("/machine/peripheral/%s", alias ?: "");
        size_t n = strlen(path);

        for (size_t i = 0; list && json_object_is_type(list, json_type_array) && i < json_object_array_length(list); i++) {
                VbJson *entry = json_object_array_get_idx(list, i);
                const char *qdev = qemu_json_string(entry, "qdev");

                if (qdev && (g_strcmp0(qdev, alias) == 0 || (g_str_has_prefix(qdev, path) && (qdev[n] == '/' || qdev[n] == '\0'))))
                        return entry;
        }
        return NULL;
}

/* --- On the command line --- */

static int build_image(QemuBuild *build, const VbDisk *disk, VbOpenImage *opened, QemuImage *image,
                       sd_bus_error *reterr) {
        g_autofree char *filename = NULL;
        VbJson *storage;
        int r;

        if (image->writable && opened->read_only_device)
                return qemu_unsupported(&build->context, reterr,
                                        "disk '%s': %s cannot be written to; give the disk a <readonly/>", disk->target,
                                        opened->path ?: disk->path);

        filename = qemu_build_add_fdset(build, &opened->fd, opened->path ?: disk->path);
        image->filename = filename;
        r = qemu_image_storage(&build->context, disk, image, &storage, reterr);
        image->filename = NULL; /* gone with this scope */
        if (r < 0)
                return r;

        qemu_build_add_json(build, "-blockdev", storage);
        qemu_build_add_json(build, "-blockdev", qemu_image_format(disk, image));
        return 0;
}

/* The images of a disk, in order, out of one chain or, where the definition spells the backing images out, of several. */
static int collect_images(QemuBuild *build, const VbDisk *disk, GPtrArray *images, sd_bus_error *reterr) {
        for (size_t level = 0;; level++) {
                g_autofree char *id = qemu_disk_file_id(disk, level);
                VbOpenChain *chain;

                if (!qemu_resources_find_file(build->resources, id))
                        break;
                chain = build->resources->opened ? vb_open_result_find(build->resources->opened, id) : NULL;
                for (size_t i = 0; chain && i < chain->n_images; i++)
                        g_ptr_array_add(images, &chain->images[i]);
        }

        for (unsigned i = 0; i < images->len; i++)
                if (((VbOpenImage *) images->pdata[i])->fd < 0)
                        images->len = 0;
        if (images->len == 0)
                return sd_bus_error_setf(reterr, VB_ERROR_OPERATION_FAILED, "domain '%s': disk '%s' was not opened",
                                         build->context.definition->name, disk->target);
        return 0;
}

static bool shares_earlier_group(const VbDomainDefinition *definition, const VbDisk *disk) {
        g_autofree char *id = qemu_disk_throttle_group_id(disk);

        for (size_t i = 0; i < definition->disks.n && definition->disks.items[i] != disk; i++) {
                g_autofree char *earlier = qemu_disk_throttle_group_id(definition->disks.items[i]);

                if (earlier && strcmp(earlier, id) == 0)
                        return true;
        }
        return false;
}

static void build_filters(QemuBuild *build, const VbDisk *disk) {
        if (has_copy_on_read(disk))
                qemu_build_add_json(build, "-blockdev", qemu_disk_copy_on_read(disk));
        if (has_limits(disk)) {
                if (!shares_earlier_group(build->context.definition, disk))
                        qemu_build_add_json(build, "-object", qemu_disk_throttle_group(disk));
                qemu_build_add_json(build, "-blockdev", qemu_disk_throttle(disk));
        }
}

int qemu_build_disk_images(QemuBuild *build, const VbDisk *disk, sd_bus_error *reterr) {
        g_autoptr(GPtrArray) images = g_ptr_array_new();
        int r;

        r = collect_images(build, disk, images, reterr);
        if (r < 0)
                return r;

        /* A node must exist before the one that names it: from the lowest up. */
        for (unsigned i = images->len; i-- > 0;) {
                VbOpenImage *opened = images->pdata[i];
                QemuImage image = {
                        .index = qemu_disk_top_index(disk) + i,
                        .format = opened->format,
                        .block_device = S_ISBLK(opened->mode),
                        .writable = i == 0 && qemu_disk_is_writable(disk),
                        .backing_index = i + 1 < images->len ? qemu_disk_top_index(disk) + i + 1 : 0,
                };

                r = build_image(build, disk, opened, &image, reterr);
                if (r < 0)
                        return r;
        }

        build_filters(build, disk);
        return 0;
}
