/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the settings of libvirt-guests.service say in those of virtqemud. */

#include "import/shell-file.h"

/* Appends "key = value" lines to settings for what the file (path, for messages) sets, and nothing for what it leaves open; and to notes
 * a line for people on each thing that was not taken over, or changes its meaning. -EINVAL with reterr filled (place, what is wrong and what would be
 * right) if a value makes no sense; then both are as they were. */
VB_MUST_USE int vb_libvirt_guests_import(const char *path, const VbShellFile *file, GString *settings, GString *notes,
                                         sd_bus_error *reterr);
