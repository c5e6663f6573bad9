/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/libvirt-guests.h"

#include <string.h>

#include "base/log.h"
#include "bus/names.h"

#define ASK_TIMEOUT_USEC (UINT64_C(3) * 1000000)

#define GUESTS_UNIT "libvirt-guests.service"

typedef struct Question {
        VbLibvirtGuestsAnswer answer;
        void *userdata;
} Question;

/* It acts when it is stopped; one that has begun to is no less at it. One that was masked stays active, and will do nothing. */
static bool is_active(const char *load_state, const char *state) {
        return g_str_equal(load_state, "loaded") &&
               (g_str_equal(state, "active") || g_str_equal(state, "deactivating") || g_str_equal(state, "reloading"));
}

/* The sockets of virtproxyd lead virsh to virtbus; where they are not, it finds another libvirt, or none. */
static int read_states(sd_bus_message *reply, bool *ret_acts) {
        bool guests = false, sockets = false;
        const char *name, *load_state, *state;
        int r;

        r = sd_bus_message_enter_container(reply, 'a', "(ssssssouso)");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_read(reply, "(ssssssouso)", &name, NULL, &load_state, &state, NULL, NULL, NULL, NULL, NULL, NULL)) > 0) {
                if (!is_active(load_state, state))
                        continue;
                if (g_str_equal(name, GUESTS_UNIT))
                        guests = true;
                else
                        sockets = true;
        }
        if (r < 0)
                return r;
        *ret_acts = guests && sockets;
        return 0;
}

static int on_states(sd_bus_message *reply, void *userdata, sd_bus_error *unused) {
        const Question *question = userdata;
        bool acts = false;

        if (sd_bus_message_is_method_error(reply, NULL) || read_states(reply, &acts) < 0)
                acts = false;
        question->answer(acts, question->userdata);
        return 0;
}

static int new_call(sd_bus *bus, const char *member, sd_bus_message **ret) {
        int r;

        r = sd_bus_message_new_method_call(bus, ret, VB_SYSTEMD_NAME, VB_SYSTEMD_PATH, VB_SYSTEMD_INTERFACE, member);
        if (r < 0)
                return r;
        return sd_bus_message_set_auto_start(*ret, /* b= */ false);
}

int vb_libvirt_guests_ask(sd_bus_slot **ret, sd_bus *bus, VbLibvirtGuestsAnswer answer, void *userdata) {
        g_autofree Question *question = g_new(Question, 1);
        g_autoptr(sd_bus_message) message = NULL;
        int r;

        *question = (Question){ answer, userdata };
        r = new_call(bus, "ListUnitsByNames", &message);
        if (r < 0)
                return r;
        r = sd_bus_message_append(message, "as", 3, GUESTS_UNIT, "virtproxyd.socket", "virtqemud.socket");
        if (r < 0)
                return r;
        r = sd_bus_call_async(bus, ret, message, on_states, question, ASK_TIMEOUT_USEC);
        if (r < 0)
                return r;
        (void) sd_bus_slot_set_destroy_callback(*ret, g_free);
        (void) g_steal_pointer(&question);
        return 0;
}

static int on_file_state(sd_bus_message *reply, void *userdata, sd_bus_error *unused) {
        const char *state;

        if (!sd_bus_message_is_method_error(reply, NULL) && sd_bus_message_read(reply, "s", &state) >= 0 &&
            g_str_equal(state, "enabled"))
                vb_log_notice(GUESTS_UNIT " is enabled: when the host goes down, it sees to guests first, and the settings for that count for "
                              "what it leaves running only; virtbus-import-libvirt-guests(8) takes its settings over, and then it can be masked");
        return 0;
}

int vb_libvirt_guests_tell(sd_bus_slot **ret, sd_bus *bus) {
        g_autoptr(sd_bus_message) message = NULL;
        int r;

        r = new_call(bus, "GetUnitFileState", &message);
        if (r < 0)
                return r;
        r = sd_bus_message_append(message, "s", GUESTS_UNIT);
        if (r < 0)
                return r;
        return sd_bus_call_async(bus, ret, message, on_file_state, NULL, ASK_TIMEOUT_USEC);
}
