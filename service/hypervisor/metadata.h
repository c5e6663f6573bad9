/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What applications and people note on a definition: its title, its description, and in <metadata> one element for each XML
 * namespace. An element is given and taken without its namespace, which travels beside it. */

#include "model/domain.h"

typedef enum VbMetadataKind {
        VB_METADATA_TITLE,
        VB_METADATA_DESCRIPTION,
        VB_METADATA_ELEMENT,
        _VB_METADATA_KIND_MAX,
        _VB_METADATA_KIND_INVALID = -EINVAL,
} VbMetadataKind;
VB_STRING_TABLE_DECLARE(vb_metadata_kind, VbMetadataKind);

/* NoMetadata if there is none. uri is the namespace of an element, else not looked at. ret is to be freed. */
VB_MUST_USE int vb_metadata_get(const VbDomainDefinition *definition, VbMetadataKind kind, const char *uri, char **ret,
                                sd_bus_error *reterr);

/* key is the element's namespace prefix. An empty value removes it. InvalidArgument, InvalidXML. */
VB_MUST_USE int vb_metadata_set(VbDomainDefinition *definition, VbMetadataKind kind, const char *uri, const char *key,
                                const char *value, sd_bus_error *reterr);
