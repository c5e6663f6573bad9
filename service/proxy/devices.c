/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What of a guest is opened: consoles, channels and pictures as streams, displays as descriptors. */

#include <fcntl.h>

#include "base/error.h"
#include "proxy/call.h"
#include "proxy/constants.h"
#include "proxy/stream.h"

#define DOMAIN_INTERFACE "org.virtbus.Domain1"

/* The answer's descriptor is the message's; this one is the caller's. */
static int take_descriptor(sd_bus_message *answer, int *ret) {
        int fd, r;

        r = sd_bus_message_read(answer, "h", &fd);
        if (r < 0)
                return r;
        fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (fd < 0)
                return -errno;
        *ret = fd;
        return 0;
}

/* --- consoles and channels ------------------------------------------------------------------------------------------- */

/* What is the same for both, and how libvirt speaks of each: its clients look for these words. */
typedef struct Device {
        const char *member;
        const char *busy;
        const char *missing; /* and its name */
} Device;

static const Device console = {
        .member = "OpenConsole",
        .busy = "Active console session exists for this domain",
        .missing = "unable to find character device",
};
static const Device channel = {
        .member = "OpenChannel",
        .busy = "Active channel stream exists for this domain",
        .missing = "unable to find channel",
};

static int refuse_device(sd_bus_message *answer, const Device *device, sd_bus_error *reterr) {
        const sd_bus_error *error = sd_bus_message_get_error(answer);

        if (sd_bus_error_has_name(error, VB_ERROR_RESOURCE_BUSY))
                return proxy_error_set(reterr, VIR_ERR_OPERATION_FAILED, 0, "%s", device->busy);
        if (sd_bus_error_has_name(error, VB_ERROR_NO_DEVICE))
                return proxy_error_set(reterr, VIR_ERR_INVALID_ARG, 0, "%s: %s", device->missing, error->message);
        return sd_bus_error_copy(reterr, error);
}

static int on_device_opened(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        int fd, r;

        if (sd_bus_message_is_method_error(answer, NULL))
                return refuse_device(answer, userdata, reterr);
        r = take_descriptor(answer, &fd);
        if (r < 0)
                return r;
        r = proxy_stream_start(call, fd, PROXY_STREAM_TO_CLIENT | PROXY_STREAM_FROM_CLIENT, reterr);
        return r < 0 ? r : proxy_call_reply(call, NULL);
}

static int open_device(ProxyCall *call, const RpcDomain *dom, const Device *device, const char *name, bool force,
                       sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) message = NULL;
        const ProxyDomain *domain;
        int r;

        r = proxy_call_find_domain(call, dom, &domain, reterr);
        if (r <= 0)
                return r;
        r = proxy_call_new_method(call, &message, domain->path, DOMAIN_INTERFACE, device->member, reterr);
        if (r < 0)
                return r;
        r = sd_bus_message_append(message, "sa{sv}", name ?: "", 1, "force", "b", (int) force);
        if (r < 0)
                return r;
        return proxy_call_send_tolerant(call, message, on_device_opened, (void *) device, reterr);
}

int proxy_remote_domain_open_console(ProxyCall *call, const RpcRemoteDomainOpenConsoleArgs *args, sd_bus_error *reterr) {
        int r;

        /* A console is never shared here, so that each is safe. */
        r = proxy_call_check_flags(call, args->flags, VIR_DOMAIN_CONSOLE_FORCE | VIR_DOMAIN_CONSOLE_SAFE, reterr);
        if (r < 0)
                return r;
        return open_device(call, &args->dom, &console, args->dev_name, args->flags & VIR_DOMAIN_CONSOLE_FORCE, reterr);
}

int proxy_remote_domain_open_channel(ProxyCall *call, const RpcRemoteDomainOpenChannelArgs *args, sd_bus_error *reterr) {
        int r;

        r = proxy_call_check_flags(call, args->flags, VIR_DOMAIN_CHANNEL_FORCE, reterr);
        if (r < 0)
                return r;
        return open_device(call, &args->dom, &channel, args->name, args->flags & VIR_DOMAIN_CHANNEL_FORCE, reterr);
}

/* --- pictures -------------------------------------------------------------------------------------------------------- */

static int on_screenshot(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        int fd, r;

        r = take_descriptor(answer, &fd);
        if (r < 0)
                return r;
        r = proxy_stream_start(call, fd, PROXY_STREAM_TO_CLIENT, reterr);
        if (r < 0)
                return r;
        return proxy_reply_remote_domain_screenshot(call, &(RpcRemoteDomainScreenshotRet){ .mime = "image/png" });
}

int proxy_remote_domain_screenshot(ProxyCall *call, const RpcRemoteDomainScreenshotArgs *args, sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) message = NULL;
        const ProxyDomain *domain;
        int r;

        r = proxy_call_check_flags(call, args->flags, 0, reterr);
        if (r < 0)
                return r;
        r = proxy_call_find_domain(call, &args->dom, &domain, reterr);
        if (r <= 0)
                return r;
        r = proxy_call_new_method(call, &message, domain->path, DOMAIN_INTERFACE, "Screenshot", reterr);
        if (r < 0)
                return r;
        r = sd_bus_message_append(message, "a{sv}", 1, "screen", "u", args->screen);
        if (r < 0)
                return r;
        return proxy_call_send(call, message, on_screenshot, NULL, reterr);
}

/* --- displays -------------------------------------------------------------------------------------------------------- */

/* A call of one of the two methods, up to its socket; the display is known by its number alone. */
static int new_display_call(ProxyCall *call, const RpcDomain *dom, uint32_t flags, const char *member,
                            sd_bus_message **ret, sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) message = NULL;
        const ProxyDomain *domain;
        int r;

        r = proxy_call_check_flags(call, flags, VIR_DOMAIN_OPEN_GRAPHICS_SKIPAUTH, reterr);
        if (r < 0)
                return r;
        r = proxy_call_find_domain(call, dom, &domain, reterr);
        if (r <= 0)
                return r;
        r = proxy_call_new_method(call, &message, domain->path, DOMAIN_INTERFACE, member, reterr);
        if (r < 0)
                return r;
        r = sd_bus_message_append(message, "s", "any");
        if (r < 0)
                return r;
        *ret = g_steal_pointer(&message);
        return 1;
}

static int append_display_options(sd_bus_message *message, uint32_t index, uint32_t flags) {
        return sd_bus_message_append(message, "a{sv}", 2, "index", "u", index, "skip-auth", "b",
                                     (flags & VIR_DOMAIN_OPEN_GRAPHICS_SKIPAUTH) != 0);
}

int proxy_remote_domain_open_graphics(ProxyCall *call, const RpcRemoteDomainOpenGraphicsArgs *args, sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) message = NULL;
        vb_autofd fd = -EBADF;
        int r;

        r = new_display_call(call, &args->dom, args->flags, "ConnectDisplay", &message, reterr);
        if (r <= 0)
                return r;
        fd = proxy_call_take_fd(call, 0);
        if (fd < 0)
                return proxy_error_set(reterr, VIR_ERR_INVALID_ARG, 0, "no descriptor came with the call");
        r = sd_bus_message_append(message, "h", fd);
        if (r < 0)
                return r;
        r = append_display_options(message, args->idx, args->flags);
        return r < 0 ? r : proxy_call_send_plain(call, message, reterr);
}

static int on_display_opened(ProxyCall *call, sd_bus_message *answer, void *userdata, sd_bus_error *reterr) {
        int fd, r;

        r = take_descriptor(answer, &fd);
        if (r < 0)
                return r;
        proxy_call_add_fd(call, fd);
        return proxy_call_reply(call, NULL);
}

int proxy_remote_domain_open_graphics_fd(ProxyCall *call, const RpcRemoteDomainOpenGraphicsFdArgs *args,
                                         sd_bus_error *reterr) {
        g_autoptr(sd_bus_message) message = NULL;
        int r;

        r = new_display_call(call, &args->dom, args->flags, "OpenDisplay", &message, reterr);
        if (r <= 0)
                return r;
        r = append_display_options(message, args->idx, args->flags);
        return r < 0 ? r : proxy_call_send(call, message, on_display_opened, NULL, reterr);
}
