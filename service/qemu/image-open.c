/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/image-open.h"

#include "base/error.h"
#include "base/worker.h"
#include "qemu/guest-user.h"

struct QemuImageOpen {
        QemuDriver *driver;
        uid_t uid;
        gid_t gid;
        char *id, *path;
        VbImageFormat format;
        VbWorker *worker;
        VbOpenRequest *request;
        QemuImageOpened opened;
        void *userdata;
};

static void end(QemuImageOpen *open, int r, VbOpenImage *image, const sd_bus_error *error) {
        (void) g_ptr_array_remove_fast(open->driver->image_opens, open);
        open->opened(r, image, error, open->userdata);
        (void) vb_worker_free(open->worker);
        (void) vb_open_request_free(open->request);
        g_free(open->id);
        g_free(open->path);
        g_free(open);
}

static void on_opened(VbOpenRequest *request, int r, VbOpenResult *result, const sd_bus_error *error, void *userdata) {
        g_autoptr(VbOpenResult) owned = result;
        g_auto(sd_bus_error) own = SD_BUS_ERROR_NULL;
        QemuImageOpen *open = userdata;
        VbOpenChain *chain = owned ? vb_open_result_find(owned, open->id) : NULL;

        if (r >= 0 && (!chain || chain->n_images == 0)) {
                error = &own;
                r = sd_bus_error_setf(&own, VB_ERROR_NO_FILE, "%s: %s: there is no such file", open->id, open->path);
        }
        end(open, r, r < 0 ? NULL : &chain->images[0], error);
}

static int send(QemuImageOpen *open, sd_bus_error *reterr) {
        const VbOpenFile file = {
                .id = open->id,
                .path = open->path,
                .access = VB_OPEN_READ,
                .kind = VB_OPEN_IMAGE,
                .format = open->format,
        };
        int r;

        r = vb_open_request_new(&open->request, qemu_driver_event(open->driver), open->uid, open->gid);
        if (r < 0)
                return r;
        r = vb_open_request_add(open->request, &file, reterr);
        if (r < 0)
                return r;
        return vb_open_request_send(open->request, on_opened, open, /* timeout_usec= */ 0, reterr);
}

static void on_looked_up(VbWorker *worker, int r, const sd_bus_error *error, void *data, void *userdata) {
        g_auto(sd_bus_error) own = SD_BUS_ERROR_NULL;
        QemuImageOpen *open = userdata;

        if (r >= 0) {
                open->gid = qemu_guest_user_group(data);
                error = &own;
                r = send(open, &own);
        }
        if (r < 0)
                end(open, r, NULL, error);
}

static int begin(QemuImageOpen *open, uid_t owner, sd_bus_error *reterr) {
        int r;

        r = qemu_guest_user_find(open->driver, owner, &open->uid, &open->gid, reterr);
        if (r != 0)
                return r < 0 ? r : send(open, reterr);
        return qemu_guest_user_ask_group(&open->worker, open->driver, open->uid, on_looked_up, open, reterr);
}

int qemu_image_open(QemuDriver *driver, uid_t owner, const VbDisk *disk, QemuImageOpened opened, void *userdata,
                    sd_bus_error *reterr) {
        QemuImageOpen *open;
        int r;

        if (!disk->path)
                return sd_bus_error_setf(reterr, VB_ERROR_NO_DEVICE, "disk '%s' is empty", disk->target);
        if (disk->path[0] != '/')
                return sd_bus_error_setf(reterr, VB_ERROR_UNSUPPORTED_CONFIGURATION,
                                         "disk '%s': its image has no name on the host: a caller passed it", disk->target);
        open = g_new(QemuImageOpen, 1);
        *open = (QemuImageOpen){
                .driver = driver,
                .id = g_strdup_printf("disk %s", disk->target),
                .path = g_strdup(disk->path),
                .format = disk->format == VB_DISK_FORMAT_QCOW2 ? VB_IMAGE_QCOW2 : VB_IMAGE_RAW,
        };
        g_ptr_array_add(driver->image_opens, open);
        r = begin(open, owner, reterr);
        if (r < 0) {
                (void) g_ptr_array_remove_fast(driver->image_opens, open);
                (void) vb_open_request_free(open->request);
                g_free(open->id);
                g_free(open->path);
                g_free(open);
                return r;
        }
        /* The callback owns what userdata is from now on. */
        open->opened = opened;
        open->userdata = userdata;
        return 0;
}

void qemu_image_open_cancel_all(QemuDriver *driver) {
        while (driver->image_opens->len > 0)
                end(g_ptr_array_index(driver->image_opens, 0), -ECANCELED, NULL, NULL);
}
