/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/netlink.h"

#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

/* One request: header, the link's part, attributes. All that is asked for here fits by far. */
typedef struct Request {
        struct nlmsghdr header;
        struct ifinfomsg link;
        char attributes[512];
} Request;

static void request_init(Request *request, uint16_t type, uint16_t flags) {
        *request = (Request){
                .header = {
                        .nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg)),
                        .nlmsg_type = type,
                        .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags,
                },
                .link.ifi_family = AF_UNSPEC,
        };
}

static struct rtattr *add(Request *request, uint16_t type, const void *data, size_t size) {
        struct rtattr *attribute = (struct rtattr *) ((char *) request + NLMSG_ALIGN(request->header.nlmsg_len));

        g_assert((char *) attribute + RTA_LENGTH(size) <= (char *) request + sizeof(*request));
        attribute->rta_type = type;
        attribute->rta_len = (uint16_t) RTA_LENGTH(size);
        if (size > 0)
                memcpy(RTA_DATA(attribute), data, size);
        request->header.nlmsg_len = NLMSG_ALIGN(request->header.nlmsg_len) + RTA_ALIGN(RTA_LENGTH((uint32_t) size));
        return attribute;
}

static struct rtattr *begin(Request *request, uint16_t type) {
        return add(request, type, NULL, 0);
}

static void end(Request *request, struct rtattr *nest) {
        nest->rta_len = (uint16_t) ((char *) request + request->header.nlmsg_len - (char *) nest);
}

int vb_netlink_open(void) {
        int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

        return fd < 0 ? -errno : fd;
}

/* The kernel acknowledges within the call that sends, so that the answer is there at once. */
static int talk(int fd, Request *request) {
        const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
        char answer[4096];
        const struct nlmsghdr *header = (const struct nlmsghdr *) answer;
        const struct nlmsgerr *error;
        ssize_t n;

        if (sendto(fd, request, request->header.nlmsg_len, 0, (const struct sockaddr *) &kernel, sizeof(kernel)) < 0)
                return -errno;
        n = recv(fd, answer, sizeof(answer), 0);
        if (n < 0)
                return -errno;
        if (!NLMSG_OK(header, (size_t) n) || header->nlmsg_type != NLMSG_ERROR ||
            header->nlmsg_len < NLMSG_LENGTH(sizeof(*error)))
                return -EBADMSG;
        error = NLMSG_DATA(header);
        return error->error;
}

int vb_netlink_change(int fd, const VbLinkChange *change) {
        Request request;

        request_init(&request, RTM_NEWLINK, 0);
        request.link.ifi_index = change->ifindex;
        if (change->up) {
                request.link.ifi_flags = IFF_UP;
                request.link.ifi_change = IFF_UP;
        }
        if (change->mtu > 0)
                (void) add(&request, IFLA_MTU, &change->mtu, sizeof(change->mtu));
        if (change->mac)
                (void) add(&request, IFLA_ADDRESS, change->mac, 6);
        if (change->controller > 0)
                (void) add(&request, IFLA_MASTER, &change->controller, sizeof(change->controller));
        if (change->alias)
                (void) add(&request, IFLA_IFALIAS, change->alias, strlen(change->alias));
        if (change->group)
                (void) add(&request, IFLA_GROUP, change->group, sizeof(*change->group));
        return talk(fd, &request);
}

int vb_netlink_isolate_port(int fd, int ifindex, bool isolated) {
        uint8_t value = isolated;
        struct rtattr *nest;
        Request request;

        request_init(&request, RTM_SETLINK, 0);
        request.link.ifi_family = AF_BRIDGE;
        request.link.ifi_index = ifindex;
        nest = begin(&request, IFLA_PROTINFO | NLA_F_NESTED);
        (void) add(&request, IFLA_BRPORT_ISOLATED, &value, sizeof(value));
        end(&request, nest);
        return talk(fd, &request);
}

/* The kernel fills in no "%d" of a netlink request, and does not tell the index of what it made. */
static int choose_name(const char *pattern, char ret[static IF_NAMESIZE]) {
        const char *place = strstr(pattern, "%d");

        if (!place)
                return g_strlcpy(ret, pattern, IF_NAMESIZE) < IF_NAMESIZE ? 0 : -ENAMETOOLONG;
        for (unsigned i = 0; i < 100000; i++) {
                if (g_snprintf(ret, IF_NAMESIZE, "%.*s%u", (int) (place - pattern), pattern, i) >= IF_NAMESIZE)
                        return -ENAMETOOLONG;
                if (if_nametoindex(ret) == 0)
                        return 0;
        }
        return -EBUSY;
}

static int add_macvtap(int fd, int lower, const char *name, VbMacvlanMode mode, const uint8_t *mac, uint32_t group) {
        uint32_t kernel_mode = mode;
        struct rtattr *info, *data;
        Request request;

        request_init(&request, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
        (void) add(&request, IFLA_IFNAME, name, strlen(name) + 1);
        (void) add(&request, IFLA_LINK, &lower, sizeof(lower));
        (void) add(&request, IFLA_ADDRESS, mac, 6);
        (void) add(&request, IFLA_GROUP, &group, sizeof(group));
        info = begin(&request, IFLA_LINKINFO);
        (void) add(&request, IFLA_INFO_KIND, "macvtap", strlen("macvtap"));
        data = begin(&request, IFLA_INFO_DATA);
        (void) add(&request, IFLA_MACVLAN_MODE, &kernel_mode, sizeof(kernel_mode));
        end(&request, data);
        end(&request, info);
        return talk(fd, &request);
}

int vb_netlink_add_macvtap(int fd, int lower, const char *name, VbMacvlanMode mode, const uint8_t *mac, uint32_t group) {
        char chosen[IF_NAMESIZE];
        unsigned index;
        int r;

        do {
                r = choose_name(name, chosen);
                if (r >= 0)
                        r = add_macvtap(fd, lower, chosen, mode, mac, group);
        } while (r == -EEXIST && strstr(name, "%d")); /* another was faster */
        if (r < 0)
                return r;
        index = if_nametoindex(chosen);
        return index > 0 ? (int) index : -ENODEV;
}

int vb_netlink_remove(int fd, int ifindex) {
        Request request;
        int r;

        request_init(&request, RTM_DELLINK, 0);
        request.link.ifi_index = ifindex;
        r = talk(fd, &request);
        return r == -ENODEV ? 0 : r;
}

/* --- neighbors ------------------------------------------------------------------------------------------------------ */

#define NEIGHBORS_MAX 65536u
#define NEIGHBOR_STATES (NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT)

static int request_neighbors(int fd) {
        const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
        struct {
                struct nlmsghdr header;
                struct ndmsg neighbor;
        } request = {
                .header = {
                        .nlmsg_len = sizeof(request),
                        .nlmsg_type = RTM_GETNEIGH,
                        .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
                },
                .neighbor.ndm_family = AF_UNSPEC,
        };

        return sendto(fd, &request, sizeof(request), 0, (const struct sockaddr *) &kernel, sizeof(kernel)) < 0 ? -errno : 0;
}

static void take_neighbor(const struct nlmsghdr *header, GArray *neighbors) {
        const struct ndmsg *message = NLMSG_DATA(header);
        VbNeighbor neighbor = { .family = message->ndm_family, .ifindex = message->ndm_ifindex };
        size_t size = neighbor.family == AF_INET ? 4 : 16, left = NLMSG_PAYLOAD(header, sizeof(*message));
        bool has_address = false, has_mac = false;

        if ((neighbor.family != AF_INET && neighbor.family != AF_INET6) || !(message->ndm_state & NEIGHBOR_STATES))
                return;
        for (const struct rtattr *a = (const struct rtattr *) ((const char *) message + NLMSG_ALIGN(sizeof(*message)));
             RTA_OK(a, left); a = RTA_NEXT(a, left)) {
                if (a->rta_type == NDA_DST && RTA_PAYLOAD(a) == size) {
                        memcpy(neighbor.address, RTA_DATA(a), size);
                        has_address = true;
                } else if (a->rta_type == NDA_LLADDR && RTA_PAYLOAD(a) == sizeof(neighbor.mac)) {
                        memcpy(neighbor.mac, RTA_DATA(a), sizeof(neighbor.mac));
                        has_mac = true;
                }
        }
        if (has_address && has_mac && neighbors->len < NEIGHBORS_MAX)
                g_array_append_val(neighbors, neighbor);
}

int vb_netlink_list_neighbors(int fd, GArray *neighbors) {
        g_autofree char *buffer = g_malloc(65536);
        int r;

        r = request_neighbors(fd);
        if (r < 0)
                return r;
        for (;;) {
                ssize_t n = recv(fd, buffer, 65536, 0);

                if (n < 0)
                        return -errno;
                for (const struct nlmsghdr *header = (const struct nlmsghdr *) (void *) buffer; NLMSG_OK(header, (size_t) n);
                     header = NLMSG_NEXT(header, n)) {
                        if (header->nlmsg_type == NLMSG_DONE)
                                return 0;
                        if (header->nlmsg_type == NLMSG_ERROR)
                                return ((const struct nlmsgerr *) NLMSG_DATA(header))->error ?: -EBADMSG;
                        if (header->nlmsg_type == RTM_NEWNEIGH)
                                take_neighbor(header, neighbors);
                }
                if (n == 0)
                        return -EBADMSG;
        }
}
