/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Threads of the emulator that disks and controllers may be given to: <iothreads> says how many, <iothreadids> which numbers they have; without
 * that they are 1, 2 and so on. */

#include "model/domain.h"

bool vb_iothread_exists(const VbDomainDefinition *definition, uint32_t id);
/* The number of the one at a place below definition->iothreads. */
uint32_t vb_iothread_id(const VbDomainDefinition *definition, uint32_t place);
/* What was said of it; NULL: nothing. */
const VbIothread *vb_iothread_find(const VbDomainDefinition *definition, uint32_t id);

/* The same of one that is there, to say something of it. */
VbIothread *vb_iothread_get(VbDomainDefinition *definition, uint32_t id);

/* One that is not there; one that is. */
void vb_iothread_add(VbDomainDefinition *definition, uint32_t id);
void vb_iothread_remove(VbDomainDefinition *definition, uint32_t id);

/* What uses it, such as "disk 'vda'", to be freed; NULL: nothing does. */
char *vb_iothread_user(const VbDomainDefinition *definition, uint32_t id);

/* Whoever names one must name one that is there. Part of vb_domain_definition_check(). */
VB_MUST_USE int vb_iothreads_check(const VbDomainDefinition *definition, sd_bus_error *reterr);
