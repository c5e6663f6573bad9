/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the firmware says about the hardware, as the kernel shows it. */

#include <stdbool.h>

/* A <sysinfo type='smbios'> element, to be freed; NULL if there is nothing to tell. With serials also what the kernel shows to root alone:
 * serial numbers, asset tags that may be one, and the UUID. root as with model/host.h. */
char *vb_sysinfo_format(const char *root, bool serials);
