/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Domain1: where on the host's networks a guest has been met. */

#include <arpa/inet.h>
#include <unistd.h>

#include "base/error.h"
#include "base/netlink.h"
#include "hypervisor/call-work.h"
#include "qemu/domain.h"
#include "qemu/handlers.h"

typedef struct Card {
        char *device; /* the host's side; "" if there is none */
        VbMac mac;
} Card;

typedef struct Question {
        GArray *cards;     /* of Card */
        GArray *neighbors; /* of VbNeighbor: the answer */
} Question;

static void card_clear(gpointer data) {
        g_free(((Card *) data)->device);
}

static void question_free(gpointer data) {
        Question *question = data;

        g_array_unref(question->cards);
        g_array_unref(question->neighbors);
        g_free(question);
}

static int look(void *data, sd_bus_error *reterr) {
        Question *question = data;
        int fd, r;

        fd = vb_netlink_open();
        r = fd < 0 ? fd : vb_netlink_list_neighbors(fd, question->neighbors);
        (void) vb_close(fd);
        if (r < 0)
                return sd_bus_error_setf(reterr, VB_ERROR_OPERATION_FAILED, "the host's neighbors cannot be read: %s", g_strerror(-r));
        return 0;
}

static bool is_of(const VbNeighbor *neighbor, const Card *card) {
        return memcmp(neighbor->mac, card->mac.bytes, sizeof(neighbor->mac)) == 0;
}

static bool is_met(const Question *question, const Card *card) {
        for (unsigned i = 0; i < question->neighbors->len; i++)
                if (is_of(&g_array_index(question->neighbors, VbNeighbor, i), card))
                        return true;
        return false;
}

static int append_card(sd_bus_message *m, const Question *question, const Card *card) {
        char mac[VB_MAC_STRING_MAX], text[INET6_ADDRSTRLEN];
        int r;

        r = sd_bus_message_open_container(m, 'r', "ssa(su)");
        if (r < 0)
                return r;
        r = sd_bus_message_append(m, "ss", card->device, vb_mac_format(&card->mac, mac));
        if (r < 0)
                return r;
        r = sd_bus_message_open_container(m, 'a', "(su)");
        for (unsigned i = 0; r >= 0 && i < question->neighbors->len; i++) {
                const VbNeighbor *neighbor = &g_array_index(question->neighbors, VbNeighbor, i);

                if (is_of(neighbor, card) && inet_ntop(neighbor->family, neighbor->address, text, sizeof(text)))
                        r = sd_bus_message_append(m, "(su)", text, 0);
        }
        if (r < 0)
                return r;
        r = sd_bus_message_close_container(m);
        if (r < 0)
                return r;
        return sd_bus_message_close_container(m);
}

static int reply(VbCall *call, void *data, sd_bus_error *reterr) {
        const Question *question = data;
        g_autoptr(sd_bus_message) m = NULL;
        int r;

        r = vb_call_new_reply(call, &m);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(ssa(su))");
        for (unsigned i = 0; r >= 0 && i < question->cards->len; i++) {
                const Card *card = &g_array_index(question->cards, Card, i);

                if (is_met(question, card))
                        r = append_card(m, question, card);
        }
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : vb_call_send_reply(call, m);
}

int qemu_on_get_host_addresses(VbCall *call, VbObject *object, const VbDomain1GetHostAddressesArgs *args, sd_bus_error *reterr) {
        VbDomain *domain = vb_domain_of(object);
        Question *question;
        int r;

        r = vb_domain_check_active(domain, reterr);
        if (r < 0)
                return r;
        question = g_new(Question, 1);
        *question = (Question){
                .cards = g_array_new(FALSE, FALSE, sizeof(Card)),
                .neighbors = g_array_new(FALSE, FALSE, sizeof(VbNeighbor)),
        };
        g_array_set_clear_func(question->cards, card_clear);
        for (size_t i = 0; i < domain->live->interfaces.n; i++) {
                const VbInterface *interface = domain->live->interfaces.items[i];
                Card card = { .device = g_strdup(interface->target ?: ""), .mac = interface->mac };

                g_array_append_val(question->cards, card);
        }
        return vb_call_work_start(call, domain->hypervisor, look, question, question_free, reply, reterr);
}
