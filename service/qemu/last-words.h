/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What an emulator said before its end, as a tail for an error: on one line, with ": " in front; "" if it said nothing. */

#include "qemu/domain.h"

/* words are valid during the call. */
typedef void (*QemuLastWords)(const char *words, void *userdata);

/* Told at once where that is known here, else when virtlogd has answered, or after two seconds with the name of the log. free_userdata (may be NULL) is
 * called after that, and also if that never comes. ret_slot: ends the question when it is freed, and stays NULL if there is none; NULL: the
 * question outlives the domain's run. */
void qemu_last_words_ask(const QemuDomain *qemu, QemuLastWords told, void *userdata, GDestroyNotify free_userdata, sd_bus_slot **ret_slot);
