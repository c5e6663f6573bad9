/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include <systemd/sd-bus.h>

#include "backend.h"
#include "base/cleanup.h"

#define SYSTEMD_NAME "org.freedesktop.systemd1"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"
#define SYSTEMD_MANAGER "org.freedesktop.systemd1.Manager"

typedef struct Wait {
        char *job; /* NULL until the call has answered: no job can be told removed before */
        bool done;
        bool failed;
} Wait;

static int on_job_removed(sd_bus_message *message, void *userdata, sd_bus_error *reterr) {
        Wait *wait = userdata;
        const char *job, *unit, *result;
        uint32_t id;
        int r;

        r = sd_bus_message_read(message, "uoss", &id, &job, &unit, &result);
        if (r < 0)
                return r;
        if (!wait->job || strcmp(wait->job, job) != 0)
                return 0;

        wait->done = true;
        wait->failed = strcmp(result, "done") != 0;
        return 0;
}

int unit_job(const char *method, const char *unit) {
        g_autoptr(sd_bus_message) reply = NULL;
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        g_autofree char *job = NULL;
        g_autoptr(sd_bus) bus = NULL;
        Wait wait = {};
        const char *path;
        int r;

        r = sd_bus_open_system(&bus);
        if (r < 0)
                return log_error(r, "cannot connect to the bus");
        r = sd_bus_match_signal(bus, NULL, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "JobRemoved", on_job_removed, &wait);
        if (r < 0)
                return log_error(r, "cannot watch jobs");
        r = sd_bus_call_method(bus, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "Subscribe", &error, NULL, NULL);
        if (r < 0)
                return log_error(r, "cannot subscribe: %s", error.message);
        r = sd_bus_call_method(bus, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, method, &error, &reply, "ss", unit, "replace");
        if (r < 0)
                return log_error(r, "%s %s: %s", method, unit, error.message);
        r = sd_bus_message_read(reply, "o", &path);
        if (r < 0)
                return log_error(r, "%s %s: bad answer", method, unit);

        /* Signals that came while the call waited are still queued, and are handled below. */
        wait.job = job = g_strdup(path);
        while (!wait.done) {
                r = sd_bus_process(bus, NULL);
                if (r == 0)
                        r = sd_bus_wait(bus, 60 * UINT64_C(1000000));
                if (r < 0)
                        return log_error(r, "%s %s: lost the bus", method, unit);
        }
        return wait.failed ? log_error(-EIO, "%s %s: the job failed", method, unit) : 0;
}
