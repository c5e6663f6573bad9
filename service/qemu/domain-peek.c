/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Domain1: pieces of a guest's memory and of its disks' images. */

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "hypervisor/call-work.h"
#include "hypervisor/disk-tuning.h"
#include "qemu/ask.h"
#include "qemu/domain.h"
#include "qemu/handlers.h"
#include "qemu/image-open.h"
#include "qemu/json.h"

#define TIMEOUT_USEC (UINT64_C(10) * 1000000)

/* Sets that stay with a disk are small numbers, those of pictures begin at 0x40000000. */
#define FDSET_FIRST 0x50000000

static int reply_bytes(VbCall *call, const void *bytes, size_t n) {
        g_autoptr(sd_bus_message) reply = NULL;
        int r;

        r = vb_call_new_reply(call, &reply);
        if (r >= 0)
                r = sd_bus_message_append_array(reply, 'y', bytes, n);
        return r < 0 ? vb_call_fail(call, r, NULL) : vb_call_send_reply(call, reply);
}

/* --- a disk's image: opened as the owner, read in a thread, as it may lie on a dead network mount ---------------------- */

typedef struct DiskPiece {
        VbCall *call;
        VbHypervisor *hypervisor;
        char *disk;
        int fd;
        uint64_t offset;
        size_t length;
        char *bytes;
} DiskPiece;

static void disk_piece_free(gpointer data) {
        DiskPiece *piece = data;

        (void) vb_call_unref(piece->call);
        piece->fd = vb_close(piece->fd);
        g_free(piece->disk);
        g_free(piece->bytes);
        g_free(piece);
}

static int read_disk(void *data, sd_bus_error *reterr) {
        DiskPiece *piece = data;
        int r;

        piece->bytes = g_malloc(piece->length);
        r = vb_read_at(piece->fd, piece->bytes, piece->length, piece->offset);
        if (r == -ENODATA)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "disk '%s': the image ends before", piece->disk);
        if (r < 0)
                return sd_bus_error_setf(reterr, VB_ERROR_STORAGE_FAILED, "disk '%s': cannot be read: %s", piece->disk, g_strerror(-r));
        return 0;
}

static int reply_disk(VbCall *call, void *data, sd_bus_error *reterr) {
        const DiskPiece *piece = data;

        return reply_bytes(call, piece->bytes, piece->length);
}

static void on_image(int r, VbOpenImage *image, const sd_bus_error *error, void *userdata) {
        g_auto(sd_bus_error) own = SD_BUS_ERROR_NULL;
        DiskPiece *piece = userdata;
        g_autoptr(VbCall) call = vb_call_ref(piece->call);

        if (r >= 0) {
                piece->fd = vb_steal_fd(&image->fd);
                error = &own;
                /* The thread must not hold the last reference of a call. */
                piece->call = vb_call_unref(piece->call);
                r = vb_call_work_start(call, piece->hypervisor, read_disk, piece, disk_piece_free, reply_disk, &own);
        } else
                disk_piece_free(piece);
        if (r < 0)
                (void) vb_call_fail(call, r, error);
}

int qemu_on_read_disk(VbCall *call, VbObject *object, const VbDomain1ReadDiskArgs *args, sd_bus_error *reterr) {
        VbDomain *domain = vb_domain_of(object);
        const VbDomainDefinition *definition = vb_domain_definition(domain);
        DiskPiece *piece;
        int index, r;

        index = vb_disk_find(definition, args->disk, reterr);
        if (index < 0)
                return index;
        if (args->length == 0)
                return sd_bus_error_set(reterr, VB_ERROR_INVALID_ARGUMENT, "length: 0 bytes are none");
        if (args->offset > INT64_MAX - (uint64_t) args->length)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "disk '%s': the image ends before", args->disk);
        piece = g_new(DiskPiece, 1);
        *piece = (DiskPiece){
                .call = vb_call_ref(call),
                .hypervisor = domain->hypervisor,
                .disk = g_strdup(args->disk),
                .fd = -EBADF,
                .offset = args->offset,
                .length = args->length,
        };
        r = qemu_image_open(qemu_driver_of(domain->hypervisor), domain->owner, definition->disks.items[index], on_image, piece,
                            reterr);
        if (r < 0)
                disk_piece_free(piece);
        return r;
}

/* --- memory: written by the emulator to a file in memory ------------------------------------------------------------- */

typedef struct MemoryPiece {
        VbCall *call;
        QmpMonitor *monitor;
        int file;
        int fdset;
        const char *command;
        uint64_t address;
        size_t length;
        int r;
        sd_bus_error error;
} MemoryPiece;

static void memory_piece_free(MemoryPiece *piece) {
        (void) vb_call_unref(piece->call);
        piece->file = vb_close(piece->file);
        sd_bus_error_free(&piece->error);
        g_free(piece);
}

static VbJson *fdset_arguments(const MemoryPiece *piece) {
        VbJson *arguments = json_object_new_object();

        (void) json_object_object_add(arguments, "fdset-id", json_object_new_int(piece->fdset));
        return arguments;
}

static void keep_error(MemoryPiece *piece, const QmpReply *reply) {
        piece->r = reply->r;
        if (reply->r < 0)
                (void) sd_bus_error_copy(&piece->error, &reply->error);
}

/* The descriptor has been taken back; now nobody writes any more. */
static void on_removed(QmpMonitor *monitor, const QmpReply *reply, void *userdata) {
        MemoryPiece *piece = userdata;
        g_autofree char *bytes = g_malloc(piece->length);

        if (piece->r >= 0 && vb_read_at(piece->file, bytes, piece->length, 0) < 0)
                piece->r = sd_bus_error_set(&piece->error, VB_ERROR_MONITOR_FAILED, "the emulator wrote less than was asked for");
        if (piece->r < 0)
                (void) vb_call_fail(piece->call, piece->r, &piece->error);
        else
                (void) reply_bytes(piece->call, bytes, piece->length);
        memory_piece_free(piece);
}

static void on_written(QmpMonitor *monitor, const QmpReply *reply, void *userdata) {
        keep_error(userdata, reply);
}

/* The commands for memory open a path by themselves, and know nothing of sets: so it is the name of the descriptor in the emulator's own /proc
 * that they get. */
static void on_added(QmpMonitor *monitor, const QmpReply *reply, void *userdata) {
        MemoryPiece *piece = userdata;
        int64_t fd = qemu_json_number(reply->result, "fd", -1);
        g_autofree char *path = g_strdup_printf("/proc/self/fd/%" G_GINT64_FORMAT, fd);
        VbJson *arguments;

        if (reply->r < 0 || fd < 0) {
                keep_error(piece, reply);
                (void) vb_call_fail(piece->call, piece->r < 0 ? piece->r : -EPROTO, &piece->error);
                memory_piece_free(piece);
                return;
        }
        arguments = qmp_arguments("filename", path, NULL);
        /* To the emulator it is a signed number, of which it takes the bits. */
        (void) json_object_object_add(arguments, "val", json_object_new_int64((int64_t) piece->address));
        (void) json_object_object_add(arguments, "size", json_object_new_uint64(piece->length));
        /* Answered in this order, and the second also if the first fails. */
        (void) qmp_monitor_send(monitor, piece->command, arguments, on_written, piece, TIMEOUT_USEC);
        (void) qmp_monitor_send(monitor, "remove-fd", fdset_arguments(piece), on_removed, piece, TIMEOUT_USEC);
}

static int make_file(MemoryPiece *piece, sd_bus_error *reterr) {
        char path[sizeof("/proc/self/fd/") + 16];
        int writer;

        piece->file = memfd_create("virtbus-memory", MFD_CLOEXEC);
        if (piece->file < 0)
                return sd_bus_error_set_errnof(reterr, -errno, "cannot make room for memory: %m");
        (void) snprintf(path, sizeof(path), "/proc/self/fd/%d", piece->file);
        writer = open(path, O_WRONLY | O_CLOEXEC);
        if (writer < 0)
                return sd_bus_error_set_errnof(reterr, -errno, "cannot make room for memory: %m");
        return writer;
}

int qemu_on_read_memory(VbCall *call, VbObject *object, const VbDomain1ReadMemoryArgs *args, sd_bus_error *reterr) {
        static unsigned sequence;
        VbDomain *domain = vb_domain_of(object);
        vb_autofd writer = -EBADF;
        QmpMonitor *monitor = NULL;
        MemoryPiece *piece;
        int r;

        r = qemu_ask_find_monitor(domain, &monitor, reterr);
        if (r < 0)
                return r;
        if (args->length == 0 || args->address > UINT64_MAX - args->length)
                return sd_bus_error_set(reterr, VB_ERROR_INVALID_ARGUMENT, "there are no such addresses, or none were asked for");

        piece = g_new(MemoryPiece, 1);
        *piece = (MemoryPiece){
                .call = vb_call_ref(call),
                .monitor = monitor,
                .file = -EBADF,
                .fdset = FDSET_FIRST + (int) (sequence++ % 0x1000000),
                .command = args->options.space == VB_DOMAIN1_READ_MEMORY_SPACE_PHYSICAL ? "pmemsave" : "memsave",
                .address = args->address,
                .length = args->length,
        };
        writer = make_file(piece, reterr);
        if (writer < 0) {
                r = writer;
                memory_piece_free(piece);
                return r;
        }
        (void) qmp_monitor_send_fd(monitor, "add-fd", fdset_arguments(piece), writer, on_added, piece, TIMEOUT_USEC);
        return 0;
}
