/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/settings.h"

#include <string.h>

#include "base/error.h"
#include "base/log-filters.h"
#include "bus/daemon-private.h"

enum {
        PARTS_MAX = 8,
};

/* As libvirt names and writes them. */
typedef struct LogSettings {
        uint64_t level; /* 1 to 4; 0: not given */
        char *filters, *outputs; /* NULL: not given */
} LogSettings;

static int check_filters(const char *text, sd_bus_error *reterr) {
        g_autoptr(VbLogFilters) filters = NULL;

        return vb_log_filters_parse(&filters, text, reterr);
}

static int check_outputs(const char *text, sd_bus_error *reterr) {
        int threshold;

        return vb_log_output_parse(text, &threshold, reterr);
}

static const VbSetting log_settings[] = {
        { "log_level", VB_SETTING_NUMBER, offsetof(LogSettings, level), .min = 1, .max = 4,
          .help = "What is logged where no filter says otherwise: 1 (debug), 2 (info), 3 (warning) or 4 (error)." },
        { "log_filters", VB_SETTING_STRING, offsetof(LogSettings, filters), .check = check_filters,
          .help = "What is logged of which module, such as \"1:qemu 3:bus\"." },
        { "log_outputs", VB_SETTING_STRING, offsetof(LogSettings, outputs), .check = check_outputs,
          .help = "\"LEVEL:journald\": what is less severe is not logged, whatever else is said." },
        {},
};

int vb_daemon_set_log_rules(VbDaemon *daemon, const VbLogRules *rules, sd_bus_error *reterr) {
        int r;

        r = vb_log_set_rules(rules, reterr);
        if (r < 0)
                return r;
        vb_daemon1_changed(vb_daemon_root(daemon), VB_DAEMON1_LOG_LEVEL | VB_DAEMON1_LOG_FILTERS | VB_DAEMON1_LOG_THRESHOLD);
        if (vb_daemon_info(daemon)->log_changed)
                vb_daemon_info(daemon)->log_changed(daemon);
        return 0;
}

static int use_log_settings(VbDaemon *daemon, const LogSettings *settings, sd_bus_error *reterr) {
        VbLogRules rules;
        int r;

        vb_log_get_rules(&rules);
        if (settings->level > 0 && vb_daemon_log_level_option(daemon) < 0)
                rules.level = vb_log_level_from_classic((int) settings->level);
        if (settings->filters)
                g_strlcpy(rules.filters, settings->filters, sizeof rules.filters);
        if (settings->outputs) {
                r = vb_log_output_parse(settings->outputs, &rules.threshold, reterr);
                if (r < 0)
                        return r;
        }
        return vb_daemon_set_log_rules(daemon, &rules, reterr);
}

int vb_daemon_load_settings(VbDaemon *daemon, const VbSettingsPart *parts, sd_bus_error *reterr) {
        LogSettings log = { 0 };
        VbSettingsPart all[PARTS_MAX + 2] = { { log_settings, &log } };
        int r;

        for (size_t n = 0; parts && parts[n].table; n++) {
                g_assert(n < PARTS_MAX);
                all[n + 1] = parts[n];
        }
        r = vb_settings_load_parts(all, vb_daemon_config_dir(daemon), vb_daemon_driver(daemon));
        if (r < 0)
                r = sd_bus_error_setf(reterr, VB_ERROR_OPERATION_FAILED, "cannot read the settings: %s", g_strerror(-r));
        else
                r = use_log_settings(daemon, &log, reterr);
        vb_settings_done(log_settings, &log);
        return r;
}
