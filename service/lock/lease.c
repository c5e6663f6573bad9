/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lock/lease.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/file.h"
#include "lock/place.h"

enum {
        TRIES_MAX = 100, /* for a lease file that another is just removing */
};

VB_STRING_TABLE(lease_kind, LeaseKind, _LEASE_KIND_MAX, [LEASE_IMAGE] = "image", [LEASE_FILE] = "file", [LEASE_LVM] = "lvm",
                [LEASE_SCSI] = "scsi", [LEASE_LOCKSPACE] = "lease")

Lease *lease_new(const char *name, bool shared) {
        Lease *lease = g_new0(Lease, 1);

        lease->name = g_strdup(name);
        lease->shared = shared;
        lease->given = lease->fd = -EBADF;
        return lease;
}

Lease *lease_free(Lease *lease) {
        if (!lease)
                return NULL;
        vb_close(lease->given);
        vb_close(lease->fd);
        g_free(lease->name);
        g_free(lease->path);
        g_free(lease);
        return NULL;
}

char *lease_slot_name(const Lease *lease, char buffer[static LEASE_SLOT_NAME_SIZE]) {
        (void) snprintf(buffer, LEASE_SLOT_NAME_SIZE, "%x", lease->slot);
        return buffer;
}

/* The lock */

static int set_lock(int fd, short type) {
        struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1 };

        if (fcntl(fd, F_OFD_SETLK, &lock) >= 0)
                return 0;
        return errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
}

static short lock_type(const Lease *lease) {
        return lease->shared ? F_RDLCK : F_WRLCK;
}

/* Opening */

static int access_flags(const Lease *lease) {
        return (lease->shared ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
}

static bool may_be_locked(const Lease *lease, int fd) {
        int flags = fcntl(fd, F_GETFL), access = flags & O_ACCMODE;

        return flags >= 0 && !(flags & O_PATH) && (access == O_RDWR || access == (lease->shared ? O_RDONLY : O_WRONLY));
}

/* A description of our own of the file that fd is open on, whatever its path leads to by now. */
static int open_anew(const Lease *lease, int fd) {
        char path[64];
        int own;

        (void) snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        own = open(path, access_flags(lease));
        if (own >= 0)
                return own;
        /* A file server may let in its owner, and not root. */
        if ((errno == EACCES || errno == EPERM || errno == EROFS) && may_be_locked(lease, fd)) {
                own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
                return own < 0 ? -errno : own;
        }
        return -errno;
}

static int note_file(Lease *lease, int fd) {
        struct stat st;

        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
                return -EMEDIUMTYPE;
        lease->device = st.st_dev;
        lease->inode = st.st_ino;
        return 0;
}

static int take_image(Lease *lease) {
        vb_autofd fd = -EBADF;
        int r;

        /* Looked at before it is opened: opening a FIFO or a tape does something. */
        r = note_file(lease, lease->given);
        if (r < 0)
                return r;
        fd = open_anew(lease, lease->given);
        if (fd < 0)
                return fd;
        r = set_lock(fd, lock_type(lease));
        if (r < 0)
                return r;
        lease->fd = vb_steal_fd(&fd);
        return 0;
}

/* Whether the file is still at its path: who gives back the last lease on it removes it, while locked. */
static bool is_in_place(int fd, const char *path) {
        struct stat one, other;

        return fstat(fd, &one) >= 0 && stat(path, &other) >= 0 && one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

static int try_file(Lease *lease, bool create) {
        vb_autofd fd = -EBADF;
        int r;

        fd = open(lease->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | (create ? O_CREAT : 0), 0600);
        if (fd < 0)
                return -errno;
        r = note_file(lease, fd);
        if (r >= 0)
                r = set_lock(fd, lock_type(lease));
        if (r < 0)
                return r;
        if (!is_in_place(fd, lease->path))
                return -EAGAIN;
        lease->fd = vb_steal_fd(&fd);
        return 0;
}

static int take_file(Lease *lease, bool create) {
        int r = -EAGAIN;

        for (unsigned i = 0; r == -EAGAIN && i < TRIES_MAX; i++)
                r = try_file(lease, create);
        return r == -EAGAIN ? -EBUSY : r;
}

/* In a lockspace, a file that was there before is its administrator's, and stays. */
static int take_in_lockspace(Lease *lease) {
        int r;

        lease->kind = LEASE_LOCKSPACE;
        g_free(lease->path);
        lease->path = g_strdup(lease->name);
        r = take_file(lease, /* create= */ false);
        if (r != -ENOENT || !lease->may_create)
                return r;
        r = take_file(lease, /* create= */ true);
        lease->created = r >= 0;
        return r;
}

static int take_for_image(Lease *lease, const LeasePlaces *places) {
        int r;

        if (lease->given < 0 && (!places->file || places->lvm || places->scsi)) {
                lease->given = open(lease->name, O_PATH | O_CLOEXEC);
                if (lease->given < 0)
                        return -errno;
        }
        r = lease->given >= 0 ? note_file(lease, lease->given) : 0;
        if (r >= 0)
                r = lock_place_find(lease, lease->given, places);
        if (r < 0)
                return r;
        if (lease->kind == LEASE_IMAGE)
                return take_image(lease);
        lease->created = true;
        return take_file(lease, /* create= */ true);
}

int lease_take(Lease *lease, const LeasePlaces *places) {
        int r;

        r = lease->in_lockspace ? take_in_lockspace(lease) : take_for_image(lease, places);
        lease->given = vb_close(lease->given);
        return r;
}

int lease_lock(Lease *lease) {
        int r;

        r = set_lock(lease->fd, lock_type(lease));
        /* Who had it meanwhile may have removed the file. */
        if (r >= 0 && lease->created && !is_in_place(lease->fd, lease->path)) {
                vb_autofd old = vb_steal_fd(&lease->fd);

                r = take_file(lease, /* create= */ true);
                if (r < 0) {
                        lease->fd = vb_steal_fd(&old);
                        (void) set_lock(lease->fd, F_UNLCK);
                }
        }
        if (r >= 0)
                lease->suspended = false;
        return r;
}

int lease_unlock(Lease *lease) {
        int r;

        r = set_lock(lease->fd, F_UNLCK);
        if (r >= 0)
                lease->suspended = true;
        return r;
}

void lease_give_back(Lease *lease) {
        /* Removed only by who has it alone. */
        if (lease->created && set_lock(lease->fd, F_WRLCK) >= 0 && is_in_place(lease->fd, lease->path))
                (void) unlink(lease->path);
        /* Said, not left to close: the description may be open elsewhere. */
        (void) set_lock(lease->fd, F_UNLCK);
        lease->suspended = true;
        lease->fd = vb_close(lease->fd);
}

static int open_same(Lease *lease) {
        bool is_image = lease->kind == LEASE_IMAGE;
        vb_autofd pin = -EBADF;
        struct stat st;

        pin = open(lease->path, O_PATH | O_CLOEXEC | (is_image ? 0 : O_NOFOLLOW));
        if (pin < 0)
                return -errno;
        if (fstat(pin, &st) < 0)
                return -errno;
        if (st.st_dev != lease->device || st.st_ino != lease->inode)
                return -ESTALE;
        return open_anew(lease, pin);
}

int lease_retake(Lease *lease) {
        vb_autofd fd = -EBADF;
        int r = 0;

        fd = lease->fd >= 0 ? vb_steal_fd(&lease->fd) : open_same(lease);
        if (fd < 0)
                return fd;
        if (!lease->suspended)
                r = set_lock(fd, lock_type(lease));
        if (r < 0)
                return r;
        lease->fd = vb_steal_fd(&fd);
        return 0;
}
