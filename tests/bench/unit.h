/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Asks the service manager, over the bus, to do something with a unit, and waits until the job is done. */
int unit_job(const char *method, const char *unit);
