/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What of a running guest is handed out as a descriptor: consoles, channels, displays, pictures of the screen. */

#include <sys/socket.h>

#include "base/error.h"
#include "qemu/console.h"
#include "qemu/display.h"
#include "qemu/domain.h"
#include "qemu/handlers.h"
#include "qemu/screenshot.h"

/* A call that waits for the emulator. If the guest ends first, its monitor tells so. */
typedef struct Pending {
        VbCall *call;
        QemuDisplayConnect *connect;
        QemuScreenshot *screenshot;
        int (*reply)(VbCall *call, int fd);
} Pending;

static Pending *pending_new(VbCall *call, int (*reply)(VbCall *call, int fd)) {
        Pending *pending = g_new0(Pending, 1);

        *pending = (Pending){ .call = vb_call_ref(call), .reply = reply };
        return pending;
}

static Pending *pending_free(Pending *pending) {
        if (!pending)
                return NULL;

        pending->connect = qemu_display_connect_free(pending->connect);
        pending->screenshot = qemu_screenshot_free(pending->screenshot);
        vb_call_unref(pending->call);
        g_free(pending);
        return NULL;
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Pending, pending_free)

/* fd is taken; the message has a duplicate of its own. */
static void pending_answer(Pending *pending, int r, int fd, const sd_bus_error *error) {
        if (r < 0)
                (void) vb_call_fail(pending->call, r, error);
        else
                (void) pending->reply(pending->call, fd);
        (void) vb_close(fd);
        pending_free(pending);
}

static int find_running(VbObject *object, QemuDomain **ret, sd_bus_error *reterr) {
        VbDomain *domain = vb_domain_of(object);
        QemuDomain *qemu = qemu_domain_of(domain);
        int r = vb_domain_check_active(domain, reterr);

        if (r < 0)
                return r;
        if (!domain->live || !qemu->monitor || !qmp_monitor_is_ready(qemu->monitor))
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_STATE, "domain '%s': its guest is only just starting or ending",
                                         domain->name);
        *ret = qemu;
        return 0;
}

static QemuConsoles *get_consoles(QemuDomain *qemu) {
        if (!qemu->consoles)
                qemu->consoles = qemu_consoles_new(qemu_driver_event(qemu->driver), qemu_domain_guest_uid(qemu), qemu->run_dir);
        return qemu->consoles;
}

/* find looks a character device up by what the caller calls it. */
static int open_chardev(VbObject *object, const char *name, bool force,
                        int (*find)(const VbDomainDefinition *live, const char *name, const VbChardev **ret, sd_bus_error *reterr),
                        int *ret_fd, sd_bus_error *reterr) {
        const VbChardev *device;
        QemuDomain *qemu = NULL;
        int r;

        r = find_running(object, &qemu, reterr);
        if (r < 0)
                return r;
        r = find(qemu->domain->live, name, &device, reterr);
        if (r < 0)
                return r;
        r = qemu_consoles_open(get_consoles(qemu), device, force, ret_fd, reterr);
        return r < 0 ? vb_error_prefix(reterr, "domain '%s'", qemu->domain->name) : 0;
}

int qemu_on_open_console(VbCall *call, VbObject *object, const VbDomain1OpenConsoleArgs *args, sd_bus_error *reterr) {
        vb_autofd fd = -EBADF;
        int r;

        r = open_chardev(object, args->device, args->options.force, qemu_console_find, &fd, reterr);
        return r < 0 ? r : vb_domain1_reply_open_console(call, fd);
}

int qemu_on_open_channel(VbCall *call, VbObject *object, const VbDomain1OpenChannelArgs *args, sd_bus_error *reterr) {
        vb_autofd fd = -EBADF;
        int r;

        r = open_chardev(object, args->name, args->options.force, qemu_channel_find, &fd, reterr);
        return r < 0 ? r : vb_domain1_reply_open_channel(call, fd);
}

/* What the definition has to have for each type that can be asked for. */
static const struct {
        VbGraphicsType graphics;
        QemuDisplayProtocol protocol;
        const char *word;
} displays[] = {
        [VB_DOMAIN1_OPEN_DISPLAY_TYPE_VNC] = { VB_GRAPHICS_VNC, QEMU_DISPLAY_VNC, "vnc" },
        [VB_DOMAIN1_OPEN_DISPLAY_TYPE_SPICE] = { VB_GRAPHICS_SPICE, QEMU_DISPLAY_SPICE, "spice" },
        [VB_DOMAIN1_OPEN_DISPLAY_TYPE_DBUS] = { VB_GRAPHICS_DBUS, QEMU_DISPLAY_DBUS, "dbus" },
};
/* Both methods say it in the same words. */
G_STATIC_ASSERT((int) VB_DOMAIN1_OPEN_DISPLAY_TYPE_ANY == (int) VB_DOMAIN1_CONNECT_DISPLAY_TYPE_ANY);

/* The entry of displays[] that the domain's graphics device is. */
static int find_protocol(const VbGraphics *graphics) {
        for (size_t i = 0; i < G_N_ELEMENTS(displays); i++)
                if (displays[i].word && displays[i].graphics == graphics->type)
                        return (int) i;
        return -ENOENT;
}

/* The one of that index, or the first of that type. Emulators have one of each type. */
static int find_display(const VbDomainDefinition *live, VbDomain1OpenDisplayType type, bool has_index, uint32_t index,
                        QemuDisplayProtocol *ret, sd_bus_error *reterr) {
        bool any = type == VB_DOMAIN1_OPEN_DISPLAY_TYPE_ANY;

        for (size_t i = has_index ? index : 0; i < live->graphics.n; i++) {
                int found = find_protocol(live->graphics.items[i]);

                if (found >= 0 && (any || found == (int) type)) {
                        *ret = displays[found].protocol;
                        return 0;
                }
                if (has_index)
                        break;
        }
        if (has_index)
                return sd_bus_error_setf(reterr, VB_ERROR_NO_DEVICE, "domain '%s': display %u is none to connect to%s%s",
                                         live->name, index, any ? "" : " as ", any ? "" : displays[type].word);
        return sd_bus_error_setf(reterr, VB_ERROR_NO_DEVICE, "domain '%s' has no <graphics%s%s%s>", live->name,
                                 any ? "" : " type='", any ? "" : displays[type].word, any ? "" : "'");
}

static void on_display(QemuDisplayConnect *connect, int r, int fd, const sd_bus_error *error, void *userdata) {
        pending_answer(userdata, r, fd, error);
}

int qemu_on_open_display(VbCall *call, VbObject *object, const VbDomain1OpenDisplayArgs *args, sd_bus_error *reterr) {
        g_autoptr(Pending) pending = NULL;
        QemuDisplayProtocol protocol;
        QemuDomain *qemu = NULL;
        int r;

        r = find_running(object, &qemu, reterr);
        if (r < 0)
                return r;
        r = find_display(qemu->domain->live, args->type, args->options.has_index, args->options.index, &protocol, reterr);
        if (r < 0)
                return r;

        pending = pending_new(call, vb_domain1_reply_open_display);
        r = qemu_display_connect(&pending->connect, qemu->monitor, protocol, /* socket= */ -EBADF, args->options.skip_auth,
                                 on_display, pending, reterr);
        if (r < 0)
                return r;
        (void) g_steal_pointer(&pending);
        return 0;
}

/* What is no socket, the emulator would take, too, and then wonder. */
static int check_socket(int fd, sd_bus_error *reterr) {
        struct sockaddr_storage peer;
        socklen_t size = sizeof(peer), type_size = sizeof(int);
        int type;

        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_size) < 0 || type != SOCK_STREAM ||
            getpeername(fd, (struct sockaddr *) &peer, &size) < 0)
                return sd_bus_error_set(reterr, VB_ERROR_INVALID_ARGUMENT, "the descriptor is no connected stream socket");
        return 0;
}

static int reply_connected(VbCall *call, int fd) {
        return vb_domain1_reply_connect_display(call);
}

int qemu_on_connect_display(VbCall *call, VbObject *object, const VbDomain1ConnectDisplayArgs *args, sd_bus_error *reterr) {
        g_autoptr(Pending) pending = NULL;
        QemuDisplayProtocol protocol;
        QemuDomain *qemu = NULL;
        int r;

        r = check_socket(args->socket, reterr);
        if (r < 0)
                return r;
        r = find_running(object, &qemu, reterr);
        if (r < 0)
                return r;
        r = find_display(qemu->domain->live, (VbDomain1OpenDisplayType) args->type, args->options.has_index,
                         args->options.index, &protocol, reterr);
        if (r < 0)
                return r;

        pending = pending_new(call, reply_connected);
        r = qemu_display_connect(&pending->connect, qemu->monitor, protocol, args->socket, args->options.skip_auth, on_display,
                                 pending, reterr);
        if (r < 0)
                return r;
        (void) g_steal_pointer(&pending);
        return 0;
}

/* Screens are counted over the video devices, each of which has one or more heads. */
static int find_screen(const VbDomainDefinition *live, uint32_t screen, const char **ret_alias, unsigned *ret_head,
                       sd_bus_error *reterr) {
        uint32_t first = 0;

        for (size_t i = 0; i < live->videos.n; i++) {
                const VbVideo *video = live->videos.items[i];
                uint32_t heads = video->model == VB_VIDEO_NONE ? 0 : MAX(video->heads, 1);

                if (screen - first < heads) {
                        *ret_alias = video->info.alias;
                        *ret_head = screen - first;
                        return 0;
                }
                first += heads;
        }
        return sd_bus_error_setf(reterr, VB_ERROR_NO_DEVICE, "domain '%s' has no screen %u: it has %u", live->name, screen, first);
}

static void on_screenshot(QemuScreenshot *screenshot, int r, int fd, const sd_bus_error *error, void *userdata) {
        pending_answer(userdata, r, fd, error);
}

int qemu_on_screenshot(VbCall *call, VbObject *object, const VbDomain1ScreenshotArgs *args, sd_bus_error *reterr) {
        g_autoptr(Pending) pending = NULL;
        QemuDomain *qemu = NULL;
        const char *alias = NULL;
        unsigned head = 0;
        int r;

        r = find_running(object, &qemu, reterr);
        if (r < 0)
                return r;
        r = find_screen(qemu->domain->live, args->options.screen, &alias, &head, reterr);
        if (r < 0)
                return r;

        pending = pending_new(call, vb_domain1_reply_screenshot);
        r = qemu_screenshot_new(&pending->screenshot, qemu->monitor, alias, head, on_screenshot, pending, reterr);
        if (r < 0)
                return r;
        (void) g_steal_pointer(&pending);
        return 0;
}
