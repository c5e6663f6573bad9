/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Persistent definitions on disk: CONFIG/NAME.xml; for those that start with the host a link, CONFIG/autostart/NAME.xml; for those
 * that start with it the next time, CONFIG/autostart/NAME.once, with the number that the guest last ran as, which gives the order. Written
 * in the background; loaded once, at the start. */

#include "base/writer.h"
#include "hypervisor/domain.h"

/* What the files of a definition look like to this program; a later one reads what an earlier one wrote. */
#define VB_DOMAIN_FILE_FORMAT 1

/* CONFIG/NAME.xml. To be freed. */
char *vb_domain_file_path(const VbHypervisor *hypervisor, const char *name);

/* Puts the definition on disk, under its own name; then done(). */
void vb_domain_file_save(VbHypervisor *hypervisor, const VbDomainDefinition *definition, VbWriterCallback done,
                         void *userdata);

/* Removes the definition that was written under this name, and the links that the domain has; then done(). */
void vb_domain_file_remove(const VbDomain *domain, const char *name, VbWriterCallback done, void *userdata);

/* Sets or removes the link of a domain, or its mark for the next boot. */
typedef void (*VbDomainFileMark)(const VbDomain *domain, bool on, VbWriterCallback done, void *userdata);
void vb_domain_file_set_autostart(const VbDomain *domain, bool on, VbWriterCallback done, void *userdata);
void vb_domain_file_set_autostart_once(const VbDomain *domain, bool on, VbWriterCallback done, void *userdata);

/* Fills the registry. A definition that cannot be read is left alone and told in the log; the others are loaded all the same. Blocks: only
 * for the daemon's start. Returns how many were loaded, or a negative errno if the folder itself cannot be read. */
VB_MUST_USE int vb_domain_files_load(VbHypervisor *hypervisor);
