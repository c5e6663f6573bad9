/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypervisor/sanlock-disk.h"

#include <fcntl.h>
#include <sanlock_admin.h>
#include <sanlock_resource.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LEASE_MODE 0660
/* What a lockspace, or a lease, takes of a file. */
#define LEASE_SIZE (1 << 20)

/* Has sanlock write what a file is to hold. */
typedef int (*Format)(void *data);

static int set_path(struct sanlk_disk *disk, const char *path) {
        if (g_strlcpy(disk->path, path, sizeof(disk->path)) >= sizeof(disk->path))
                return -ENAMETOOLONG;
        return 0;
}

/* sanlock's daemon may be another user: the file belongs to whom the folder belongs. */
static int make_file(const char *folder, const char *path) {
        struct stat st;
        vb_autofd fd = -EBADF;

        if (stat(folder, &st) < 0)
                return -errno;
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, LEASE_MODE);
        if (fd < 0)
                return -errno;
        if (fchmod(fd, LEASE_MODE) < 0 || fchown(fd, st.st_uid, st.st_gid) < 0)
                return -errno;
        return -posix_fallocate(fd, 0, LEASE_SIZE);
}

/* Under another name until sanlock has written it: whoever finds it, on whatever host, finds it whole. */
static int make_formatted(const char *folder, struct sanlk_disk *disk, Format format, void *data) {
        g_autofree char *path = g_strdup(disk->path), *temporary = g_strdup_printf("%s.new-%08x", path, g_random_int());
        int r;

        if (access(path, F_OK) >= 0)
                return 0;
        r = set_path(disk, temporary);
        if (r >= 0)
                r = make_file(folder, temporary);
        if (r >= 0)
                r = format(data);
        if (r >= 0 && link(temporary, path) < 0 && errno != EEXIST)
                r = -errno;
        (void) unlink(temporary);
        (void) set_path(disk, path);
        return r;
}

/* --- the lockspace --------------------------------------------------------------------------------------------------- */

typedef struct Lockspace {
        struct sanlk_lockspace lockspace;
        uint32_t io_timeout;
} Lockspace;

static int format_lockspace(void *data) {
        Lockspace *disks = data;
        struct sanlk_lockspace all = disks->lockspace;

        all.host_id = 0; /* of all hosts */
        return sanlock_write_lockspace(&all, 0, 0, disks->io_timeout);
}

int vb_sanlock_join_disks(const char *folder, uint64_t host_id, uint32_t io_timeout) {
        g_autofree char *path = g_build_filename(folder, VB_SANLOCK_DISKS, NULL);
        Lockspace disks = { .lockspace = { .host_id = host_id }, .io_timeout = io_timeout };
        int r;

        (void) g_strlcpy(disks.lockspace.name, VB_SANLOCK_DISKS, sizeof(disks.lockspace.name));
        r = set_path(&disks.lockspace.host_id_disk, path);
        if (r < 0)
                return r;
        r = sanlock_inq_lockspace(&disks.lockspace, SANLK_INQ_WAIT);
        if (r != -ENOENT)
                return r;
        r = make_formatted(folder, &disks.lockspace.host_id_disk, format_lockspace, &disks);
        if (r < 0)
                return r;
        r = sanlock_add_lockspace_timeout(&disks.lockspace, 0, io_timeout);
        if (r == -EINPROGRESS)
                r = sanlock_inq_lockspace(&disks.lockspace, SANLK_INQ_WAIT);
        return r == -EEXIST ? 0 : r;
}

/* --- a lease --------------------------------------------------------------------------------------------------------- */

int vb_sanlock_disk_resource(const char *folder, const char *image, struct sanlk_resource **ret) {
        g_autofree char *name = g_compute_checksum_for_string(G_CHECKSUM_MD5, image, -1);
        g_autofree char *path = g_build_filename(folder, name, NULL);
        g_autofree struct sanlk_resource *resource = g_malloc0(sizeof(*resource) + sizeof(struct sanlk_disk));
        int r;

        (void) g_strlcpy(resource->lockspace_name, VB_SANLOCK_DISKS, sizeof(resource->lockspace_name));
        (void) g_strlcpy(resource->name, name, sizeof(resource->name));
        resource->num_disks = 1;
        r = set_path(&resource->disks[0], path);
        if (r < 0)
                return r;
        *ret = g_steal_pointer(&resource);
        return 0;
}

static int format_resource(void *data) {
        return sanlock_write_resource(data, 0, 0, 0);
}

int vb_sanlock_make_disk(const char *folder, struct sanlk_resource *resource) {
        return make_formatted(folder, &resource->disks[0], format_resource, resource);
}
