/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What virtqemud has beside its domains: settings, what it knows of emulators, whom guests run as. */

#include "hypervisor/hypervisor.h"
#include "qemu/capabilities.h"

/* Who writes what emulators say. */
typedef enum QemuStdioHandler {
        QEMU_STDIO_DEFAULT, /* logd in the system, file in a session */
        QEMU_STDIO_LOGD,    /* virtlogd */
        QEMU_STDIO_FILE,    /* they themselves */
        _QEMU_STDIO_MAX,
        _QEMU_STDIO_INVALID = -EINVAL,
} QemuStdioHandler;
VB_STRING_TABLE_DECLARE(qemu_stdio_handler, QemuStdioHandler);

typedef struct QemuSettings {
        char *user;                      /* whom root's guests run as */
        char **emulators;                /* allowed beside those in the standard folders */
        bool kvm;                        /* guests may use it */
        int stdio_handler;               /* QemuStdioHandler */
        bool log_consoles;               /* of those that say nothing of it, too */
        uint64_t domains_per_user;
        VbLockSettings locks;
        VbHostSettings host;
        uint64_t turn_timeout; /* seconds */
        uint64_t unplug_timeout_usec; /* for a guest, to let go of one vCPU */
} QemuSettings;

typedef struct QemuDriver {
        VbDaemon *daemon;
        VbHypervisor *hypervisor;
        QemuSettings settings;
        QemuCapabilitiesManager *capabilities;
        GPtrArray *completions; /* definitions that wait to be completed */
        GPtrArray *questions;   /* calls that ask what one emulator can do */
        GPtrArray *host_questions; /* … or all of them */
        GPtrArray *image_opens; /* images that calls ask about */

        /* root's guests */
        uid_t guest_uid;
        gid_t guest_gid;

        char *log_dir;      /* "/var/log/virtbus/qemu" */
        char *nvram_dir;    /* "/var/lib/virtbus/qemu/nvram"; below it a folder for each user */
        GPtrArray *leaves;  /* of guests that have ended: qemu/leave.h */
        bool manager_hangs; /* it has not answered in time, and nothing since */
        bool has_manager;   /* somebody is there to make scopes: always in the system, mostly in a session */
} QemuDriver;

VB_MUST_USE int qemu_driver_new(QemuDriver **ret, VbDaemon *daemon, sd_bus_error *reterr);
/* Guests are left alone. Takes NULL, returns NULL. */
QemuDriver *qemu_driver_free(QemuDriver *driver);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QemuDriver, qemu_driver_free)

/* Reads the settings anew. */
VB_MUST_USE int qemu_driver_reload(QemuDriver *driver, sd_bus_error *reterr);

static inline QemuDriver *qemu_driver_of(const VbHypervisor *hypervisor) {
        return hypervisor->driver_data;
}

static inline sd_event *qemu_driver_event(const QemuDriver *driver) {
        return vb_daemon_event(driver->daemon);
}

static inline bool qemu_driver_is_session(const QemuDriver *driver) {
        return vb_daemon_is_session(driver->daemon);
}

static inline bool qemu_driver_has_logd(const QemuDriver *driver) {
        if (driver->settings.stdio_handler == QEMU_STDIO_DEFAULT)
                return !qemu_driver_is_session(driver);
        return driver->settings.stdio_handler == QEMU_STDIO_LOGD;
}

/* The operations table. */
extern const VbDriver qemu_driver_operations;
