/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* In which order the guests that start with the host do so:
 *
 *     1. those whose metadata gives them a place, by that: <start xmlns="https://virtbus.org/schemas/start/1.0" order="10"/>;
 *     2. those that ran when the host went down, in the order in which they were started then;
 *     3. the others, by name. */

#include "hypervisor/domain.h"

#define VB_START_NAMESPACE "https://virtbus.org/schemas/start/1.0"
#define VB_START_ORDER_MAX 1000000u

/* The place that the definition's metadata gives; VB_START_ORDER_MAX + 1 if it gives none. InvalidXML if what it says is no place; that is
 * checked when it is set. */
VB_MUST_USE int vb_start_order_read(const VbDomainDefinition *definition, unsigned *ret, sd_bus_error *reterr);

/* InvalidXML if the definition's place cannot be understood. */
VB_MUST_USE int vb_start_order_check(const VbDomainDefinition *definition, sd_bus_error *reterr);

/* Puts domains (a GPtrArray of VbDomain *, each persistent) into this order. A place that cannot be read is told in the log, and is none. */
void vb_start_order_sort(GPtrArray *domains);
