/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A list of resources with nothing behind it, for a command line that nobody will run: each place has a descriptor of /dev/null. Backing
 * images that only the files themselves would tell are not there. */

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "qemu/resources.h"

/* The command line keeps descriptors under their numbers, and 0 to 2 are taken. */
static int open_nothing(int *ret) {
        int fd;

        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (fd >= 0 && fd <= STDERR_FILENO) {
                int low = fd;

                fd = fcntl(low, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
                (void) close(low);
        }
        if (fd < 0)
                return -errno;
        *ret = fd;
        return 0;
}

static int open_file(const VbOpenFile *file, VbOpenChain *chain) {
        VbOpenImage *image = g_new0(VbOpenImage, 1);

        chain->id = g_strdup(file->id);
        chain->images = image;
        chain->n_images = 1;
        *image = (VbOpenImage){
                .path = g_strdup(file->path),
                .fd = -EBADF,
                .format = file->format,
                .writable = file->access != VB_OPEN_READ,
                .mode = file->kind == VB_OPEN_BLOCK     ? S_IFBLK :
                        file->kind == VB_OPEN_CHARACTER ? S_IFCHR :
                                                          S_IFREG,
        };
        return open_nothing(&image->fd);
}

static int open_tap(QemuTap *tap) {
        int r = 0;

        for (unsigned i = 0; r >= 0 && i < tap->queues; i++) {
                r = open_nothing(&tap->fds[i]);
                if (r >= 0 && tap->vhost != QEMU_VHOST_NO)
                        r = open_nothing(&tap->vhost_fds[i]);
        }
        return r;
}

int qemu_resources_stand_in(QemuResources *resources, sd_bus_error *reterr) {
        int r = 0;

        resources->opened = g_new0(VbOpenResult, 1);
        resources->opened->chains = g_new0(VbOpenChain, resources->n_files + 1);
        for (size_t i = 0; r >= 0 && i < resources->n_files; i++)
                r = open_file(&resources->files[i], &resources->opened->chains[resources->opened->n_chains++]);
        for (size_t i = 0; r >= 0 && i < resources->n_sockets; i++)
                r = open_nothing(&resources->sockets[i].fd);
        for (size_t i = 0; r >= 0 && i < resources->n_logs; i++)
                r = open_nothing(&resources->logs[i].fd);
        for (size_t i = 0; r >= 0 && i < resources->n_taps; i++)
                r = open_tap(&resources->taps[i]);
        return r >= 0 ? 0 : sd_bus_error_set_errnof(reterr, r, "cannot open /dev/null: %m");
}
