/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* One guest on its way to safety.
 *
 * What else is being done to it (a save, a dump, a start) is waited for; then the steps of its plan follow, each after the one before has
 * failed: save, shut down, power off. Whatever happens meanwhile, the guest that is off is safe.
 *
 * Each phase has a time limit. That of a save, and of what others do, moves with each sign that it goes on, so that it bounds not how long
 * it takes but how long it may stand still. What stands still is cancelled; if that does not help, the guest hangs, and nothing is asked of it
 * any more: its plug is pulled, if it may be. */

#include "base/error.h"
#include "hypervisor/define.h"
#include "hypervisor/host-shutdown-private.h"
#include "hypervisor/lifecycle.h"

#define SECONDS(n) (UINT64_C(n) * 1000000)

/* How long a cancelled job may take to end, a sleeping guest to wake up, and a process to go that was killed. */
#define CANCEL_USEC SECONDS(10)
#define WAKE_USEC SECONDS(10)
#define POWEROFF_USEC SECONDS(30)

static void go_on(VbHostGuest *guest);

VbDomain *vb_host_guest_find(const VbHostGuest *guest) {
        VbDomain *domain = vb_registry_find(vb_host_shutdown_hypervisor(guest->shutdown)->registry, &guest->uuid);

        return domain && domain->id == guest->id ? domain : NULL;
}

/* Whether a callback of that phase still means anything. */
static bool is_in(const VbHostGuest *guest, VbHostGuestPhase phase) {
        return guest->phase == phase && !vb_host_shutdown_is_ended(guest->shutdown);
}

static void enter(VbHostGuest *guest, VbHostGuestPhase phase, uint64_t limit_usec) {
        guest->phase = phase;
        guest->deadline_usec = vb_host_shutdown_now(guest->shutdown) + limit_usec;
        guest->cancelled = false;
        guest->n_signs++;
}

/* --- the end ---------------------------------------------------------------------------------------------------------- */

static void mark(VbHostGuest *guest);

static void tell_end(const VbHostGuest *guest) {
        const VbDomain *domain = vb_registry_find(vb_host_shutdown_hypervisor(guest->shutdown)->registry, &guest->uuid);

        if (vb_host_guest_find(guest))
                vb_log_warning_for(VB_DOMAIN_LOG(domain), "domain '%s': nothing more is tried; it ends with the host", guest->name);
        else
                vb_log_notice("domain '%s' is safe: %s", guest->name, domain ? vb_domain_reason_to_string(domain->reason) : "gone");
}

static void end(VbHostGuest *guest) {
        guest->phase = VB_HOST_GUEST_OVER;
        guest->n_signs++;
        tell_end(guest);
        mark(guest); /* if something stood in its way before */
        vb_host_shutdown_guest_changed(guest->shutdown);
}

static void failed(const VbHostGuest *guest, int r, const sd_bus_error *error) {
        const char *why = error && error->message ? error->message : g_strerror(-r);
        g_autofree char *name = g_strdup_printf("'%s'", guest->name);

        /* Most say whom they are about. */
        if (strstr(why, name))
                vb_log_warning("%s", why);
        else
                vb_log_warning("domain %s: %s", name, why);
}

/* --- power off -------------------------------------------------------------------------------------------------------- */

static void on_powered_off(int r, const sd_bus_error *error, void *userdata) {
        VbHostGuest *guest = userdata;

        if (!is_in(guest, VB_HOST_GUEST_POWERING_OFF))
                return;
        if (r < 0)
                failed(guest, r, error);
        end(guest);
}

static void power_off(VbHostGuest *guest, VbDomain *domain) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        int r;

        enter(guest, VB_HOST_GUEST_POWERING_OFF, POWEROFF_USEC);
        vb_log_notice_for(VB_DOMAIN_LOG(domain), "domain '%s': is being powered off", guest->name);
        r = vb_domain_destroy(domain, /* graceful= */ false, on_powered_off, guest, &error);
        if (r < 0)
                on_powered_off(r, &error, guest);
}

/* It answers nothing. */
static void give_up(VbHostGuest *guest, VbDomain *domain) {
        guest->hangs = true;
        if (guest->plan.steps[VB_HOST_STEP_POWEROFF])
                power_off(guest, domain);
        else
                end(guest);
}

/* --- shut down -------------------------------------------------------------------------------------------------------- */

static void ask(VbHostGuest *guest, VbDomain *domain, VbAskMode mode, uint64_t usec);

static void on_asked(int r, const sd_bus_error *error, void *userdata) {
        VbHostGuest *guest = userdata;
        uint64_t now = vb_host_shutdown_now(guest->shutdown);
        VbDomain *domain;

        if (!is_in(guest, VB_HOST_GUEST_SHUTTING_DOWN))
                return;
        domain = vb_host_guest_find(guest);
        if (domain && r < 0 && r != -ETIMEDOUT) {
                failed(guest, r, error);
                if (guest->agent_asked && now < guest->deadline_usec) {
                        ask(guest, domain, VB_ASK_ACPI, guest->deadline_usec - now);
                        return;
                }
        } else if (domain && guest->agent_asked && now < guest->deadline_usec) {
                vb_log_notice_for(VB_DOMAIN_LOG(domain), "domain '%s': has not shut down for its agent; the power button is tried",
                                  guest->name);
                ask(guest, domain, VB_ASK_ACPI, guest->deadline_usec - now);
                return;
        } else if (domain)
                vb_log_warning_for(VB_DOMAIN_LOG(domain), "domain '%s': has not shut down within %" G_GUINT64_FORMAT " s", guest->name,
                                   guest->plan.wait_usec / SECONDS(1));
        go_on(guest);
}

static void ask(VbHostGuest *guest, VbDomain *domain, VbAskMode mode, uint64_t usec) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        int r;

        guest->agent_asked = mode == VB_ASK_DEFAULT && domain->agent_connected;
        /* Half of the time for the agent, the other for the button: not every guest does what its agent says. */
        r = vb_domain_shutdown(domain, mode, guest->agent_asked ? usec / 2 : usec, /* then_destroy= */ false, on_asked, guest, &error);
        if (r < 0) {
                guest->agent_asked = false;
                on_asked(r, &error, guest);
        }
}

static void shut_down(VbHostGuest *guest, VbDomain *domain) {
        enter(guest, VB_HOST_GUEST_SHUTTING_DOWN, guest->plan.wait_usec);
        vb_log_info_for(VB_DOMAIN_LOG(domain), "domain '%s': is asked to shut down", guest->name);
        ask(guest, domain, VB_ASK_DEFAULT, guest->plan.wait_usec);
}

/* --- save ------------------------------------------------------------------------------------------------------------- */

static void on_saved(int r, const sd_bus_error *error, void *userdata) {
        VbHostGuest *guest = userdata;

        if (!is_in(guest, VB_HOST_GUEST_SAVING))
                return;
        if (r < 0)
                failed(guest, r, error);
        go_on(guest);
}

static void save(VbHostGuest *guest, VbDomain *domain) {
        const VbHostSettings *settings = &domain->hypervisor->host;
        const VbSaveOptions options = {
                .bypass_cache = settings->save_bypass_cache,
                .resume_running = domain->state == VB_DOMAIN_RUNNING,
        };
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        int r;

        enter(guest, VB_HOST_GUEST_SAVING, settings->save_stall_usec);
        vb_log_info_for(VB_DOMAIN_LOG(domain), "domain '%s': is being saved", guest->name);
        r = domain->hypervisor->driver->managed_save(domain, &options, /* call= */ NULL, on_saved, guest, &error);
        if (r < 0)
                on_saved(r, &error, guest);
}

/* --- one after another ------------------------------------------------------------------------------------------------ */

static void on_woken(int r, const sd_bus_error *error, void *userdata) {
        VbHostGuest *guest = userdata;

        if (!is_in(guest, VB_HOST_GUEST_WAKING))
                return;
        if (r < 0)
                failed(guest, r, error);
        go_on(guest);
}

/* A guest that sleeps would be saved as one that does not, and does not hear its button. true: it is being woken. */
static bool wake(VbHostGuest *guest, VbDomain *domain) {
        if (domain->state != VB_DOMAIN_PMSUSPENDED || guest->phase == VB_HOST_GUEST_WAKING || guest->hangs)
                return false;
        enter(guest, VB_HOST_GUEST_WAKING, WAKE_USEC);
        return vb_domain_resume(domain, on_woken, guest, NULL) >= 0;
}

/* Whether a step can be taken with a guest in this state. */
static bool makes_sense(const VbHostGuest *guest, const VbDomain *domain, VbHostStep step) {
        bool runs = domain->state == VB_DOMAIN_RUNNING, stands = domain->state == VB_DOMAIN_PAUSED;

        if (!guest->plan.steps[step])
                return false;
        switch (step) {
        case VB_HOST_STEP_SAVE:
                return (runs || stands) && !guest->hangs && domain->config && domain->hypervisor->driver->managed_save;
        case VB_HOST_STEP_SHUTDOWN:
                /* One that stands still hears nothing, and who made it stand still did not want it to run. */
                return runs && !guest->hangs;
        default:
                return true;
        }
}

/* Something else is being done to it, or this daemon has just taken it up, and it has not answered yet. */
static bool is_busy(const VbHostGuest *guest, const VbDomain *domain) {
        const VbDriver *driver = domain->hypervisor->driver;

        return domain->operation || (!guest->hangs && driver->is_ready && !driver->is_ready(domain));
}

static void go_on(VbHostGuest *guest) {
        static void (*const take[_VB_HOST_STEP_MAX])(VbHostGuest *guest, VbDomain *domain) = {
                [VB_HOST_STEP_SAVE] = save,
                [VB_HOST_STEP_SHUTDOWN] = shut_down,
                [VB_HOST_STEP_POWEROFF] = power_off,
        };
        VbDomain *domain = vb_host_guest_find(guest);

        if (domain && is_busy(guest, domain)) {
                vb_log_info_for(VB_DOMAIN_LOG(domain), "domain '%s': %s is waited for", guest->name,
                                domain->operation ?: "its first answer");
                enter(guest, VB_HOST_GUEST_WAITING, guest->plan.wait_usec);
                return;
        }
        if (domain && wake(guest, domain))
                return;
        while (domain && guest->next_step < _VB_HOST_STEP_MAX) {
                VbHostStep step = (VbHostStep) guest->next_step++;

                if (!makes_sense(guest, domain, step))
                        continue;
                take[step](guest, domain);
                return;
        }
        end(guest);
}

/* --- what is looked at from time to time ------------------------------------------------------------------------------- */

/* The work goes on: its limit moves. */
static void note_moves(VbHostGuest *guest, const VbDomain *domain, uint64_t now) {
        uint64_t moves = domain->job ? vb_job_figures(domain->job).moves : 0;

        if (moves == guest->n_moves || guest->cancelled)
                return;
        guest->n_moves = moves;
        guest->n_signs++;
        guest->deadline_usec = MAX(guest->deadline_usec, now + domain->hypervisor->host.save_stall_usec);
}

static void stalled(VbHostGuest *guest, VbDomain *domain, uint64_t now) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

        if (guest->cancelled || !domain->job || vb_job_cancel(domain->job, &error) < 0) {
                vb_log_warning_for(VB_DOMAIN_LOG(domain), "domain '%s': %s does not end; the guest hangs", guest->name,
                                   domain->operation ?: "what is done to it");
                give_up(guest, domain);
                return;
        }
        vb_log_warning_for(VB_DOMAIN_LOG(domain), "domain '%s': %s has stood still for too long, and is cancelled", guest->name,
                           domain->operation);
        guest->cancelled = true;
        guest->deadline_usec = now + CANCEL_USEC;
}

void vb_host_guest_look(VbHostGuest *guest, uint64_t now) {
        VbDomain *domain = vb_host_guest_find(guest);

        if (!vb_host_guest_is_under_way(guest))
                return;
        if (guest->phase == VB_HOST_GUEST_WAITING && (!domain || !is_busy(guest, domain))) {
                go_on(guest);
                return;
        }
        if (!domain)
                return; /* the phase's own callback tells */

        note_moves(guest, domain, now);
        if (now < guest->deadline_usec)
                return;
        switch (guest->phase) {
        case VB_HOST_GUEST_WAITING:
        case VB_HOST_GUEST_SAVING: stalled(guest, domain, now); break;
        case VB_HOST_GUEST_WAKING: give_up(guest, domain); break;
        case VB_HOST_GUEST_POWERING_OFF: end(guest); break;
        default: break; /* a shutdown keeps its own time */
        }
}

/* --- the mark for the next boot ---------------------------------------------------------------------------------------- */

static void on_marked(int r, const sd_bus_error *error, void *userdata) {
        VbHostGuest *guest = userdata;

        guest->marks = false;
        if (vb_host_shutdown_is_ended(guest->shutdown))
                return;
        if (r < 0)
                failed(guest, r, error);
        else
                guest->marked = true;
        vb_host_shutdown_guest_changed(guest->shutdown);
}

/* At once, and not when the guest is safe: should the power go first, it starts again nevertheless. */
static void mark(VbHostGuest *guest) {
        VbHypervisor *hypervisor = vb_host_shutdown_hypervisor(guest->shutdown);
        VbDomain *domain = vb_registry_find(hypervisor->registry, &guest->uuid);
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;

        if (!hypervisor->host.restore || !domain || !domain->config || domain->autostart || domain->autostart_once || guest->marks)
                return;
        guest->marks = true;
        if (vb_domain_save_autostart_once(domain, true, on_marked, guest, &error) >= 0)
                return;
        guest->marks = false;
        /* Its definition is just being written: it is tried once more. */
        if (guest->phase == VB_HOST_GUEST_OVER)
                vb_log_warning_for(VB_DOMAIN_LOG(domain), "domain '%s' will not start with the host: %s", guest->name, error.message);
}

/* --- life -------------------------------------------------------------------------------------------------------------- */

VbHostGuest *vb_host_guest_new(VbHostShutdown *shutdown, VbDomain *domain) {
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        VbHostGuest *guest = g_new(VbHostGuest, 1);

        *guest = (VbHostGuest){
                .shutdown = shutdown,
                .uuid = domain->uuid,
                .name = g_strdup(domain->name),
                .id = domain->id,
        };
        if (vb_host_plan_make(&guest->plan, &domain->hypervisor->host, domain, &error) < 0)
                failed(guest, 0, &error);
        mark(guest);
        return guest;
}

void vb_host_guest_begin(VbHostGuest *guest) {
        go_on(guest);
}

void vb_host_guest_free(VbHostGuest *guest) {
        g_free(guest->name);
        g_free(guest);
}
