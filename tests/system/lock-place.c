/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lock-place DEVICE…: where the lease on each of these is, by its kind and the file; for a scenario that has real disks. */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "lock/place.h"

static int tell(const char *device) {
        LeasePlaces places = { .file = (char *) "/file", .lvm = (char *) "/lvm", .scsi = (char *) "/scsi" };
        g_autoptr(Lease) lease = lease_new(device, /* shared= */ false);
        vb_autofd fd = open(device, O_RDONLY | O_CLOEXEC);
        int r;

        r = fd < 0 ? -errno : lock_place_find(lease, fd, &places);
        if (r < 0)
                fprintf(stderr, "%s: %s\n", device, strerror(-r));
        else
                printf("%s %s %s\n", device, lease_kind_to_string(lease->kind), lease->path);
        return r;
}

int main(int argc, char *argv[]) {
        for (int i = 1; i < argc; i++)
                if (tell(argv[i]) < 0)
                        return EXIT_FAILURE;
        return EXIT_SUCCESS;
}
