/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Definitions come, change and go. Whoever calls these has the right to. Memory follows the disk: a definition counts from when it
 * is synced, and if that fails, everything stays as it was. All return 0 if done() follows, or a negative errno with reterr filled. */

#include "hypervisor/domain.h"

/* Makes a persistent domain of a complete definition (taken, also on failure), or gives an existing one with its UUID this one. owner
 * counts for a new domain, and for an existing one if change_owner is set. */
VB_MUST_USE int vb_hypervisor_define(VbHypervisor *hypervisor, VbDomainDefinition *definition, uid_t owner,
                                     bool change_owner, VbDone done, void *userdata, sd_bus_error *reterr);

/* Makes a transient domain, with a guest to come: definition (not taken) tells name and UUID. It is not on the bus yet. If a persistent domain
 * that is off has the UUID, gives that. */
VB_MUST_USE int vb_hypervisor_prepare_transient(VbHypervisor *hypervisor, const VbDomainDefinition *definition, uid_t owner,
                                                VbDomain **ret, sd_bus_error *reterr);

/* What becomes of the file with the firmware's variables. */
typedef enum VbUndefineNvram {
        VB_UNDEFINE_NVRAM_UNDECIDED,
        VB_UNDEFINE_NVRAM_KEEP,
        VB_UNDEFINE_NVRAM_REMOVE,
} VbUndefineNvram;
VB_MUST_USE int vb_domain_undefine(VbDomain *domain, bool managed_save, bool keep_tpm, VbUndefineNvram nvram, VbDone done, void *userdata,
                                   sd_bus_error *reterr);

VB_MUST_USE int vb_domain_rename(VbDomain *domain, const char *name, VbDone done, void *userdata, sd_bus_error *reterr);

/* Gives the domain a changed persistent definition (taken, also on failure), with the same name. what: "set metadata". */
VB_MUST_USE int vb_domain_save_config(VbDomain *domain, const char *what, VbDomainDefinition *definition, VbDone done,
                                      void *userdata, sd_bus_error *reterr);

/* Whether it starts with the host: always, or the next time only. */
VB_MUST_USE int vb_domain_save_autostart(VbDomain *domain, bool autostart, VbDone done, void *userdata,
                                         sd_bus_error *reterr);
VB_MUST_USE int vb_domain_save_autostart_once(VbDomain *domain, bool autostart_once, VbDone done, void *userdata,
                                              sd_bus_error *reterr);

/* Where a managed save of the domain is, if there is one. To be freed. */
char *vb_domain_managed_save_path(const VbDomain *domain);
