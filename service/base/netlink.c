/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/netlink.h"

#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "base/netlink-private.h"

void vb_netlink_request_init(VbNetlinkRequest *request, uint16_t type, uint16_t flags, const void *body, size_t size) {
        *request = (VbNetlinkRequest){
                .header = {
                        .nlmsg_len = (uint32_t) NLMSG_LENGTH(size),
                        .nlmsg_type = type,
                        .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags,
                },
        };
        memcpy(NLMSG_DATA(&request->header), body, size);
}

struct rtattr *vb_netlink_add(VbNetlinkRequest *request, uint16_t type, const void *data, size_t size) {
        struct rtattr *attribute = (struct rtattr *) ((char *) request + NLMSG_ALIGN(request->header.nlmsg_len));

        g_assert((char *) attribute + RTA_LENGTH(size) <= (char *) request + sizeof(*request));
        attribute->rta_type = type;
        attribute->rta_len = (uint16_t) RTA_LENGTH(size);
        if (size > 0)
                memcpy(RTA_DATA(attribute), data, size);
        request->header.nlmsg_len = NLMSG_ALIGN(request->header.nlmsg_len) + RTA_ALIGN(RTA_LENGTH((uint32_t) size));
        return attribute;
}

struct rtattr *vb_netlink_begin(VbNetlinkRequest *request, uint16_t type) {
        return vb_netlink_add(request, type, NULL, 0);
}

void vb_netlink_end(VbNetlinkRequest *request, struct rtattr *nest) {
        nest->rta_len = (uint16_t) ((char *) request + request->header.nlmsg_len - (char *) nest);
}

int vb_netlink_open(void) {
        int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

        return fd < 0 ? -errno : fd;
}

/* The kernel acknowledges within the call that sends, so that the answer is there at once. */
int vb_netlink_talk(int fd, VbNetlinkRequest *request) {
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

/* --- links ---------------------------------------------------------------------------------------------------------- */

static void link_request(VbNetlinkRequest *request, uint16_t type, uint16_t flags, const struct ifinfomsg *link) {
        vb_netlink_request_init(request, type, flags, link, sizeof(*link));
}

int vb_netlink_change(int fd, const VbLinkChange *change) {
        struct ifinfomsg link = { .ifi_family = AF_UNSPEC, .ifi_index = change->ifindex };
        VbNetlinkRequest request;

        if (change->up) {
                link.ifi_flags = IFF_UP;
                link.ifi_change = IFF_UP;
        }
        link_request(&request, RTM_NEWLINK, 0, &link);
        if (change->mtu > 0)
                (void) vb_netlink_add(&request, IFLA_MTU, &change->mtu, sizeof(change->mtu));
        if (change->mac)
                (void) vb_netlink_add(&request, IFLA_ADDRESS, change->mac, 6);
        if (change->controller > 0)
                (void) vb_netlink_add(&request, IFLA_MASTER, &change->controller, sizeof(change->controller));
        if (change->alias)
                (void) vb_netlink_add(&request, IFLA_IFALIAS, change->alias, strlen(change->alias));
        if (change->group)
                (void) vb_netlink_add(&request, IFLA_GROUP, change->group, sizeof(*change->group));
        return vb_netlink_talk(fd, &request);
}

int vb_netlink_isolate_port(int fd, int ifindex, bool isolated) {
        uint8_t value = isolated;
        const struct ifinfomsg link = { .ifi_family = AF_BRIDGE, .ifi_index = ifindex };
        VbNetlinkRequest request;
        struct rtattr *nest;

        link_request(&request, RTM_SETLINK, 0, &link);
        nest = vb_netlink_begin(&request, IFLA_PROTINFO | NLA_F_NESTED);
        (void) vb_netlink_add(&request, IFLA_BRPORT_ISOLATED, &value, sizeof(value));
        vb_netlink_end(&request, nest);
        return vb_netlink_talk(fd, &request);
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
        const struct ifinfomsg link = { .ifi_family = AF_UNSPEC };
        struct rtattr *info, *data;
        VbNetlinkRequest request;

        link_request(&request, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &link);
        (void) vb_netlink_add(&request, IFLA_IFNAME, name, strlen(name) + 1);
        (void) vb_netlink_add(&request, IFLA_LINK, &lower, sizeof(lower));
        (void) vb_netlink_add(&request, IFLA_ADDRESS, mac, 6);
        (void) vb_netlink_add(&request, IFLA_GROUP, &group, sizeof(group));
        info = vb_netlink_begin(&request, IFLA_LINKINFO);
        (void) vb_netlink_add(&request, IFLA_INFO_KIND, "macvtap", strlen("macvtap"));
        data = vb_netlink_begin(&request, IFLA_INFO_DATA);
        (void) vb_netlink_add(&request, IFLA_MACVLAN_MODE, &kernel_mode, sizeof(kernel_mode));
        vb_netlink_end(&request, data);
        vb_netlink_end(&request, info);
        return vb_netlink_talk(fd, &request);
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
        const struct ifinfomsg link = { .ifi_family = AF_UNSPEC, .ifi_index = ifindex };
        VbNetlinkRequest request;
        int r;

        link_request(&request, RTM_DELLINK, 0, &link);
        r = vb_netlink_talk(fd, &request);
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
