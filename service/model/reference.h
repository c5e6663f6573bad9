/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* docs/domain-xml.md: the reference of the domain's format, from its tables. The caller frees it. */
char *vb_domain_reference(void);
