/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/live.h"

#include <stdio.h>

#include "base/error.h"
#include "qemu/sockets.h"

typedef struct Chardevs {
        VbChardev **items;
        size_t n;
} Chardevs;

#define N_CHARDEV_LISTS 4

static void chardev_lists(const VbDomainDefinition *live, Chardevs lists[static N_CHARDEV_LISTS]) {
        lists[0] = (Chardevs){ live->serials.items, live->serials.n };
        lists[1] = (Chardevs){ live->parallels.items, live->parallels.n };
        lists[2] = (Chardevs){ live->consoles.items, live->consoles.n };
        lists[3] = (Chardevs){ live->channels.items, live->channels.n };
}

/* --- before -------------------------------------------------------------------------------------------------------- */

static void forget_chardev(VbCharSource *source, const char *run_base) {
        if (source->path && source->type == VB_CHAR_UNIX && g_str_has_prefix(source->path, run_base)) {
                g_clear_pointer(&source->path, g_free);
                source->mode = VB_CHAR_MODE_ABSENT;
        } else if (source->type == VB_CHAR_PTY)
                g_clear_pointer(&source->path, g_free);
}

static void forget_display(VbGraphics *graphics, const char *run_base) {
        for (size_t i = 0; i < graphics->listens.n; i++)
                if (graphics->listens.items[i]->socket && g_str_has_prefix(graphics->listens.items[i]->socket, run_base))
                        g_clear_pointer(&graphics->listens.items[i]->socket, g_free);
        if (graphics->autoport == VB_TRISTATE_YES)
                graphics->port = graphics->type == VB_GRAPHICS_VNC ? -1 : 0;
}

/* The names that the kernel counts through are nobody's wish. */
static void forget_interface(VbInterface *interface) {
        if (interface->target && interface->target_managed != VB_TRISTATE_NO &&
            (g_str_has_prefix(interface->target, "vnet") || g_str_has_prefix(interface->target, "macvtap")))
                g_clear_pointer(&interface->target, g_free);
}

void qemu_live_forget(VbDomainDefinition *live, const char *run_base) {
        Chardevs lists[N_CHARDEV_LISTS];

        chardev_lists(live, lists);
        for (size_t i = 0; i < G_N_ELEMENTS(lists); i++)
                for (size_t j = 0; j < lists[i].n; j++)
                        forget_chardev(&lists[i].items[j]->source, run_base);
        for (size_t i = 0; i < live->graphics.n; i++)
                forget_display(live->graphics.items[i], run_base);
        for (size_t i = 0; i < live->interfaces.n; i++)
                forget_interface(live->interfaces.items[i]);
        for (size_t i = 0; i < live->disks.n; i++)
                live->disks.items[i]->tray = VB_DISK_TRAY_ABSENT;
}

VbChardev *qemu_live_find_chardev(VbDomainDefinition *live, const char *alias) {
        Chardevs lists[N_CHARDEV_LISTS];

        chardev_lists(live, lists);
        for (size_t i = 0; i < G_N_ELEMENTS(lists); i++)
                for (size_t j = 0; j < lists[i].n; j++)
                        if (lists[i].items[j]->target_type != VB_CHAR_TARGET_SERIAL && g_strcmp0(lists[i].items[j]->info.alias, alias) == 0)
                                return lists[i].items[j];
        return NULL;
}

static void log_console(VbChardev *device, const char *folder) {
        VbCharSource *source = &device->source;

        if (source->log_file || source->type == VB_CHAR_FILE || device->target_type == VB_CHAR_TARGET_SERIAL)
                return;
        source->log_file = g_strdup_printf("%s/%s.log", folder, device->info.alias);
        source->log_append = VB_TRISTATE_YES;
}

void qemu_live_log_consoles(VbDomainDefinition *live, const char *folder) {
        for (size_t i = 0; i < live->serials.n; i++)
                log_console(live->serials.items[i], folder);
        for (size_t i = 0; i < live->consoles.n; i++)
                log_console(live->consoles.items[i], folder);
}

static bool wants_port(const VbGraphics *graphics) {
        const VbListen *listen = graphics->listens.n > 0 ? graphics->listens.items[0] : NULL;

        if (graphics->type != VB_GRAPHICS_SPICE || graphics->port > 0 || graphics->autoport == VB_TRISTATE_NO)
                return false;
        return !listen || listen->type == VB_LISTEN_ABSENT || listen->type == VB_LISTEN_ADDRESS;
}

int qemu_live_choose_ports(VbDomainDefinition *live, sd_bus_error *reterr) {
        for (size_t i = 0; i < live->graphics.n; i++) {
                VbGraphics *graphics = live->graphics.items[i];
                const char *address = graphics->listens.n > 0 ? graphics->listens.items[0]->address : NULL;
                int port;

                if (!wants_port(graphics))
                        continue;
                port = qemu_sockets_find_port(address ?: "127.0.0.1");
                if (port < 0)
                        return sd_bus_error_setf(reterr, VB_ERROR_RESOURCE_BUSY,
                                                 "domain '%s': graphics of type 'spice': no free port at '%s': %s", live->name,
                                                 address ?: "127.0.0.1", g_strerror(-port));
                graphics->port = port;
                graphics->autoport = VB_TRISTATE_YES;
        }
        return 0;
}

/* --- after --------------------------------------------------------------------------------------------------------- */

static void describe_chardev(VbChardev *device, QemuResources *resources) {
        const QemuSocket *socket = device->info.alias ? qemu_resources_find_socket(resources, device->info.alias) : NULL;

        if (!socket || socket->kind != QEMU_SOCKET_LISTEN_UNIX || device->source.type != VB_CHAR_UNIX || device->source.path)
                return;
        device->source.path = g_strdup(socket->path);
        device->source.mode = VB_CHAR_MODE_BIND;
}

static void describe_display(VbGraphics *graphics, size_t index, QemuResources *resources) {
        const QemuSocket *socket;
        char id[32];

        (void) snprintf(id, sizeof(id), "vnc%zu", index);
        socket = graphics->type == VB_GRAPHICS_VNC ? qemu_resources_find_socket(resources, id) : NULL;
        if (!socket)
                return;
        if (socket->kind == QEMU_SOCKET_LISTEN_TCP) {
                if (graphics->port != socket->port)
                        graphics->autoport = VB_TRISTATE_YES;
                graphics->port = socket->port;
        } else if (graphics->listens.n > 0 && !graphics->listens.items[0]->socket)
                graphics->listens.items[0]->socket = g_strdup(socket->path);
}

void qemu_live_describe(VbDomainDefinition *live, QemuResources *resources) {
        Chardevs lists[N_CHARDEV_LISTS];

        chardev_lists(live, lists);
        for (size_t i = 0; i < G_N_ELEMENTS(lists); i++)
                for (size_t j = 0; j < lists[i].n; j++)
                        describe_chardev(lists[i].items[j], resources);
        for (size_t i = 0; i < live->graphics.n; i++)
                describe_display(live->graphics.items[i], i, resources);
}
