/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Daemon1, which every root object has. */

#include "interfaces/daemon1.h"

#include "base/error.h"
#include "base/log.h"
#include "bus/daemon-private.h"
#include "bus/objects.h"

static const struct {
        const char *word;
        int level;
} log_levels[] = {
        [VB_DAEMON1_SET_LOG_LEVEL_VALUE_ERROR] = { "error", LOG_ERR },
        [VB_DAEMON1_SET_LOG_LEVEL_VALUE_WARNING] = { "warning", LOG_WARNING },
        [VB_DAEMON1_SET_LOG_LEVEL_VALUE_NOTICE] = { "notice", LOG_NOTICE },
        [VB_DAEMON1_SET_LOG_LEVEL_VALUE_INFO] = { "info", LOG_INFO },
        [VB_DAEMON1_SET_LOG_LEVEL_VALUE_DEBUG] = { "debug", LOG_DEBUG },
};

static VbDaemon *daemon_of(VbObject *object) {
        return vb_objects_daemon(object->objects);
}

static const char *get_version(VbObject *object) {
        return VB_VERSION;
}

static const char *get_driver(VbObject *object) {
        return vb_daemon_driver(daemon_of(object));
}

static uint64_t get_generation(VbObject *object) {
        return vb_objects_generation(object->objects);
}

static bool get_inhibited(VbObject *object) {
        return vb_daemon_is_inhibited(daemon_of(object));
}

static const char *get_log_level(VbObject *object) {
        for (size_t i = G_N_ELEMENTS(log_levels); i > 0; i--)
                if (vb_log_enabled(log_levels[i - 1].level))
                        return log_levels[i - 1].word;
        return log_levels[0].word;
}

static int set_log_level(VbCall *call, VbObject *object, const VbDaemon1SetLogLevelArgs *args,
                         sd_bus_error *reterr) {
        vb_log_set_max_level(log_levels[args->value].level);
        vb_daemon1_changed(object, VB_DAEMON1_LOG_LEVEL);
        return vb_daemon1_reply_set_log_level(call);
}

static int on_reload(VbCall *call, VbObject *object, const VbDaemon1ReloadArgs *args, sd_bus_error *reterr) {
        int r;

        r = vb_daemon_reload(daemon_of(object), reterr);
        return r < 0 ? r : vb_daemon1_reply_reload(call);
}

static int on_shutdown(VbCall *call, VbObject *object, const VbDaemon1ShutdownArgs *args,
                       sd_bus_error *reterr) {
        if (args->options.preserve)
                vb_preserve_and_quit(vb_daemon_preserve(daemon_of(object)));
        else
                vb_daemon_quit(daemon_of(object));
        return vb_daemon1_reply_shutdown(call);
}

static const VbDaemon1Handlers handlers = {
        .get_version = get_version,
        .get_driver = get_driver,
        .get_generation = get_generation,
        .get_inhibited = get_inhibited,
        .get_log_level = get_log_level,
        .set_log_level = set_log_level,
        .open_link = vb_links_on_open,
        .reload = on_reload,
        .shutdown = on_shutdown,
};

const VbObjectInterface vb_daemon_root_interface = { &vb_daemon1_interface, &handlers };
