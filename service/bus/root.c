/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Daemon1, which every root object has. */

#include "interfaces/daemon1.h"

#include "base/error.h"
#include "base/log-filters.h"
#include "base/log.h"
#include "bus/daemon-private.h"
#include "bus/objects.h"
#include "bus/settings.h"

static const int log_levels[] = {
        [VB_DAEMON1_SET_LOG_LEVEL_VALUE_ERROR] = LOG_ERR,
        [VB_DAEMON1_SET_LOG_LEVEL_VALUE_WARNING] = LOG_WARNING,
        [VB_DAEMON1_SET_LOG_LEVEL_VALUE_NOTICE] = LOG_NOTICE,
        [VB_DAEMON1_SET_LOG_LEVEL_VALUE_INFO] = LOG_INFO,
        [VB_DAEMON1_SET_LOG_LEVEL_VALUE_DEBUG] = LOG_DEBUG,
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
        VbLogRules rules;

        vb_log_get_rules(&rules);
        return vb_log_level_word(rules.level);
}

static const char *get_log_threshold(VbObject *object) {
        VbLogRules rules;

        vb_log_get_rules(&rules);
        return vb_log_level_word(rules.threshold);
}

/* Valid until it is asked for again, which is long enough for a reply. */
static const char *get_log_filters(VbObject *object) {
        static VbLogRules rules;

        vb_log_get_rules(&rules);
        return rules.filters;
}

static int set_log_level(VbCall *call, VbObject *object, const VbDaemon1SetLogLevelArgs *args,
                         sd_bus_error *reterr) {
        VbLogRules rules;
        int r;

        vb_log_get_rules(&rules);
        rules.level = log_levels[args->value];
        r = vb_daemon_set_log_rules(daemon_of(object), &rules, reterr);
        return r < 0 ? r : vb_daemon1_reply_set_log_level(call);
}

static int set_log_threshold(VbCall *call, VbObject *object, const VbDaemon1SetLogThresholdArgs *args,
                             sd_bus_error *reterr) {
        VbLogRules rules;
        int r;

        /* The words are those of LogLevel, in their order. */
        vb_log_get_rules(&rules);
        rules.threshold = log_levels[args->value];
        r = vb_daemon_set_log_rules(daemon_of(object), &rules, reterr);
        return r < 0 ? r : vb_daemon1_reply_set_log_threshold(call);
}

static int set_log_filters(VbCall *call, VbObject *object, const VbDaemon1SetLogFiltersArgs *args,
                           sd_bus_error *reterr) {
        VbLogRules rules;
        int r;

        vb_log_get_rules(&rules);
        if (g_strlcpy(rules.filters, args->value, sizeof rules.filters) >= sizeof rules.filters)
                return sd_bus_error_setf(reterr, VB_ERROR_INVALID_ARGUMENT, "LogFilters: the text is longer than %zu bytes",
                                         sizeof rules.filters - 1);
        r = vb_daemon_set_log_rules(daemon_of(object), &rules, reterr);
        return r < 0 ? r : vb_daemon1_reply_set_log_filters(call);
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
        .get_log_filters = get_log_filters,
        .set_log_filters = set_log_filters,
        .get_log_threshold = get_log_threshold,
        .set_log_threshold = set_log_threshold,
        .open_link = vb_links_on_open,
        .reload = on_reload,
        .shutdown = on_shutdown,
};

const VbObjectInterface vb_daemon_root_interface = { &vb_daemon1_interface, &handlers };
