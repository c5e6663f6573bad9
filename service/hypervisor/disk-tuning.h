/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Limits of single disks, <iotune>, which an emulator holds: how they are changed, and told on the bus. Pure, as tuning.h. */

#include <systemd/sd-bus.h>

#include "interfaces/domain1.h"
#include "model/domain.h"

/* The place of a disk among the definition's, by its target or the path of its image; or NoDevice. */
VB_MUST_USE int vb_disk_find(const VbDomainDefinition *definition, const char *disk, sd_bus_error *reterr);

/* Returns the disk's place. */
VB_MUST_USE int vb_disk_tuning_set(VbDomainDefinition *definition, const VbDomain1SetDiskTuningArgs *args, sd_bus_error *reterr);

/* One a{sv} of what is set. */
VB_MUST_USE int vb_disk_tuning_append(sd_bus_message *m, const VbDisk *disk);
