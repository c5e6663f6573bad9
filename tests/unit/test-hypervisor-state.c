/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hypervisor/state.h"

#include <glib.h>

#include "hypervisor/metadata.h"

/* Every value has a word, and every word is the value's alone. */
static void walk(const VbStringTable *table) {
        for (int i = 0; i < table->n_words; i++) {
                g_assert_nonnull(vb_string_table_get(table, i));
                g_assert_cmpint(vb_string_table_find(table, vb_string_table_get(table, i)), ==, i);
        }
        g_assert_null(vb_string_table_get(table, table->n_words));
        g_assert_cmpint(vb_string_table_find(table, "no such word"), ==, -EINVAL);
}

static void test_tables(void) {
        walk(&vb_domain_state_table);
        walk(&vb_domain_reason_table);
        walk(&vb_metadata_kind_table);
}

/* The pairs that the contract tells clients of; whatever else the code may set, they could not understand. */
static const char *const contract[_VB_DOMAIN_STATE_MAX] = {
        [VB_DOMAIN_RUNNING] = "booted migrated restored from-snapshot unpaused migration-canceled save-canceled wakeup crashed "
                              "postcopy postcopy-failed",
        [VB_DOMAIN_PAUSED] = "user migration save dump ioerror watchdog from-snapshot shutting-down snapshot crashed "
                             "starting-up postcopy postcopy-failed api-error host-sleep restoring restored",
        [VB_DOMAIN_SHUTDOWN] = "user",
        [VB_DOMAIN_SHUTOFF] = "shutdown destroyed crashed migrated saved failed from-snapshot daemon",
        [VB_DOMAIN_CRASHED] = "panicked",
        [VB_DOMAIN_PMSUSPENDED] = "",
};

static void test_pairs(void) {
        for (int state = 0; state < _VB_DOMAIN_STATE_MAX; state++) {
                g_auto(GStrv) words = g_strsplit(contract[state], " ", -1);

                for (int reason = 0; reason < _VB_DOMAIN_REASON_MAX; reason++) {
                        bool allowed = reason == VB_REASON_UNKNOWN ||
                                       g_strv_contains((const char *const *) words, vb_domain_reason_to_string((VbDomainReason) reason));

                        if (vb_domain_state_allows((VbDomainState) state, (VbDomainReason) reason) != allowed)
                                g_error("%s (%s) is %s", vb_domain_state_to_string((VbDomainState) state),
                                        vb_domain_reason_to_string((VbDomainReason) reason), allowed ? "refused" : "allowed");
                }
        }
        g_assert_false(vb_domain_state_allows(_VB_DOMAIN_STATE_INVALID, VB_REASON_UNKNOWN));
        g_assert_false(vb_domain_state_allows(VB_DOMAIN_RUNNING, _VB_DOMAIN_REASON_INVALID));
}

static void test_active(void) {
        for (int state = 0; state < _VB_DOMAIN_STATE_MAX; state++)
                g_assert_cmpint(vb_domain_state_is_active((VbDomainState) state), ==, state != VB_DOMAIN_SHUTOFF);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/hypervisor/state/tables", test_tables);
        g_test_add_func("/hypervisor/state/pairs", test_pairs);
        g_test_add_func("/hypervisor/state/active", test_active);
        return g_test_run();
}
