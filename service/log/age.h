/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Removes, now and once a day, what max_age_days says is too old. */

#include "log/manager.h"

void log_age_begin(LogManager *manager);
