/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/leave.h"

#include "base/error.h"

#define SECONDS(n) (UINT64_C(n) * 1000000)

/* A busy machined needs milliseconds. */
#define WAIT_USEC SECONDS(1)
/* How long its answer is of interest, for the log. */
#define ANSWER_USEC SECONDS(120)

struct QemuLeave {
        QemuDriver *driver;
        char *name; /* the guest's, for the log */
        VbMachineCall *call;
        sd_event_source *timer;
        QemuLeft left; /* NULL: nobody waits */
        void *userdata;
};

static void leave_free(void *data) {
        QemuLeave *leave = data;

        sd_event_source_disable_unref(leave->timer);
        (void) vb_machine_call_free(leave->call);
        g_free(leave->name);
        g_free(leave);
}

GPtrArray *qemu_leaves_new(void) {
        return g_ptr_array_new_with_free_func(leave_free);
}

static void tell(QemuLeave *leave) {
        QemuLeft left = g_steal_pointer(&leave->left);

        leave->timer = sd_event_source_disable_unref(leave->timer);
        if (left)
                left(leave->userdata);
}

void qemu_leave_note_answer(QemuDriver *driver, bool answered) {
        driver->manager_hangs = !answered;
}

static void on_answered(VbMachineCall *call, int r, const char *unit, const sd_bus_error *error, void *userdata) {
        QemuLeave *leave = userdata;
        QemuDriver *driver = leave->driver;

        if (r < 0)
                vb_log_warning("domain '%s': %s", leave->name, error->message);
        qemu_leave_note_answer(driver, r != -ETIMEDOUT);
        tell(leave);
        g_ptr_array_remove_fast(driver->leaves, leave);
}

static int on_waited(sd_event_source *source, uint64_t usec, void *userdata) {
        QemuLeave *leave = userdata;

        vb_log_notice("domain '%s': %s does not answer; that the guest is gone is told to it nevertheless", leave->name,
                      qemu_driver_is_session(leave->driver) ? "the user's service manager" : "systemd-machined");
        qemu_leave_note_answer(leave->driver, false);
        tell(leave);
        return 0;
}

static int ask(QemuDomain *qemu, QemuLeave *leave) {
        sd_bus *bus = vb_daemon_bus(qemu->driver->daemon);

        if (qemu_driver_is_session(qemu->driver))
                return vb_machine_stop_scope(&leave->call, bus, qemu->unit, on_answered, leave, ANSWER_USEC);
        return vb_machine_terminate(&leave->call, bus, qemu->machine, on_answered, leave, ANSWER_USEC);
}

int qemu_leave_machine(QemuDomain *qemu, QemuLeft left, void *userdata) {
        QemuDriver *driver = qemu->driver;
        bool waits = !driver->manager_hangs;
        QemuLeave *leave;
        int r;

        if (!qemu->machine || (qemu_driver_is_session(driver) && !qemu->unit))
                return 0;

        leave = g_new(QemuLeave, 1);
        *leave = (QemuLeave){
                .driver = driver,
                .name = g_strdup(qemu->domain->name),
                .left = waits ? left : NULL,
                .userdata = userdata,
        };
        r = ask(qemu, leave);
        if (r >= 0 && waits)
                r = sd_event_add_time_relative(qemu_driver_event(driver), &leave->timer, CLOCK_MONOTONIC, WAIT_USEC,
                                               /* accuracy= */ 0, on_waited, leave);
        if (r < 0) {
                vb_log_warning_for(VB_DOMAIN_LOG(qemu->domain), "domain '%s': cannot tell systemd of its end: %s",
                                   qemu->domain->name, g_strerror(-r));
                leave_free(leave);
                return 0;
        }
        g_ptr_array_add(driver->leaves, leave);
        return waits;
}

void qemu_leave_forget(QemuDriver *driver, const void *userdata) {
        for (size_t i = 0; i < driver->leaves->len; i++) {
                QemuLeave *leave = driver->leaves->pdata[i];

                if (leave->userdata == userdata)
                        leave->left = NULL;
        }
}
