/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Jobs of a domain, as they are told of afterwards. */

#include "base/error.h"
#include "hypervisor/domain.h"
#include "hypervisor/handlers.h"

static uint64_t elapsed(const VbJobFigures *job) {
        uint64_t now = (uint64_t) g_get_real_time();

        return now > job->started_usec ? now - job->started_usec : 0;
}

void vb_domain_job_clear(VbDomainJob *job) {
        g_free(job->operation);
        g_free(job->error);
        *job = (VbDomainJob) {};
}

void vb_domain_tell_job(VbDomain *domain, int r, const sd_bus_error *error) {
        VbJobFigures figures = vb_job_figures(domain->job);
        bool canceled = r < 0 && sd_bus_error_has_name(error, VB_ERROR_CANCELED);
        VbDomainJob *job = &domain->last_job;

        vb_domain_job_clear(job);
        *job = (VbDomainJob){
                .operation = g_strdup(figures.operation),
                .result = r >= 0 ? "completed" : canceled ? "canceled" : "failed",
                .error = r < 0 && !canceled ? g_strdup(error && error->message ? error->message : g_strerror(-r)) : NULL,
                .elapsed_usec = elapsed(&figures),
                .bytes_done = figures.bytes_done,
                .bytes_total = figures.bytes_total,
        };
        vb_domain1_emit_job_completed(&domain->object, job->operation, job->result, job->elapsed_usec, job->bytes_done,
                                      job->bytes_total);
}

static int append(sd_bus_message *m, const char *state, const VbDomainJob *job) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r < 0)
                return r;
        r = sd_bus_message_append(m, "{sv}", "state", "s", state);
        if (r >= 0 && job)
                r = sd_bus_message_append(m, "{sv}{sv}{sv}{sv}", "operation", "s", job->operation, "elapsed-usec", "t", job->elapsed_usec,
                                          "bytes-done", "t", job->bytes_done, "bytes-total", "t", job->bytes_total);
        if (r >= 0 && job && job->error)
                r = sd_bus_message_append(m, "{sv}", "error", "s", job->error);
        if (r < 0)
                return r;
        return sd_bus_message_close_container(m);
}

static int append_running(sd_bus_message *m, const VbDomain *domain) {
        VbJobFigures figures;

        if (!domain->job)
                return append(m, "none", NULL);
        figures = vb_job_figures(domain->job);
        return append(m, "running",
                      &(VbDomainJob){
                              .operation = (char *) figures.operation,
                              .elapsed_usec = elapsed(&figures),
                              .bytes_done = figures.bytes_done,
                              .bytes_total = figures.bytes_total,
                      });
}

static int append_last(sd_bus_message *m, const VbDomain *domain) {
        const VbDomainJob *job = &domain->last_job;

        return job->operation ? append(m, job->result, job) : append(m, "none", NULL);
}

int vb_domain_on_get_job_stats(VbCall *call, VbObject *object, const VbDomain1GetJobStatsArgs *args, sd_bus_error *reterr) {
        VbDomain *domain = vb_domain_of(object);
        g_autoptr(sd_bus_message) reply = NULL;
        int r;

        r = vb_call_new_reply(call, &reply);
        if (r < 0)
                return r;
        r = args->options.completed ? append_last(reply, domain) : append_running(reply, domain);
        if (r < 0)
                return r;
        if (args->options.completed && !args->options.keep)
                vb_domain_job_clear(&domain->last_job);
        return vb_call_send_reply(call, reply);
}
