/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypervisor/call-work.h"

struct VbCallWork {
        VbHypervisor *hypervisor;
        VbCall *call;
        VbWorker *worker;
        VbCallWorkReply reply;
};

void vb_call_work_free(VbCallWork *work) {
        (void) g_ptr_array_remove_fast(work->hypervisor->works, work);
        (void) vb_worker_free(work->worker);
        (void) vb_call_unref(work->call);
        g_free(work);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VbCallWork, vb_call_work_free)

static void on_done(VbWorker *worker, int r, const sd_bus_error *error, void *data, void *userdata) {
        g_auto(sd_bus_error) own = SD_BUS_ERROR_NULL;
        g_autoptr(VbCallWork) work = userdata;

        if (r >= 0) {
                error = &own;
                r = work->reply(work->call, data, &own);
        }
        if (r < 0)
                (void) vb_call_fail(work->call, r, error);
}

int vb_call_work_start(VbCall *call, VbHypervisor *hypervisor, VbWork function, void *data, GDestroyNotify free_data,
                       VbCallWorkReply reply, sd_bus_error *reterr) {
        g_autoptr(VbCallWork) work = g_new(VbCallWork, 1);
        int r;

        *work = (VbCallWork){ .hypervisor = hypervisor, .call = vb_call_ref(call), .reply = reply };
        g_ptr_array_add(hypervisor->works, work);
        r = vb_worker_start(&work->worker, vb_daemon_event(hypervisor->daemon), function, data, free_data, on_done, work,
                            reterr);
        if (r < 0) {
                free_data(data);
                return r;
        }
        (void) g_steal_pointer(&work);
        return 0;
}
