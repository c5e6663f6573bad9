/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What does not vanish with its guest: macvtaps, and how they are found again.
 *
 * A guest's live definition names them, and they are removed at its end. Only the daemon that ends between making one and writing that down
 * leaves one of which nothing says so but the interface itself: it is born into a group that is this host's alone, and leaves it when it
 * has got an alias with the guest's UUID. The next daemon removes what it finds in the group, and what has the alias of a guest that does not run.
 * The host is in both, as containers may share a network. */

#include "qemu/plug.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <systemd/sd-id128.h>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/netlink.h"
#include "qemu/plug-private.h"

#define SMALL_FILE_MAX 4096u
#define ALIAS_FORMAT "virtbus qemu %s on " SD_ID128_FORMAT_STR
#define APPLICATION SD_ID128_MAKE(5d, 0b, 9d, 0e, 0a, 3c, 4e, 0b, 8f, 51, 7a, 6e, 3c, 21, 94, d7)

/* All zeros if the host has no identity; then nothing can be told to be its own, and nothing is swept away. */
static sd_id128_t host_id(void) {
        sd_id128_t id;

        return sd_id128_get_machine_app_specific(APPLICATION, &id) < 0 ? SD_ID128_NULL : id;
}

uint32_t qemu_macvtap_group(void) {
        sd_id128_t id = host_id();
        uint32_t group;

        memcpy(&group, id.bytes, sizeof(group));
        return group & INT32_MAX;
}

static char *alias_of(const VbUuid *uuid) {
        char text[VB_UUID_STRING_SIZE];
        sd_id128_t host = host_id();

        return g_strdup_printf(ALIAS_FORMAT, vb_uuid_format(uuid, text), SD_ID128_FORMAT_VAL(host));
}

int qemu_macvtap_mark(int netlink, int ifindex, const VbUuid *uuid) {
        g_autofree char *alias = alias_of(uuid);
        const uint32_t none = 0;

        return vb_netlink_change(netlink, &(VbLinkChange){ .ifindex = ifindex, .alias = alias, .group = &none });
}

int qemu_macvtap_device(const char *name, int ifindex, dev_t *ret) {
        g_autofree char *path = g_strdup_printf("/sys/class/net/%s/tap%d/dev", name, ifindex), *text = NULL;
        unsigned major_number, minor_number;
        int r;

        if (strchr(name, '/'))
                return -EINVAL;
        r = vb_file_read(AT_FDCWD, path, SMALL_FILE_MAX, &text, NULL);
        if (r < 0)
                return r;
        if (sscanf(text, "%u:%u", &major_number, &minor_number) != 2)
                return -EBADMSG;
        *ret = makedev(major_number, minor_number);
        return 0;
}

void qemu_macvtap_remove(int netlink, int ifindex, const char *name) {
        int r = vb_netlink_remove(netlink, ifindex);

        if (r < 0)
                vb_log_warning("cannot remove network interface '%s': %s", name, g_strerror(-r));
}

/* --- at a guest's end: those that it names ------------------------------------------------------------------------------ */

/* Found by name and address when a guest has ended, be it one that an earlier daemon started. */
typedef struct Left {
        char name[IF_NAMESIZE];
        VbMac mac;
} Left;

static bool has_mac(const char *name, const VbMac *mac) {
        g_autofree char *path = g_strdup_printf("/sys/class/net/%s/address", name), *text = NULL;
        char wanted[VB_MAC_STRING_MAX];

        if (vb_file_read(AT_FDCWD, path, SMALL_FILE_MAX, &text, NULL) < 0)
                return false;
        return g_ascii_strcasecmp(g_strchomp(text), vb_mac_format(mac, wanted)) == 0;
}

static int remove_left(void *data, sd_bus_error *reterr) {
        const GArray *lefts = data;
        vb_autofd netlink = vb_netlink_open();

        for (unsigned i = 0; netlink >= 0 && i < lefts->len; i++) {
                const Left *left = &g_array_index(lefts, Left, i);
                int ifindex = (int) if_nametoindex(left->name);
                dev_t device;

                if (ifindex > 0 && qemu_macvtap_device(left->name, ifindex, &device) >= 0 && has_mac(left->name, &left->mac))
                        qemu_macvtap_remove(netlink, ifindex, left->name);
        }
        return netlink < 0 ? sd_bus_error_setf(reterr, VB_ERROR_OPERATION_FAILED, "cannot ask the kernel about networks: %s",
                                               g_strerror(-netlink))
                           : 0;
}

static void free_lefts(void *data) {
        g_array_unref(data);
}

static GArray *find_lefts(const VbDomainDefinition *live) {
        GArray *lefts = g_array_new(FALSE, FALSE, sizeof(Left));

        for (size_t i = 0; i < live->interfaces.n; i++) {
                const VbInterface *interface = live->interfaces.items[i];
                Left left = { .mac = interface->mac };

                if (interface->type != VB_INTERFACE_DIRECT || !interface->target)
                        continue;
                (void) g_strlcpy(left.name, interface->target, sizeof(left.name));
                g_array_append_val(lefts, left);
        }
        return lefts;
}

int qemu_plugs_disconnect_now(const VbDomainDefinition *live, sd_bus_error *reterr) {
        g_autoptr(GArray) lefts = find_lefts(live);

        return lefts->len == 0 ? 0 : remove_left(lefts, reterr);
}

int qemu_plugs_disconnect(VbWorker **ret, sd_event *event, const VbDomainDefinition *live, VbWorkDone done, void *userdata,
                          sd_bus_error *reterr) {
        g_autoptr(GArray) lefts = find_lefts(live);
        int r;

        if (lefts->len == 0)
                return 0;
        r = vb_worker_start(ret, event, remove_left, lefts, free_lefts, done, userdata, /* reterr= */ NULL);
        if (r < 0)
                return remove_left(lefts, reterr); /* too many threads: then here, as nobody comes back to it */
        (void) g_steal_pointer(&lefts);
        return 1;
}

/* --- at the daemon's start: those that no guest has --------------------------------------------------------------------- */

static char *read_fact(const char *name, const char *file) {
        g_autofree char *path = g_strdup_printf("/sys/class/net/%s/%s", name, file);
        char *text = NULL;

        if (vb_file_read(AT_FDCWD, path, SMALL_FILE_MAX, &text, NULL) < 0)
                return NULL;
        return g_strchomp(text);
}

/* Whose it is, by its alias. */
static bool read_owner(const char *name, VbUuid *ret) {
        g_autofree char *alias = read_fact(name, "ifalias"), *expected = NULL;
        g_auto(GStrv) words = alias ? g_strsplit(alias, " ", -1) : NULL;

        if (!words || g_strv_length(words) != 5 || vb_uuid_parse(words[2], ret) < 0)
                return false;
        expected = alias_of(ret);
        return g_str_equal(alias, expected);
}

static bool was_being_made(const char *name) {
        g_autofree char *group = read_fact(name, "netdev_group"), *own = g_strdup_printf("%u", qemu_macvtap_group());

        return g_strcmp0(group, own) == 0;
}

void qemu_plugs_sweep(QemuPlugsHas has_guest, void *userdata) {
        vb_autofd netlink = -EBADF;
        struct dirent *entry;
        DIR *dir;

        if (qemu_macvtap_group() == 0)
                return;
        dir = opendir("/sys/class/net");
        while (dir && (entry = readdir(dir))) {
                const char *name = entry->d_name;
                int ifindex = (int) if_nametoindex(name);
                dev_t device;
                VbUuid uuid;

                if (ifindex <= 0 || qemu_macvtap_device(name, ifindex, &device) < 0)
                        continue;
                if (!was_being_made(name) && (!read_owner(name, &uuid) || has_guest(&uuid, userdata)))
                        continue;
                vb_log_notice("network interface '%s' was left by a guest, and is removed", name);
                if (netlink < 0)
                        netlink = vb_netlink_open();
                if (netlink >= 0)
                        qemu_macvtap_remove(netlink, ifindex, name);
        }
        if (dir)
                closedir(dir);
}
