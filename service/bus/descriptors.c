/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/descriptors.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

#include "base/file.h"
#include "base/log.h"

typedef struct Descriptor Descriptor;
struct Descriptor {
        int fd; /* -EBADF: taken */
        char *name; /* NULL: the manager does not have it */
        dev_t device;
        ino_t inode;
        Descriptor *next_of_file, *next_of_name;
};

struct VbDescriptors {
        VbStore *store;
        GPtrArray *all;
        GHashTable *by_file; /* Descriptor → Descriptor, the first of a list */
        GHashTable *by_name;
};

static void descriptor_free(void *data) {
        Descriptor *descriptor = data;

        vb_close(descriptor->fd);
        g_free(descriptor->name);
        g_free(descriptor);
}

static unsigned hash_file(const void *data) {
        const Descriptor *descriptor = data;

        return (unsigned) (descriptor->inode * 31 + descriptor->device);
}

static int same_file(const void *a, const void *b) {
        const Descriptor *one = a, *other = b;

        return one->inode == other->inode && one->device == other->device;
}

static void add(VbDescriptors *descriptors, int fd, const char *name) {
        Descriptor *new = g_new0(Descriptor, 1);
        struct stat st;

        new->fd = fd;
        new->name = g_strdup(name);
        g_ptr_array_add(descriptors->all, new);
        if (name) {
                new->next_of_name = g_hash_table_lookup(descriptors->by_name, name);
                (void) g_hash_table_insert(descriptors->by_name, new->name, new);
        }
        if (fstat(fd, &st) < 0)
                return;
        new->device = st.st_dev;
        new->inode = st.st_ino;
        new->next_of_file = g_hash_table_lookup(descriptors->by_file, new);
        (void) g_hash_table_replace(descriptors->by_file, new, new);
}

static void add_given(VbDescriptors *descriptors) {
        char **names = NULL;
        int n;

        n = sd_listen_fds_with_names(/* unset_environment= */ true, &names);
        if (n < 0)
                (void) vb_log_warning_errno(n, "LISTEN_FDS makes no sense, so the descriptors that were passed are not used: %m");
        for (int i = 0; i < n; i++) {
                int fd = SD_LISTEN_FDS_START + i;

                if (!vb_store_take_given(descriptors->store, names[i], fd))
                        add(descriptors, fd, names[i]);
                free(names[i]);
        }
        free(names);
}

static void add_stored(const char *name, int fd, void *userdata) {
        add(userdata, fd, name);
}

/* All that this program opens itself is close-on-exec; what is not, came over exec. */
static int add_inherited(VbDescriptors *descriptors) {
        DIR *directory = opendir("/proc/self/fd");
        int r = 0;

        if (!directory)
                return -errno;
        for (struct dirent *entry; r >= 0 && (entry = readdir(directory));) {
                int fd = atoi(entry->d_name), flags;

                if (fd <= STDERR_FILENO)
                        continue;
                flags = fcntl(fd, F_GETFD);
                if (flags < 0 || (flags & FD_CLOEXEC))
                        continue;
                r = vb_fd_set_cloexec(fd, true);
                add(descriptors, fd, /* name= */ NULL);
        }
        (void) closedir(directory);
        return r;
}

int vb_descriptors_new(VbDescriptors **ret, VbStore *store, bool inherited) {
        g_autoptr(VbDescriptors) descriptors = g_new0(VbDescriptors, 1);
        int r;

        descriptors->store = store;
        descriptors->all = g_ptr_array_new_with_free_func(descriptor_free);
        descriptors->by_file = g_hash_table_new(hash_file, same_file);
        descriptors->by_name = g_hash_table_new(g_str_hash, g_str_equal);
        if (inherited) {
                r = vb_store_take_inherited(store);
                if (r >= 0)
                        r = add_inherited(descriptors);
        } else {
                add_given(descriptors);
                r = vb_store_open_all(store, add_stored, descriptors);
        }
        if (r < 0)
                return r;
        *ret = g_steal_pointer(&descriptors);
        return 0;
}

VbDescriptors *vb_descriptors_free(VbDescriptors *descriptors) {
        if (!descriptors)
                return NULL;
        g_hash_table_unref(descriptors->by_file);
        g_hash_table_unref(descriptors->by_name);
        g_ptr_array_unref(descriptors->all);
        g_free(descriptors);
        return NULL;
}

static int take(VbDescriptors *descriptors, Descriptor *descriptor) {
        if (descriptor->name)
                vb_store_claim(descriptors->store, descriptor->name);
        return vb_steal_fd(&descriptor->fd);
}

int vb_descriptors_take_name(VbDescriptors *descriptors, const char *name) {
        for (Descriptor *d = g_hash_table_lookup(descriptors->by_name, name); d; d = d->next_of_name)
                if (d->fd >= 0)
                        return take(descriptors, d);
        return -ENOENT;
}

int vb_descriptors_take_file(VbDescriptors *descriptors, dev_t device, ino_t inode) {
        const Descriptor wanted = { .device = device, .inode = inode };

        for (Descriptor *d = g_hash_table_lookup(descriptors->by_file, &wanted); d; d = d->next_of_file)
                if (d->fd >= 0)
                        return take(descriptors, d);
        return -ENOENT;
}

unsigned vb_descriptors_count(const VbDescriptors *descriptors) {
        unsigned n = 0;

        for (guint i = 0; i < descriptors->all->len; i++)
                n += ((const Descriptor *) descriptors->all->pdata[i])->fd >= 0;
        return n;
}
