/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lock/place.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <systemd/sd-device.h>

#include "base/file.h"

enum {
        LVM_UUID_SIZE = 32, /* without hyphens */
        DM_UUID_MAX = 129,
};

/* A file's name must not be a way out of its folder. */
static bool is_file_name(const char *name) {
        return name && *name && strlen(name) <= 255 && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

char *lock_place_lvm_uuid(const char *dm_uuid) {
        static const uint8_t groups[] = { 6, 4, 4, 4, 4, 4, 6 };
        const char *uuid = dm_uuid + strlen("LVM-") + LVM_UUID_SIZE;
        GString *text;

        /* Parts of volumes (mirrors, pools) have a suffix; those are no images. */
        if (!g_str_has_prefix(dm_uuid, "LVM-") || strlen(dm_uuid) != strlen("LVM-") + 2 * LVM_UUID_SIZE)
                return NULL;
        for (const char *c = uuid; *c; c++)
                if (!g_ascii_isalnum(*c))
                        return NULL;
        text = g_string_new(NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(groups); i++) {
                if (i > 0)
                        (void) g_string_append_c(text, '-');
                (void) g_string_append_len(text, uuid, groups[i]);
                uuid += groups[i];
        }
        return g_string_free(text, false);
}

/* From sysfs: it needs no program of LVM's, and no lock of its. */
static char *lvm_key(dev_t device) {
        g_autofree char *path = g_strdup_printf("/sys/dev/block/%u:%u/dm/uuid", major(device), minor(device));
        g_autofree char *text = NULL;
        int r;

        r = vb_file_read(AT_FDCWD, path, DM_UUID_MAX, &text, /* ret_size= */ NULL);
        return r < 0 ? NULL : lock_place_lvm_uuid(g_strchomp(text));
}

/* What udev has asked the disk. */
static char *scsi_key(dev_t device) {
        sd_device *disk = NULL;
        const char *bus, *serial;
        char *key = NULL;

        if (sd_device_new_from_devnum(&disk, 'b', device) >= 0 && sd_device_get_property_value(disk, "ID_BUS", &bus) >= 0 &&
            strcmp(bus, "scsi") == 0 && sd_device_get_property_value(disk, "ID_SERIAL", &serial) >= 0)
                key = g_strdup(serial);
        sd_device_unref(disk);
        return key;
}

static bool look_in(Lease *lease, const char *folder, LeaseKind kind, char *(*key_of)(dev_t device), dev_t device) {
        g_autofree char *key = folder ? key_of(device) : NULL;

        if (!is_file_name(key))
                return false;
        lease->kind = kind;
        lease->path = g_build_filename(folder, key, NULL);
        return true;
}

int lock_place_find(Lease *lease, int image, const LeasePlaces *places) {
        struct stat st;

        g_clear_pointer(&lease->path, g_free);
        if (image >= 0 && (places->lvm || places->scsi)) {
                if (fstat(image, &st) < 0)
                        return -errno;
                if (S_ISBLK(st.st_mode) && (look_in(lease, places->lvm, LEASE_LVM, lvm_key, st.st_rdev) ||
                                            look_in(lease, places->scsi, LEASE_SCSI, scsi_key, st.st_rdev)))
                        return 0;
        }
        if (places->file) {
                g_autofree char *key = g_compute_checksum_for_string(G_CHECKSUM_SHA256, lease->name, -1);

                lease->kind = LEASE_FILE;
                lease->path = g_build_filename(places->file, key, NULL);
                return 0;
        }
        lease->kind = LEASE_IMAGE;
        lease->path = g_strdup(lease->name);
        return 0;
}
