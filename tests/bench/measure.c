/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "measure.h"

#include <glib.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

struct Samples {
        GArray *microseconds; /* double */
};

Samples *samples_new(void) {
        Samples *samples = g_new0(Samples, 1);

        samples->microseconds = g_array_new(false, false, sizeof(double));
        return samples;
}

Samples *samples_free(Samples *samples) {
        if (!samples)
                return NULL;

        g_array_unref(samples->microseconds);
        g_free(samples);
        return NULL;
}

uint64_t now_nsec(void) {
        struct timespec ts;

        (void) clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t) ts.tv_sec * UINT64_C(1000000000) + (uint64_t) ts.tv_nsec;
}

void samples_add(Samples *samples, uint64_t start, uint64_t end) {
        double microseconds = (double) (end - start) / 1000.0;

        g_array_append_val(samples->microseconds, microseconds);
}

void samples_add_since(Samples *samples, uint64_t since) {
        samples_add(samples, since, now_nsec());
}

void samples_print(const Samples *samples, const char *row, const char *backend) {
        printf("{\"row\": \"%s\", \"backend\": \"%s\", \"us\": [", row, backend);
        for (guint i = 0; i < samples->microseconds->len; i++)
                printf("%s%.1f", i > 0 ? ", " : "", g_array_index(samples->microseconds, double, i));
        printf("]}\n");
}
