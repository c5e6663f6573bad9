/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The devices that a machine has without being told, and what a device is of which nobody said more than its
 * kind. */

#include "model/domain.h"

/* Adds them, with the controllers that disks and channels need, and gives disks their units. */
int vb_implicit_add(VbDomainDefinition *definition, const VbDomainHost *host, sd_bus_error *reterr) VB_MUST_USE;
