/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the service manager is told while guests are brought to safety: "saving 3 of 7 guests: web 42%, …", and how long that may take. */

#include "bus/manager.h"
#include "hypervisor/host-shutdown-private.h"

/* From the moment when a phase must be given up to the moment when the manager ends the daemon, which then has hung. */
#define MARGIN_USEC (UINT64_C(15) * 1000000)

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

static uint64_t latest_deadline(const GPtrArray *guests) {
        uint64_t latest = 0;

        for (unsigned i = 0; i < guests->len; i++) {
                const VbHostGuest *guest = guests->pdata[i];

                if (vb_host_guest_is_under_way(guest))
                        latest = MAX(latest, guest->deadline_usec);
        }
        return latest;
}

/* The moment moves only when a guest does: what stands still does not put it off. */
void vb_host_status_tell(VbHostStatus *status, const GPtrArray *guests, uint64_t now) {
        uint64_t until = latest_deadline(guests) + MARGIN_USEC;
        GString *text = g_string_new(NULL);

        for (size_t i = 0; i < G_N_ELEMENTS(phases); i++)
                append_phase(text, guests, phases[i].phase, phases[i].words);
        if (until > now && (until != status->until_usec || g_strcmp0(text->str, status->text) != 0))
                vb_manager_tell_progress(text->str, until - now);
        g_free(status->text);
        *status = (VbHostStatus){ .text = g_string_free(text, false), .until_usec = until };
}

void vb_host_status_clear(VbHostStatus *status) {
        g_free(status->text);
        *status = (VbHostStatus) {};
}
