/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Cleanup at the end of scope for the types of libsystemd and for file descriptors. Those of libxml2 stand in
 * xml/, so that the layers above base pay only for what they use. json-c's stand here, as base links it. */

#include <errno.h>
#include <glib.h>
#include <json-c/json.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>
#include <unistd.h>

/* Marks what must not be ignored: handle the result, or log it. */
#define VB_MUST_USE __attribute__((warn_unused_result))

G_DEFINE_AUTOPTR_CLEANUP_FUNC(sd_bus, sd_bus_flush_close_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(sd_bus_message, sd_bus_message_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(sd_bus_slot, sd_bus_slot_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(sd_bus_creds, sd_bus_creds_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(sd_event, sd_event_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(sd_event_source, sd_event_source_disable_unref)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(sd_bus_error, sd_bus_error_free)

typedef struct json_object VbJson;
static inline void vb_json_put(VbJson *json) {
        (void) json_object_put(json);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VbJson, vb_json_put)

/* Closes a descriptor if it is one, keeps errno, and returns -EBADF to assign. */
static inline int vb_close(int fd) {
        int saved = errno;

        if (fd >= 0)
                (void) close(fd);
        errno = saved;
        return -EBADF;
}

static inline void vb_closep(int *fd) {
        *fd = vb_close(*fd);
}
/* int fd = -EBADF with this in front is closed at the end of scope; hand over with vb_steal_fd(). */
#define vb_autofd __attribute__((cleanup(vb_closep))) int

static inline int vb_steal_fd(int *fd) {
        int taken = *fd;

        *fd = -EBADF;
        return taken;
}
