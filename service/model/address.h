/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Giving devices their places. Each of these leaves what was given, and fails if that clashes, or nothing is
 * left. */

#include "model/domain.h"

/* Disks on buses with units, by their targets' letters: sdb is unit 1. */
int vb_address_assign_drives(VbDomainDefinition *definition, sd_bus_error *reterr) VB_MUST_USE;
/* Channels and consoles, on ports of virtio-serial controllers. */
int vb_address_assign_virtio_serial(VbDomainDefinition *definition, sd_bus_error *reterr) VB_MUST_USE;
int vb_address_assign_usb(VbDomainDefinition *definition, sd_bus_error *reterr) VB_MUST_USE;
/* PCI; adds the bridges and root ports that it takes. */
int vb_address_assign_pci(VbDomainDefinition *definition, sd_bus_error *reterr) VB_MUST_USE;

/* The controller of this type and index, or NULL. */
VbController *vb_domain_find_controller(const VbDomainDefinition *definition, VbControllerType type,
                                        uint32_t index);
/* Adds one behind all others unless it is there; returns it. */
VbController *vb_domain_add_controller(VbDomainDefinition *definition,
                                       VbControllerType type,
                                       uint32_t index,
                                       VbControllerModel model);
