/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* virDomainJobOperation of a job's Operation on the bus; VIR_DOMAIN_JOB_OPERATION_UNKNOWN if it has none. */
int proxy_job_operation(const char *word);
