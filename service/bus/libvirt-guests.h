/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* libvirt-guests.service, which sees to guests by calling virsh when the host goes down. Where it is active, and virsh would speak to virtbus, both
 * would see to the same guests; so virtbus lets it go first. */

#include <stdbool.h>

#include "base/cleanup.h"

/* acts: it will see to guests that virtbus runs. Called once, never from within; no answer in a few seconds is a no. *ret is unref'ed to ask no
 * more. */
typedef void (*VbLibvirtGuestsAnswer)(bool acts, void *userdata);
VB_MUST_USE int vb_libvirt_guests_ask(sd_bus_slot **ret, sd_bus *bus, VbLibvirtGuestsAnswer answer, void *userdata);

/* Has the log say so if it is enabled. */
VB_MUST_USE int vb_libvirt_guests_tell(sd_bus_slot **ret, sd_bus *bus);
