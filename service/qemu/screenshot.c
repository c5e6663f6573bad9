/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/screenshot.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>

#include "base/error.h"

#define TIMEOUT_USEC ((uint64_t) 10 * G_USEC_PER_SEC)
/* A screen of 16384 by 16384 in the worst case; QEMU is not trusted with more. */
#define IMAGE_SIZE_MAX ((off_t) 1024 * 1024 * 1024)

/* Sets that QEMU gave out by itself start at 0; ours that stay with a disk are small numbers. */
#define FDSET_FIRST 0x40000000

struct QemuScreenshot {
        QmpMonitor *monitor;
        int image; /* the caller's, read and write */
        int fdset;
        uint64_t dump_command, remove_command; /* 0: answered */
        int result;
        sd_bus_error error;
        QemuScreenshotDone done;
        void *userdata;
};

static void screenshot_end(QemuScreenshot *screenshot) {
        int image = screenshot->result < 0 ? -EBADF : vb_steal_fd(&screenshot->image);

        screenshot->done(screenshot, screenshot->result, image, &screenshot->error, screenshot->userdata);
}

/* QEMU wrote through a descriptor that was taken back; now nobody can change the picture under its reader. */
static int image_seal(int image) {
        off_t size = lseek(image, 0, SEEK_END);

        if (size <= 0 || size > IMAGE_SIZE_MAX)
                return -EPROTO;
        if (lseek(image, 0, SEEK_SET) < 0)
                return -errno;
        /* Its writer is closed by remove-fd; F_SEAL_WRITE would fail only for mappings, and there are none of ours. */
        if (fcntl(image, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
                return -errno;
        return 0;
}

/* The picture is written, or is not. It is told when the descriptor has been taken back, too. */
static void on_dumped(QmpMonitor *monitor, const QmpReply *reply, void *userdata) {
        QemuScreenshot *screenshot = userdata;

        screenshot->dump_command = 0;
        screenshot->result = reply->r;
        (void) sd_bus_error_copy(&screenshot->error, &reply->error);
}

static void on_removed(QmpMonitor *monitor, const QmpReply *reply, void *userdata) {
        QemuScreenshot *screenshot = userdata;
        int r;

        screenshot->remove_command = 0;
        if (screenshot->result >= 0) {
                r = image_seal(screenshot->image);
                if (r < 0)
                        screenshot->result = sd_bus_error_set(&screenshot->error, VB_ERROR_MONITOR_FAILED,
                                                              "the emulator made no usable picture");
        }
        screenshot_end(screenshot);
}

static VbJson *fdset_arguments(int fdset) {
        VbJson *arguments = json_object_new_object();

        (void) json_object_object_add(arguments, "fdset-id", json_object_new_int(fdset));
        return arguments;
}

static VbJson *screendump_arguments(const QemuScreenshot *screenshot, const char *device, unsigned screen) {
        g_autofree char *path = g_strdup_printf("/dev/fdset/%d", screenshot->fdset);
        VbJson *arguments = qmp_arguments("filename", path, "format", "png", NULL);

        if (device) {
                (void) json_object_object_add(arguments, "device", json_object_new_string(device));
                (void) json_object_object_add(arguments, "head", json_object_new_uint64(screen));
        }
        return arguments;
}

/* The emulator only takes a descriptor whose access mode is the one it would open the file with: write only. */
static int open_writer(int image) {
        char path[sizeof("/proc/self/fd/") + 16];
        int fd;

        (void) snprintf(path, sizeof(path), "/proc/self/fd/%d", image);
        fd = open(path, O_WRONLY | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

int qemu_screenshot_new(QemuScreenshot **ret, QmpMonitor *monitor, const char *device, unsigned screen,
                        QemuScreenshotDone done, void *userdata, sd_bus_error *reterr) {
        static unsigned sequence;
        g_autoptr(QemuScreenshot) screenshot = g_new0(QemuScreenshot, 1);
        vb_autofd writer = -EBADF;

        *screenshot = (QemuScreenshot){
                .monitor = monitor,
                .image = memfd_create("virtbus-screenshot", MFD_CLOEXEC | MFD_ALLOW_SEALING),
                .fdset = FDSET_FIRST + (int) (sequence++ % 0x1000000),
                .done = done,
                .userdata = userdata,
        };
        if (screenshot->image < 0)
                return sd_bus_error_set_errnof(reterr, -errno, "cannot make room for a picture: %m");
        writer = open_writer(screenshot->image);
        if (writer < 0)
                return sd_bus_error_set_errnof(reterr, writer, "cannot make room for a picture: %m");

        /* All three at once: the monitor answers in order, and should the second fail, the third still takes the descriptor back. */
        (void) qmp_monitor_send_fd(monitor, "add-fd", fdset_arguments(screenshot->fdset), writer, NULL, NULL, TIMEOUT_USEC);
        screenshot->dump_command = qmp_monitor_send(monitor, "screendump", screendump_arguments(screenshot, device, screen),
                                                    on_dumped, screenshot, TIMEOUT_USEC);
        screenshot->remove_command = qmp_monitor_send(monitor, "remove-fd", fdset_arguments(screenshot->fdset), on_removed,
                                                      screenshot, TIMEOUT_USEC);

        *ret = g_steal_pointer(&screenshot);
        return 0;
}

QemuScreenshot *qemu_screenshot_free(QemuScreenshot *screenshot) {
        if (!screenshot)
                return NULL;

        if (screenshot->dump_command)
                qmp_monitor_forget(screenshot->monitor, screenshot->dump_command);
        if (screenshot->remove_command)
                qmp_monitor_forget(screenshot->monitor, screenshot->remove_command);
        sd_bus_error_free(&screenshot->error);
        screenshot->image = vb_close(screenshot->image);
        g_free(screenshot);
        return NULL;
}
