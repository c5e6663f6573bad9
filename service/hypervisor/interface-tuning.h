/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Limits of single network cards, <bandwidth>: how they are changed, and told on the bus. Pure, as tuning.h. */

#include <systemd/sd-bus.h>

#include "interfaces/domain1.h"
#include "model/domain.h"

/* The place of a network card among the definition's, by the name of its host's side or its MAC address; or NoDevice. */
VB_MUST_USE int vb_interface_find(const VbDomainDefinition *definition, const char *interface, sd_bus_error *reterr);

/* Returns the card's place. */
VB_MUST_USE int vb_interface_tuning_set(VbDomainDefinition *definition, const VbDomain1SetInterfaceTuningArgs *args,
                                        sd_bus_error *reterr);

/* One a{sv} of what is set. */
VB_MUST_USE int vb_interface_tuning_append(sd_bus_message *m, const VbInterface *interface);
