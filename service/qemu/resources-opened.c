/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What follows from the opened files, before the command line is built. */
#include "qemu/resources.h"

#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

/* --- Backing chains --- */

static VbBackingStore *backing_store_new(const VbOpenImage *image, uint32_t index) {
        VbBackingStore *store = g_new0(VbBackingStore, 1);

        store->type = S_ISBLK(image->mode) ? VB_DISK_TYPE_BLOCK : VB_DISK_TYPE_FILE;
        store->format = image->format == VB_IMAGE_QCOW2 ? VB_DISK_FORMAT_QCOW2 : VB_DISK_FORMAT_RAW;
        store->index = index;
        store->path = g_strdup(image->path);
        return store;
}

/* The definition may have named the first few; what the headers told comes below them. */
static void describe_chain(const VbOpenChain *chain, VbBackingStore **link, uint32_t *index) {
        for (size_t i = 1; i < chain->n_images; i++) {
                *link = backing_store_new(&chain->images[i], ++*index);
                link = &(*link)->backing;
        }
        /* Known to end here. */
        if (!*link)
                *link = g_new0(VbBackingStore, 1);
}

static void describe_disk(QemuResources *resources, VbDisk *disk, VbOpenChain *first) {
        VbBackingStore **link = &disk->backing;
        VbOpenChain *last = first;
        uint32_t index;

        if (disk->source_index == 0)
                disk->source_index = 1;
        index = disk->source_index;

        for (size_t level = 1; *link && (*link)->type != VB_DISK_TYPE_ABSENT; level++) {
                g_autofree char *id = qemu_disk_file_id(disk, level);
                VbOpenChain *chain = vb_open_result_find(resources->opened, id);

                if (!chain)
                        break;
                last = chain;
                (*link)->index = ++index;
                link = &(*link)->backing;
        }
        if (!*link && disk->format == VB_DISK_FORMAT_QCOW2)
                describe_chain(last, link, &index);
}

int qemu_resources_describe(QemuResources *resources, VbDomainDefinition *live, sd_bus_error *reterr) {
        for (size_t i = 0; i < live->disks.n; i++) {
                VbDisk *disk = live->disks.items[i];
                g_autofree char *id = qemu_disk_file_id(disk, 0);
                VbOpenChain *chain;

                if (!disk->path)
                        continue;
                chain = resources->opened ? vb_open_result_find(resources->opened, id) : NULL;
                if (!chain)
                        return sd_bus_error_setf(reterr, VB_ERROR_OPERATION_FAILED,
                                                 "domain '%s': disk '%s' was not opened", live->name, disk->target);
                if (chain->n_images == 0)
                        g_clear_pointer(&disk->path, g_free);
                else
                        describe_disk(resources, disk, chain);
        }
        return 0;
}

bool qemu_resources_lacks_medium(const QemuResources *resources, const VbDisk *disk) {
        g_autofree char *id = qemu_disk_file_id(disk, 0);
        const VbOpenChain *chain = resources->opened ? vb_open_result_find(resources->opened, id) : NULL;

        return chain && chain->n_images == 0;
}

/* --- The variables of firmware --- */

static int copy_all(int from, int to, uint64_t size) {
        off_t offset = 0;

        while ((uint64_t) offset < size) {
                ssize_t n = sendfile(to, from, &offset, (size_t) (size - (uint64_t) offset));

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        return -EIO; /* it shrank */
        }
        return fsync(to) < 0 ? -errno : 0;
}

/* Larger flash no machine maps; a template that large is something else. */
#define NVRAM_SIZE_MAX (16u << 20)

int qemu_resources_fill_nvram(QemuResources *resources, sd_bus_error *reterr) {
        VbOpenChain *nvram = resources->opened ? vb_open_result_find(resources->opened, "nvram") : NULL;
        VbOpenChain *template = resources->opened ? vb_open_result_find(resources->opened, "nvram template") : NULL;
        const VbOpenImage *target, *source;
        int r;

        if (!nvram || nvram->n_images == 0 || nvram->images[0].size > 0)
                return 0;

        target = &nvram->images[0];
        if (!template || template->n_images == 0)
                return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                         "nvram: %s is empty, and no template says what a new one holds",
                                         target->path);

        source = &template->images[0];
        if (source->size == 0 || source->size > NVRAM_SIZE_MAX)
                return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                         "nvram: template %s has %" PRIu64 " bytes, and not 1 to %u", source->path,
                                         source->size, NVRAM_SIZE_MAX);

        r = copy_all(source->fd, target->fd, source->size);
        if (r < 0) {
                /* Half a store would count as a store next time. */
                (void) ftruncate(target->fd, 0);
                return sd_bus_error_setf(reterr, VB_ERROR_STORAGE_FAILED, "nvram: cannot copy %s to %s: %s",
                                         source->path, target->path, g_strerror(-r));
        }
        return 0;
}
