/* SPDX-License-Identifier: MIT */
/*
 * Network bridges: see bridge.h. Each step is one request to the kernel, which answers at once.
 */
#include "bridge.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_bridge.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_gact.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define REQUEST_SIZE 512
#define DEFAULT_VLAN 1

/* A card's interface while it is set up. */
struct port {
    const struct vif_config *vif;
    unsigned int index, bridge;
    uint8_t mac[6];
    struct mnl_socket *socket;
    unsigned int sequence, filters;
    char request[REQUEST_SIZE];
};

/* --- requests ---------------------------------------------------------------------------------------------------- */

static struct nlmsghdr *begin(struct port *port, uint16_t type, uint16_t flags)
{
    struct nlmsghdr *header = mnl_nlmsg_put_header(port->request);

    header->nlmsg_type = type;
    header->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
    header->nlmsg_seq = ++port->sequence;
    return header;
}

/* A request about the port's link, seen as `family`. */
static struct nlmsghdr *begin_link(struct port *port, uint16_t type, unsigned char family)
{
    struct nlmsghdr *header = begin(port, type, 0);
    struct ifinfomsg *link = mnl_nlmsg_put_extra_header(header, sizeof(*link));

    link->ifi_family = family;
    link->ifi_index = port->index;
    return header;
}

/* Send it and wait for the acknowledgement. 0 or -errno. */
static int finish(struct port *port, const struct nlmsghdr *header)
{
    char answer[8192];
    ssize_t got;

    if (mnl_socket_sendto(port->socket, header, header->nlmsg_len) < 0)
        return -errno;
    got = mnl_socket_recvfrom(port->socket, answer, sizeof(answer));
    if (got < 0)
        return -errno;
    return mnl_cb_run(answer, got, header->nlmsg_seq, mnl_socket_get_portid(port->socket), NULL, NULL) < 0 ? -errno : 0;
}

/* --- steps: 0 or -errno ------------------------------------------------------------------------------------------ */

static int join_bridge(struct port *port)
{
    struct nlmsghdr *header = begin_link(port, RTM_NEWLINK, AF_UNSPEC);

    mnl_attr_put_u32(header, IFLA_MASTER, port->bridge);
    if (port->vif->mtu)
        mnl_attr_put_u32(header, IFLA_MTU, port->vif->mtu);
    return finish(port, header);
}

/*
 * A locked port lets in only frames from addresses that the bridge's table has at that port; it learns none, and is
 * given the card's.
 */
static int guard(struct port *port)
{
    struct nlmsghdr *header;
    struct nlattr *nest;

    if (!port->vif->antispoof && !port->vif->isolated)
        return 0;
    header = begin_link(port, RTM_SETLINK, AF_BRIDGE);
    nest = mnl_attr_nest_start(header, IFLA_PROTINFO);
    if (port->vif->antispoof) {
        mnl_attr_put_u8(header, IFLA_BRPORT_LEARNING, 0);
        mnl_attr_put_u8(header, IFLA_BRPORT_LOCKED, 1);
    }
    if (port->vif->isolated)
        mnl_attr_put_u8(header, IFLA_BRPORT_ISOLATED, 1);
    mnl_attr_nest_end(header, nest);
    return finish(port, header);
}

static int admit_address(struct port *port)
{
    struct nlmsghdr *header;
    struct ndmsg *neighbour;

    if (!port->vif->antispoof)
        return 0;
    header = begin(port, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE);
    neighbour = mnl_nlmsg_put_extra_header(header, sizeof(*neighbour));
    neighbour->ndm_family = AF_BRIDGE;
    neighbour->ndm_ifindex = port->index;
    neighbour->ndm_state = NUD_NOARP;
    neighbour->ndm_flags = NTF_MASTER;
    mnl_attr_put(header, NDA_LLADDR, sizeof(port->mac), port->mac);
    if (port->vif->vlan)
        mnl_attr_put_u16(header, NDA_VLAN, port->vif->vlan);
    return finish(port, header);
}

/* --- addresses that the guest may send from: filters of tc(8), all of them flower's, on what comes from it --------- */

#define DHCP_SERVER_PORT 67

static int add_queueing(struct port *port)
{
    struct nlmsghdr *header = begin(port, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE);
    struct tcmsg *tc = mnl_nlmsg_put_extra_header(header, sizeof(*tc));

    tc->tcm_ifindex = port->index;
    tc->tcm_parent = TC_H_CLSACT;
    tc->tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0);
    mnl_attr_put_strz(header, TCA_KIND, "clsact");
    return finish(port, header);
}

/* Begin a filter on frames of the protocol, behind those that there are; the keys follow, then finish_filter. */
static struct nlmsghdr *begin_filter(struct port *port, uint16_t protocol, struct nlattr **keys)
{
    struct nlmsghdr *header = begin(port, RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL);
    struct tcmsg *tc = mnl_nlmsg_put_extra_header(header, sizeof(*tc));

    tc->tcm_ifindex = port->index;
    tc->tcm_parent = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS);
    tc->tcm_info = TC_H_MAKE((uint32_t)++port->filters << 16, htons(protocol));
    mnl_attr_put_strz(header, TCA_KIND, "flower");
    *keys = mnl_attr_nest_start(header, TCA_OPTIONS);
    if (protocol != ETH_P_ALL)
        mnl_attr_put_u16(header, TCA_FLOWER_KEY_ETH_TYPE, htons(protocol));
    return header;
}

/* What the filter matches is to pass, or to be dropped. */
static int finish_filter(struct port *port, struct nlmsghdr *header, struct nlattr *keys, bool pass)
{
    struct tc_gact gact = { .action = pass ? TC_ACT_OK : TC_ACT_SHOT };
    struct nlattr *actions = mnl_attr_nest_start(header, TCA_FLOWER_ACT), *first = mnl_attr_nest_start(header, 1);
    struct nlattr *options;

    mnl_attr_put_strz(header, TCA_ACT_KIND, "gact");
    options = mnl_attr_nest_start(header, TCA_ACT_OPTIONS);
    mnl_attr_put(header, TCA_GACT_PARMS, sizeof(gact), &gact);
    mnl_attr_nest_end(header, options);
    mnl_attr_nest_end(header, first);
    mnl_attr_nest_end(header, actions);
    mnl_attr_nest_end(header, keys);
    return finish(port, header);
}

/* Let pass what comes from an IPv4 address, and its claims (ARP) to have it. */
static int admit_ip(struct port *port, uint32_t address)
{
    struct nlattr *keys;
    struct nlmsghdr *header = begin_filter(port, ETH_P_IP, &keys);
    int rc;

    mnl_attr_put_u32(header, TCA_FLOWER_KEY_IPV4_SRC, address);
    mnl_attr_put_u32(header, TCA_FLOWER_KEY_IPV4_SRC_MASK, UINT32_MAX);
    /* One that has no address yet may ask for it, and no more. */
    if (!address) {
        mnl_attr_put_u8(header, TCA_FLOWER_KEY_IP_PROTO, IPPROTO_UDP);
        mnl_attr_put_u16(header, TCA_FLOWER_KEY_UDP_DST, htons(DHCP_SERVER_PORT));
        mnl_attr_put_u16(header, TCA_FLOWER_KEY_UDP_DST_MASK, UINT16_MAX);
    }
    rc = finish_filter(port, header, keys, true);
    if (rc)
        return rc;
    header = begin_filter(port, ETH_P_ARP, &keys);
    mnl_attr_put_u32(header, TCA_FLOWER_KEY_ARP_SIP, address);
    mnl_attr_put_u32(header, TCA_FLOWER_KEY_ARP_SIP_MASK, UINT32_MAX);
    return finish_filter(port, header, keys, true);
}

/* Nothing but IPv4 from the addresses of ip= passes. */
static int admit_ips(struct port *port)
{
    uint32_t addresses[VIF_IPS_MAX];
    struct nlmsghdr *header;
    struct nlattr *keys;
    int count, rc;

    if (!port->vif->antispoof || !port->vif->ip)
        return 0;
    count = vif_addresses(port->vif->ip, addresses);
    rc = add_queueing(port);
    for (int i = 0; i < count && rc == 0; i++)
        rc = admit_ip(port, addresses[i]);
    if (rc == 0)
        rc = admit_ip(port, INADDR_ANY);
    if (rc)
        return rc;
    header = begin_filter(port, ETH_P_ALL, &keys);
    return finish_filter(port, header, keys, false);
}

/* --- more steps -------------------------------------------------------------------------------------------------- */

static int change_vlan(struct port *port, uint16_t type, unsigned int vlan)
{
    struct nlmsghdr *header = begin_link(port, type, AF_BRIDGE);
    struct nlattr *nest = mnl_attr_nest_start(header, IFLA_AF_SPEC);
    struct bridge_vlan_info info = { .flags = BRIDGE_VLAN_INFO_PVID | BRIDGE_VLAN_INFO_UNTAGGED, .vid = vlan };

    mnl_attr_put(header, IFLA_BRIDGE_VLAN_INFO, sizeof(info), &info);
    mnl_attr_nest_end(header, nest);
    return finish(port, header);
}

/* Frames from the guest belong to its VLAN, and it gets only that one's. */
static int set_vlan(struct port *port)
{
    int rc;

    if (!port->vif->vlan)
        return 0;
    rc = change_vlan(port, RTM_SETLINK, port->vif->vlan);
    if (rc || port->vif->vlan == DEFAULT_VLAN)
        return rc;
    rc = change_vlan(port, RTM_DELLINK, DEFAULT_VLAN);
    return rc == -ENOENT ? 0 : rc;
}

static int bring_up(struct port *port)
{
    struct nlmsghdr *header = begin_link(port, RTM_NEWLINK, AF_UNSPEC);
    struct ifinfomsg *link = mnl_nlmsg_get_payload(header);

    link->ifi_flags = link->ifi_change = IFF_UP;
    return finish(port, header);
}

static const struct {
    int (*run)(struct port *port);
    const char *aim;
} steps[] = {
    { join_bridge, "make it a port of the bridge" },
    { set_vlan, "set its VLAN" },
    { guard, "guard it against forged senders (antispoof, isolated): Linux 5.18 or later is needed" },
    { admit_address, "admit the card's address" },
    { admit_ips, "admit its IP addresses (antispoof, ip): modules sch_ingress, cls_flower and act_gact are needed" },
    { bring_up, "bring it up" },
};

int bridge_plug(const struct vif_config *vif, const char *interface, struct failure *failure)
{
    struct port port = {
        .vif = vif, .index = if_nametoindex(interface), .bridge = if_nametoindex(vif->bridge), .sequence = time(NULL),
    };
    const char *aim = "reach the kernel";
    int rc = 0;

    sscanf(vif->mac, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &port.mac[0], &port.mac[1], &port.mac[2], &port.mac[3],
           &port.mac[4], &port.mac[5]);
    port.socket = mnl_socket_open(NETLINK_ROUTE);
    if (!port.socket || mnl_socket_bind(port.socket, 0, MNL_SOCKET_AUTOPID) < 0)
        rc = -errno;
    else if (!port.index || !port.bridge)
        rc = -ENODEV;
    for (size_t i = 0; rc == 0 && i < sizeof(steps) / sizeof(steps[0]); i++) {
        aim = steps[i].aim;
        rc = steps[i].run(&port);
    }
    if (port.socket)
        mnl_socket_close(port.socket);
    if (rc == 0)
        return 0;
    failure_why(failure, "network interface %s, bridge %s: cannot %s: %s", interface, vif->bridge, aim, strerror(-rc));
    failure_remedy(failure, "check the bridge (ip -d link show %s)", vif->bridge);
    return -1;
}
