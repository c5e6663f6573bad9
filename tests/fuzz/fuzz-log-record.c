/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a daemon left of an open log, which another program may have written over. */

#include <string.h>

#include "fuzz.h"
#include "log/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autofree char *text = g_strndup((const char *) data, size), *again = NULL;
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        g_auto(LogRecord) record = { 0 }, same = { 0 };
        g_autofree char *path = NULL;

        if (log_record_parse(text, &record, &error) < 0) {
                g_assert_nonnull(error.message);
                return 0;
        }
        path = log_name_path(&record.spec.name);
        g_assert_null(strstr(path, "/../"));
        /* What was understood is written so that it is understood again. */
        again = log_record_format(&record.spec, record.device, record.inode);
        g_assert_cmpint(log_record_parse(again, &same, NULL), ==, 0);
        g_assert_cmpstr(same.spec.name.domain, ==, record.spec.name.domain);
        return 0;
}
