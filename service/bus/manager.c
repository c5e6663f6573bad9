/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/manager.h"

#include <systemd/sd-daemon.h>

#include "base/log.h"
#include "bus/names.h"

/* A manager that goes down answers as quickly as ever. */
#define ASK_TIMEOUT_USEC (3 * (uint64_t) G_USEC_PER_SEC)

/* What goes down starts this unit, which conflicts with all others: the system's manager for a reboot, a power-off and the like, and a
 * user's at the end of the session. Its job is there until all is stopped. SystemState would not do: while the host is still
 * booting, it says "starting" also of one that goes down. */
#define SHUTDOWN_PATH VB_SYSTEMD_PATH "/unit/shutdown_2etarget"

void vb_manager_tell_ready(void) {
        (void) sd_notify(/* unset_environment= */ false, "READY=1");
}

void vb_manager_tell_stopping(void) {
        (void) sd_notify(/* unset_environment= */ false, "STOPPING=1");
}

void vb_manager_tell_reloading(void) {
        /* The time tells the manager that it is this reload that it asked for, and not one before. */
        (void) sd_notifyf(/* unset_environment= */ false, "RELOADING=1\nMONOTONIC_USEC=%" G_GINT64_FORMAT, g_get_monotonic_time());
}

void vb_manager_tell_status(const char *status) {
        (void) sd_notifyf(/* unset_environment= */ false, "STATUS=%s", status);
}

void vb_manager_tell_progress(const char *status, uint64_t timeout_usec) {
        (void) sd_notifyf(/* unset_environment= */ false, "STATUS=%s\nEXTEND_TIMEOUT_USEC=%" G_GUINT64_FORMAT, status, timeout_usec);
}

typedef struct Question {
        VbManagerGoesDown goes_down;
        void *userdata;
} Question;

static int on_job(sd_bus_message *reply, void *userdata, sd_bus_error *unused) {
        const sd_bus_error *error = sd_bus_message_get_error(reply);
        Question question = *(Question *) userdata;
        uint32_t job = 0;
        int r;

        r = error ? -sd_bus_error_get_errno(error) : sd_bus_message_read(reply, "v", "(uo)", &job, NULL);
        if (r < 0)
                vb_log_info("cannot ask the service manager whether the host goes down: %s",
                            error && error->message ? error->message : g_strerror(-r));
        question.goes_down(r >= 0 && job != 0, question.userdata);
        return 0;
}

int vb_manager_ask_goes_down(sd_bus_slot **ret, sd_bus *bus, VbManagerGoesDown goes_down, void *userdata) {
        g_autoptr(sd_bus_message) message = NULL;
        g_autofree Question *question = g_new(Question, 1);
        int r;

        *question = (Question){ goes_down, userdata };
        r = sd_bus_message_new_method_call(bus, &message, VB_SYSTEMD_NAME, SHUTDOWN_PATH, VB_DBUS_PROPERTIES_INTERFACE, "Get");
        if (r < 0)
                return r;
        r = sd_bus_message_append(message, "ss", VB_SYSTEMD_NAME ".Unit", "Job");
        if (r < 0)
                return r;
        r = sd_bus_message_set_auto_start(message, /* b= */ false);
        if (r < 0)
                return r;
        r = sd_bus_call_async(bus, ret, message, on_job, question, ASK_TIMEOUT_USEC);
        if (r < 0)
                return r;
        (void) sd_bus_slot_set_destroy_callback(*ret, g_free);
        (void) g_steal_pointer(&question);
        return 0;
}
