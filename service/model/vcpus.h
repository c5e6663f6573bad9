/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which of a guest's vCPUs are there: <vcpu current='…'>, and where they differ one by one, <vcpus>. Without that, those with the lowest
 * numbers are there from the start, for good, and the others can be plugged in. */

#include "model/domain.h"

/* Whether it is there; whether it can come or go while the guest runs. */
bool vb_vcpu_is_enabled(const VbDomainDefinition *definition, uint32_t vcpu);
bool vb_vcpu_is_hotpluggable(const VbDomainDefinition *definition, uint32_t vcpu);

/* How many are there that stay: the machine is made with them. */
uint32_t vb_vcpus_count_fixed(const VbDomainDefinition *definition);

/* Those that stay must be the first. InvalidXML or UnsupportedConfiguration; part of vb_domain_definition_check(). */
VB_MUST_USE int vb_vcpus_check(const VbDomainDefinition *definition, sd_bus_error *reterr);

/* Makes <vcpus> say what it would mean to be silent. */
void vb_vcpus_spell_out(VbDomainDefinition *definition);

/* Plugs it in, or out, as the last one; hotpluggable counts for one that is enabled. Spells out. */
void vb_vcpu_set_enabled(VbDomainDefinition *definition, uint32_t vcpu, bool enabled, bool hotpluggable);

/* How many there can be, at least 1. Those that can be no more are forgotten; new ones are off, but with no <vcpus>, as many are there as
 * before. */
void vb_vcpus_set_maximum(VbDomainDefinition *definition, uint32_t vcpus);
