/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/resources.h"

#include <string.h>
#include <sys/un.h>

#include "base/error.h"
#include "qemu/command-device.h"

/* The lists grow by doubling through glib; the struct shows them as plain arrays when they are complete. */
typedef struct Collector {
        QemuContext context;
        const char *run_directory, *log_directory;
        GArray *files, *sockets, *taps, *logs;
} Collector;

/* --- Files --- */

/* Takes over id; path is borrowed of the definition, and copied. */
static void add_file(Collector *collector, char *id, const char *path, VbOpenAccess access, VbOpenKind kind) {
        VbOpenFile file = { .id = id, .path = g_strdup(path), .access = access, .kind = kind };

        g_array_append_val(collector->files, file);
}

static VbOpenFile *last_file(Collector *collector) {
        return &g_array_index(collector->files, VbOpenFile, collector->files->len - 1);
}

bool qemu_disk_is_writable(const VbDisk *disk) {
        return !disk->readonly && disk->device != VB_DISK_DEVICE_CDROM;
}

char *qemu_disk_file_id(const VbDisk *disk, size_t level) {
        return level == 0 ? g_strdup_printf("disk %s", disk->target) :
                            g_strdup_printf("disk %s backing %zu", disk->target, level);
}

static VbImageFormat image_format(VbDiskFormat format) {
        return format == VB_DISK_FORMAT_QCOW2 ? VB_IMAGE_QCOW2 : VB_IMAGE_RAW;
}

/* Where the definition says what an image is backed by, it is asked for by name; where it says nothing, the image's header
 * is followed; and an empty <backingStore/> ends the chain. */
static void add_disk(Collector *collector, const VbDisk *disk) {
        const VbBackingStore *backing = disk->backing;
        VbDiskFormat format = disk->format;

        if (!disk->path)
                return;

        add_file(collector, qemu_disk_file_id(disk, 0), disk->path,
                 qemu_disk_is_writable(disk) ? VB_OPEN_WRITE : VB_OPEN_READ, VB_OPEN_IMAGE);
        /* A device of the host is called one: the definition that names it needs a right of its own. */
        if (disk->type == VB_DISK_TYPE_FILE)
                last_file(collector)->kind = VB_OPEN_REGULAR;
        last_file(collector)->format = image_format(format);
        last_file(collector)->follow_chain = !backing && format == VB_DISK_FORMAT_QCOW2;
        last_file(collector)->optional = disk->startup_policy == VB_STARTUP_POLICY_OPTIONAL;

        for (size_t level = 1; backing && backing->type != VB_DISK_TYPE_ABSENT && backing->path; level++) {
                add_file(collector, qemu_disk_file_id(disk, level), backing->path, VB_OPEN_READ, VB_OPEN_IMAGE);
                if (backing->type == VB_DISK_TYPE_FILE)
                        last_file(collector)->kind = VB_OPEN_REGULAR;
                last_file(collector)->format = image_format(backing->format);
                last_file(collector)->follow_chain = !backing->backing && backing->format == VB_DISK_FORMAT_QCOW2;
                backing = backing->backing;
        }
}

static void add_boot_files(Collector *collector) {
        const VbOs *os = &collector->context.definition->os;
        const struct {
                const char *id, *path;
                VbOpenAccess access;
        } files[] = {
                { "loader", os->loader, os->loader_readonly == VB_TRISTATE_NO ? VB_OPEN_WRITE : VB_OPEN_READ },
                { "nvram", os->nvram, VB_OPEN_CREATE },
                { "nvram template", os->nvram ? os->nvram_template : NULL, VB_OPEN_READ },
                { "kernel", os->kernel, VB_OPEN_READ },
                { "initrd", os->initrd, VB_OPEN_READ },
                { "dtb", os->dtb, VB_OPEN_READ },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(files); i++)
                if (files[i].path)
                        add_file(collector, g_strdup(files[i].id), files[i].path, files[i].access, VB_OPEN_REGULAR);
}

/* --- Character devices --- */

static void add_socket(Collector *collector, QemuSocketKind kind, char *id) {
        QemuSocket socket = { .id = id, .kind = kind, .fd = -EBADF, .peer_fd = -EBADF };

        if (kind == QEMU_SOCKET_LISTEN_UNIX)
                socket.path = g_strdup_printf("%s/%s.sock", collector->run_directory, id);
        g_array_append_val(collector->sockets, socket);
}

static QemuSocket *last_socket(Collector *collector) {
        return &g_array_index(collector->sockets, QemuSocket, collector->sockets->len - 1);
}

/* Takes over id. */
static void add_output(Collector *collector, const char *alias, char *id, const char *path, QemuLogPipe how, VbOpenKind kind) {
        const char *directory = collector->log_directory;

        if (!directory || !g_str_has_prefix(path, directory) || path[strlen(directory)] != '/') {
                add_file(collector, id, path, VB_OPEN_APPEND, kind);
                return;
        }
        how.id = id;
        how.alias = g_strdup(alias);
        how.path = g_strdup(path);
        how.fd = -EBADF;
        g_array_append_val(collector->logs, how);
}

static void add_chardev(Collector *collector, const char *alias, const VbCharSource *source) {
        if (source->log_file)
                add_output(collector, alias, g_strdup_printf("%s log", alias), source->log_file,
                           (QemuLogPipe){ .append = source->log_append == VB_TRISTATE_YES }, VB_OPEN_REGULAR);

        switch (source->type) {
        case VB_CHAR_FILE:
                add_output(collector, alias, g_strdup(alias), source->path,
                           (QemuLogPipe){ .is_device = true, .append = source->append == VB_TRISTATE_YES },
                           VB_OPEN_REGULAR | VB_OPEN_CHARACTER);
                break;
        case VB_CHAR_DEV:
                add_file(collector, g_strdup(alias), source->path, VB_OPEN_WRITE, VB_OPEN_CHARACTER);
                break;
        case VB_CHAR_UNIX:
                if (!source->path)
                        add_socket(collector, QEMU_SOCKET_LISTEN_UNIX, g_strdup(alias));
                break;
        default:
                break;
        }
}

static void add_chardevs(Collector *collector) {
        const VbDomainDefinition *definition = collector->context.definition;
        const struct {
                VbChardev **items;
                size_t n;
        } lists[] = {
                { definition->serials.items, definition->serials.n },
                { definition->parallels.items, definition->parallels.n },
                { definition->consoles.items, definition->consoles.n },
                { definition->channels.items, definition->channels.n },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(lists); i++)
                for (size_t j = 0; j < lists[i].n; j++)
                        /* The first console is the first serial port once more. */
                        if (lists[i].items[j]->target_type != VB_CHAR_TARGET_SERIAL)
                                add_chardev(collector, lists[i].items[j]->info.alias, &lists[i].items[j]->source);
        for (size_t i = 0; i < definition->redirdevs.n; i++)
                add_chardev(collector, definition->redirdevs.items[i]->info.alias,
                            &definition->redirdevs.items[i]->source);
}

/* --- Displays --- */

#define VNC_PORT_MIN 5900

static int add_vnc_address(Collector *collector, const VbGraphics *graphics, const VbListen *listen, char *id,
                           sd_bus_error *reterr) {
        bool any = graphics->port == -1 || (graphics->port == 0 && graphics->autoport != VB_TRISTATE_NO);

        if (!any && (graphics->port < VNC_PORT_MIN || graphics->port > UINT16_MAX)) {
                g_free(id);
                return qemu_unsupported(&collector->context, reterr, "vnc port %" PRIi32 " is not between %d and %d",
                                        graphics->port, VNC_PORT_MIN, UINT16_MAX);
        }

        add_socket(collector, QEMU_SOCKET_LISTEN_TCP, id);
        last_socket(collector)->host = g_strdup(listen && listen->address ? listen->address : "127.0.0.1");
        last_socket(collector)->port = any ? 0 : (uint16_t) graphics->port;
        return 0;
}

static int add_vnc(Collector *collector, const VbGraphics *graphics, size_t index, sd_bus_error *reterr) {
        const VbListen *listen = graphics->listens.n > 0 ? graphics->listens.items[0] : NULL;
        char *id = g_strdup_printf("vnc%zu", index);

        if (listen && listen->type == VB_LISTEN_SOCKET && !listen->socket) {
                add_socket(collector, QEMU_SOCKET_LISTEN_UNIX, id);
                return 0;
        }
        if (listen && listen->type != VB_LISTEN_ADDRESS && listen->type != VB_LISTEN_ABSENT) {
                g_free(id);
                return 0;
        }
        return add_vnc_address(collector, graphics, listen, id, reterr);
}

static int add_displays(Collector *collector, sd_bus_error *reterr) {
        const VbDomainDefinition *definition = collector->context.definition;
        int r;

        for (size_t i = 0; i < definition->graphics.n; i++) {
                if (definition->graphics.items[i]->type != VB_GRAPHICS_VNC)
                        continue;
                r = add_vnc(collector, definition->graphics.items[i], i, reterr);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* --- Networks --- */

static QemuVhost interface_vhost(const QemuContext *context, const VbInterface *interface) {
        bool virtio = interface->model && g_str_has_prefix(interface->model, "virtio");

        if (interface->driver_name == VB_NET_DRIVER_VHOST)
                return QEMU_VHOST_REQUIRED;
        /* The kernel's own back end speeds KVM guests up; next to the translator it is nothing. */
        if (interface->driver_name == VB_NET_DRIVER_ABSENT && virtio &&
            qemu_context_accel(context) == QEMU_ACCEL_KVM)
                return QEMU_VHOST_OPTIONAL;
        return QEMU_VHOST_NO;
}

static int add_interface(Collector *collector, const VbInterface *interface, sd_bus_error *reterr) {
        bool virtio = interface->model && g_str_has_prefix(interface->model, "virtio");
        QemuTap tap = {
                .interface = interface,
                .queues = MAX(interface->queues, 1),
                .vnet_header = virtio,
                .vhost = interface_vhost(&collector->context, interface),
        };

        if (interface->type == VB_INTERFACE_USER)
                return 0;
        if (tap.queues > QEMU_TAP_QUEUES_MAX)
                return qemu_unsupported(&collector->context, reterr, "interface '%s': %u queues are more than %u",
                                        interface->info.alias, tap.queues, QEMU_TAP_QUEUES_MAX);
        if (!virtio && (tap.queues > 1 || tap.vhost == QEMU_VHOST_REQUIRED))
                return qemu_unsupported(&collector->context, reterr,
                                        "interface '%s': queues and driver 'vhost' are for model 'virtio', not '%s'",
                                        interface->info.alias, interface->model ?: "");

        for (size_t i = 0; i < QEMU_TAP_QUEUES_MAX; i++)
                tap.fds[i] = tap.vhost_fds[i] = -EBADF;
        g_array_append_val(collector->taps, tap);
        return 0;
}

static int add_interfaces(Collector *collector, sd_bus_error *reterr) {
        const VbDomainDefinition *definition = collector->context.definition;
        int r;

        for (size_t i = 0; i < definition->interfaces.n; i++) {
                r = add_interface(collector, definition->interfaces.items[i], reterr);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* --- Others --- */

bool qemu_rng_needs_file(const VbRng *rng) {
        /* Everyone may read these two, and so QEMU opens them itself. */
        return rng->backend == VB_RNG_BACKEND_RANDOM && rng->path && strcmp(rng->path, "/dev/urandom") != 0 &&
               strcmp(rng->path, "/dev/random") != 0;
}

static void add_small_devices(Collector *collector) {
        const VbDomainDefinition *definition = collector->context.definition;

        for (size_t i = 0; i < definition->rngs.n; i++)
                if (qemu_rng_needs_file(definition->rngs.items[i]))
                        add_file(collector, g_strdup(definition->rngs.items[i]->info.alias),
                                 definition->rngs.items[i]->path, VB_OPEN_READ, VB_OPEN_CHARACTER | VB_OPEN_REGULAR);
        for (size_t i = 0; i < definition->tpms.n; i++)
                add_socket(collector, QEMU_SOCKET_TPM, g_strdup(definition->tpms.items[i]->info.alias));
}

static int check_socket_paths(const Collector *collector, sd_bus_error *reterr) {
        for (unsigned i = 0; i < collector->sockets->len; i++) {
                const QemuSocket *socket = &g_array_index(collector->sockets, QemuSocket, i);

                if (socket->path && strlen(socket->path) >= sizeof(((struct sockaddr_un *) 0)->sun_path))
                        return qemu_unsupported(&collector->context, reterr,
                                                "%s is longer than a socket's path can be", socket->path);
        }
        return 0;
}

/* A device whose output and log were both virtlogd's would have one log for two. */
static int check_logs(const Collector *collector, sd_bus_error *reterr) {
        for (unsigned i = 1; i < collector->logs->len; i++) {
                const QemuLogPipe *log = &g_array_index(collector->logs, QemuLogPipe, i);

                if (strcmp(log->alias, log[-1].alias) == 0)
                        return qemu_unsupported(&collector->context, reterr,
                                                "'%s': output and log are both below '%s', where a device has one log; leave one of them out", log->alias,
                                                collector->log_directory);
        }
        return 0;
}

static QemuResources *collector_finish(Collector *collector) {
        QemuResources *resources = g_new0(QemuResources, 1);

        resources->files = (VbOpenFile *) g_array_steal(collector->files, &resources->n_files);
        resources->sockets = (QemuSocket *) g_array_steal(collector->sockets, &resources->n_sockets);
        resources->taps = (QemuTap *) g_array_steal(collector->taps, &resources->n_taps);
        resources->logs = (QemuLogPipe *) g_array_steal(collector->logs, &resources->n_logs);
        g_array_unref(collector->files);
        g_array_unref(collector->sockets);
        g_array_unref(collector->taps);
        g_array_unref(collector->logs);
        return resources;
}

static int collect(Collector *collector, sd_bus_error *reterr) {
        const VbDomainDefinition *definition = collector->context.definition;
        int r;

        add_socket(collector, QEMU_SOCKET_LISTEN_UNIX, g_strdup("monitor"));
        add_boot_files(collector);
        for (size_t i = 0; i < definition->disks.n; i++)
                add_disk(collector, definition->disks.items[i]);
        add_chardevs(collector);
        add_small_devices(collector);
        r = check_logs(collector, reterr);
        if (r < 0)
                return r;
        r = add_displays(collector, reterr);
        if (r < 0)
                return r;
        r = add_interfaces(collector, reterr);
        if (r < 0)
                return r;
        return check_socket_paths(collector, reterr);
}

int qemu_resources_new(QemuResources **ret, const VbDomainDefinition *definition, const QemuCapabilities *capabilities,
                       const char *run_directory, const char *log_directory, sd_bus_error *reterr) {
        g_autoptr(QemuResources) resources = NULL;
        Collector collector = {
                .context = { .definition = definition, .capabilities = capabilities },
                .run_directory = run_directory,
                .log_directory = log_directory,
                .files = g_array_new(FALSE, FALSE, sizeof(VbOpenFile)),
                .sockets = g_array_new(FALSE, FALSE, sizeof(QemuSocket)),
                .taps = g_array_new(FALSE, FALSE, sizeof(QemuTap)),
                .logs = g_array_new(FALSE, FALSE, sizeof(QemuLogPipe)),
        };
        int r;

        r = collect(&collector, reterr);
        resources = collector_finish(&collector); /* also what was collected before a failure must be freed */
        if (r < 0)
                return r;

        *ret = g_steal_pointer(&resources);
        return 0;
}

QemuResources *qemu_resources_free(QemuResources *resources) {
        if (!resources)
                return NULL;

        for (size_t i = 0; i < resources->n_files; i++) {
                g_free((char *) resources->files[i].id);
                g_free((char *) resources->files[i].path);
        }
        g_free(resources->files);
        for (size_t i = 0; i < resources->n_sockets; i++) {
                QemuSocket *socket = &resources->sockets[i];

                g_free(socket->id);
                g_free(socket->path);
                g_free(socket->host);
                socket->fd = vb_close(socket->fd);
                socket->peer_fd = vb_close(socket->peer_fd);
        }
        g_free(resources->sockets);
        for (size_t i = 0; i < resources->n_taps; i++)
                for (size_t j = 0; j < QEMU_TAP_QUEUES_MAX; j++) {
                        vb_closep(&resources->taps[i].fds[j]);
                        vb_closep(&resources->taps[i].vhost_fds[j]);
                }
        g_free(resources->taps);
        for (size_t i = 0; i < resources->n_logs; i++) {
                QemuLogPipe *log = &resources->logs[i];

                g_free(log->id);
                g_free(log->alias);
                g_free(log->path);
                log->fd = vb_close(log->fd);
        }
        g_free(resources->logs);
        vb_open_result_free(resources->opened);
        g_free(resources);
        return NULL;
}

VbOpenFile *qemu_resources_find_file(QemuResources *resources, const char *id) {
        for (size_t i = 0; i < resources->n_files; i++)
                if (strcmp(resources->files[i].id, id) == 0)
                        return &resources->files[i];
        return NULL;
}

QemuSocket *qemu_resources_find_socket(QemuResources *resources, const char *id) {
        for (size_t i = 0; i < resources->n_sockets; i++)
                if (strcmp(resources->sockets[i].id, id) == 0)
                        return &resources->sockets[i];
        return NULL;
}

QemuLogPipe *qemu_resources_find_log(QemuResources *resources, const char *id) {
        for (size_t i = 0; i < resources->n_logs; i++)
                if (strcmp(resources->logs[i].id, id) == 0)
                        return &resources->logs[i];
        return NULL;
}

QemuTap *qemu_resources_find_tap(QemuResources *resources, const char *alias) {
        for (size_t i = 0; i < resources->n_taps; i++)
                if (strcmp(resources->taps[i].interface->info.alias, alias) == 0)
                        return &resources->taps[i];
        return NULL;
}
