/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What objects say of themselves, put into messages. */

#include "bus/objects.h"

/* Appends v, and {sv}. */
VB_MUST_USE int vb_managed_append_value(sd_bus_message *message, VbObject *object, const VbProperty *property);
VB_MUST_USE int vb_managed_append_property(sd_bus_message *message, VbObject *object, const VbProperty *property);

/* Appends oa{sa{sv}}: the object with all that its properties say, as also InterfacesAdded has it. */
VB_MUST_USE int vb_managed_append(sd_bus_message *message, VbObject *object);

/* Answers GetManagedObjects in sd-bus's place, for the objects below root. sd-bus would gather, copy and sort all
 * paths, try every vtable on each, and name three standard interfaces without properties for every object:
 * with 1000 domains that is a third of the time for all of them. What is left out, no binding needs: GDBus
 * never sends it. Returns what a filter does. */
int vb_managed_reply(VbObjects *objects, sd_bus_message *message);
