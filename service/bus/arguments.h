/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* From a message to a struct of typed arguments, as the generated tables say. */

#include "base/cleanup.h"
#include "bus/interface.h"

/* Reads all arguments from the message's current position into args, which has been filled with the defaults.
 * context ("Start") begins each complaint, which is InvalidArgument and names the argument or option and what
 * would be right. Call vb_arguments_done() also after a failure. */
VB_MUST_USE int vb_arguments_read(sd_bus_message *message, const VbArgument *arguments, void *args,
                                  const char *context, sd_bus_error *reterr);

/* Frees the arrays in args. */
void vb_arguments_done(const VbArgument *arguments, void *args);
