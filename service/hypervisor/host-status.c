/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the service manager is told while guests are brought to safety: "saving 3 of 7 guests: web 42%, …", and how long that may take. */

#include "bus/manager.h"
#include "hypervisor/host-shutdown-private.h"

/* From the moment when a phase must be given up to the moment when the manager ends the daemon, which then has hung. */
#define MARGIN_USEC (UINT64_C(15) * 1000000)

/* What one sign that guests move is good for at most, however long a save may stand still by the settings: as long as the manager gives
 * services by default. */
#define PROGRESS_USEC (UINT64_C(90) * 1000000)

enum { NAMES_MAX = 4 };

static const struct {
        VbHostGuestPhase phase;
        const char *words;
} phases[] = {
        { VB_HOST_GUEST_SAVING, "saving" },
        { VB_HOST_GUEST_SHUTTING_DOWN, "shutting down" },
        { VB_HOST_GUEST_POWERING_OFF, "powering off" },
        { VB_HOST_GUEST_WAKING, "waking" },
        { VB_HOST_GUEST_WAITING, "waiting for" },
};

static void append_guest(GString *text, const VbHostGuest *guest) {
        const VbDomain *domain = vb_host_guest_find(guest);
        VbJobFigures figures;

        (void) g_string_append(text, guest->name);
        if (!domain || !domain->job)
                return;
        figures = vb_job_figures(domain->job);
        if (figures.bytes_total > 0)
                g_string_append_printf(text, " %.0f%%", 100.0 * (double) figures.bytes_done / (double) figures.bytes_total);
}

static void append_phase(GString *text, const GPtrArray *guests, VbHostGuestPhase phase, const char *words) {
        g_autoptr(GString) names = g_string_new(NULL);
        unsigned n = 0;

        for (unsigned i = 0; i < guests->len; i++) {
                const VbHostGuest *guest = guests->pdata[i];

                if (guest->phase != phase || ++n > NAMES_MAX)
                        continue;
                if (n > 1)
                        (void) g_string_append(names, ", ");
                append_guest(names, guest);
        }
        if (n == 0)
                return;
        g_string_append_printf(text, "%s%s %u of %u guests: %s%s", text->len > 0 ? "; " : "", words, n, guests->len, names->str,
                               n > NAMES_MAX ? ", …" : "");
}

/* Who is asked to do something has a time of its own to do it; what is to move, only if it does. */
static bool is_bounded(const VbHostGuest *guest) {
        return guest->phase == VB_HOST_GUEST_SHUTTING_DOWN || guest->phase == VB_HOST_GUEST_POWERING_OFF || guest->phase == VB_HOST_GUEST_WAKING;
}

static uint64_t latest_deadline(const GPtrArray *guests, bool bounded) {
        uint64_t latest = 0;

        for (unsigned i = 0; i < guests->len; i++) {
                const VbHostGuest *guest = guests->pdata[i];

                if (vb_host_guest_is_under_way(guest) && is_bounded(guest) == bounded)
                        latest = MAX(latest, guest->deadline_usec);
        }
        return latest;
}

static uint64_t count_signs(const GPtrArray *guests) {
        uint64_t n = 0;

        for (unsigned i = 0; i < guests->len; i++)
                n += ((const VbHostGuest *) guests->pdata[i])->n_signs;
        return n;
}

/* The moment moves only when a guest does: what stands still does not put it off, nor what has not begun to move since the manager began to count. */
static uint64_t until(VbHostStatus *status, const GPtrArray *guests, uint64_t now) {
        uint64_t signs = count_signs(guests);

        if (status->text && signs != status->n_signs)
                status->moved_usec = now;
        status->n_signs = signs;
        return MAX(latest_deadline(guests, /* bounded= */ true),
                   status->moved_usec > 0 ? MIN(latest_deadline(guests, /* bounded= */ false), status->moved_usec + PROGRESS_USEC) : 0);
}

void vb_host_status_tell(VbHostStatus *status, const GPtrArray *guests, uint64_t now) {
        uint64_t limit = until(status, guests, now);
        GString *text = g_string_new(NULL);

        for (size_t i = 0; i < G_N_ELEMENTS(phases); i++)
                append_phase(text, guests, phases[i].phase, phases[i].words);
        if (limit > now && limit != status->until_usec)
                vb_manager_tell_progress(text->str, limit + MARGIN_USEC - now);
        else if (g_strcmp0(text->str, status->text) != 0)
                vb_manager_tell_status(text->str);
        g_free(status->text);
        status->text = g_string_free(text, false);
        status->until_usec = limit;
}

void vb_host_status_clear(VbHostStatus *status) {
        g_free(status->text);
        *status = (VbHostStatus) {};
}
