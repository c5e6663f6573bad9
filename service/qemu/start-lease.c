/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The steps of a start that see to it that nobody else has what the guest needs for itself. What that is, is known when its images have been
 * opened; it is asked for when there is a process that can have it, and that has not become an emulator yet. */

#include <fcntl.h>

#include "base/error.h"
#include "qemu/start-private.h"

/* --- claim: what is needed ------------------------------------------------------------------------------------------ */

/* The very files that were opened with the owner's rights; the emulator's own descriptors are not at hand any more when they are asked for. */
static int take_image(QemuStart *start, VbClaim *claim, sd_bus_error *reterr) {
        VbOpenResult *opened = start->resources->opened;
        const VbOpenChain *chain = opened ? vb_open_result_find(opened, claim->device) : NULL;

        if (!chain || chain->n_images == 0)
                return sd_bus_error_setf(reterr, VB_ERROR_OPERATION_FAILED, "domain '%s': %s was not opened",
                                         start->qemu->domain->name, claim->device);
        claim->fd = fcntl(chain->images[0].fd, F_DUPFD_CLOEXEC, 3);
        if (claim->fd < 0)
                return sd_bus_error_setf(reterr, VB_ERROR_OPERATION_FAILED, "domain '%s': %s: cannot keep its descriptor: %s",
                                         start->qemu->domain->name, claim->device, g_strerror(errno));
        return 0;
}

int qemu_start_claim(VbOperation *operation, void *userdata, sd_bus_error *reterr) {
        QemuStart *start = userdata;
        VbDomain *domain = start->qemu->domain;
        int r;

        r = vb_lock_prepare(domain, reterr);
        for (size_t i = 0; r >= 0 && domain->claims && i < domain->claims->n; i++)
                if (!domain->claims->items[i].folder)
                        r = take_image(start, &domain->claims->items[i], reterr);
        return r < 0 ? r : VB_STEP_DONE;
}

static void on_released(VbLockCall *call, int r, const sd_bus_error *error, void *userdata) {
        QemuStart *start = userdata;

        start->qemu->lock_call = vb_lock_call_free(start->qemu->lock_call);
        vb_operation_undo_done(start->operation, r);
}

/* The process is gone by now, and what it had with it; but whoever is told of the failure may try again at once, also on another host. */
int qemu_start_claim_undo(VbOperation *operation, void *userdata) {
        QemuStart *start = userdata;
        QemuDomain *qemu = start->qemu;
        int r;

        qemu->lock_call = vb_lock_call_free(qemu->lock_call);
        r = vb_lock_release(&qemu->lock_call, qemu->domain, on_released, start, /* reterr= */ NULL);
        return r > 0 ? VB_STEP_PENDING : r < 0 ? r : VB_STEP_DONE;
}

/* --- lease: nobody else has it, and nobody gets it ------------------------------------------------------------------- */

static void on_acquired(VbLockCall *call, int r, const sd_bus_error *error, void *userdata) {
        QemuStart *start = userdata;
        QemuDomain *qemu = start->qemu;

        vb_claims_close(qemu->domain->claims);
        vb_operation_step_done(start->operation, r, error);
        qemu->lock_call = vb_lock_call_free(qemu->lock_call);
}

static int ask(QemuStart *start, sd_bus_error *reterr) {
        QemuDomain *qemu = start->qemu;

        return vb_lock_acquire(&qemu->lock_call, qemu->domain, on_acquired, start, reterr);
}

void qemu_start_at_gate(VbProcess *process, void *userdata) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        QemuDomain *qemu = userdata;
        int r;

        if (!qemu->start)
                return;
        qemu->start->at_gate = true;
        if (!qemu->start->waits_for_gate)
                return;
        r = ask(qemu->start, &error);
        if (r < 0)
                vb_operation_step_done(qemu->start->operation, r, &error);
}

int qemu_start_lease(VbOperation *operation, void *userdata, sd_bus_error *reterr) {
        QemuStart *start = userdata;
        const QemuDomain *qemu = start->qemu;
        VbClaims *claims = qemu->domain->claims;
        int r;

        if (!claims)
                return VB_STEP_DONE;
        claims->pid = vb_process_get_pid(qemu->process);
        claims->start_time = vb_process_get_start_time(qemu->process);
        /* It is known to the lock manager when it has told that itself. */
        start->waits_for_gate = vb_lock_get_enroll(qemu->domain) && !start->at_gate;
        if (start->waits_for_gate)
                return VB_STEP_PENDING;
        r = ask(start, reterr);
        return r < 0 ? r : VB_STEP_PENDING;
}
