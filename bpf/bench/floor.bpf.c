// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * floor.bpf.c - the programs that the benchmarks measure with, and compare with.
 *
 * BPF_PROG_TEST_RUN runs a program on one packet again and again without restoring it, so
 * a program that rewrites the packet would get its own result. wrap_xdp and wrap_tc
 * restore the headers, draw the flow where they are asked to, and then call the program
 * under test, which replaces a function of theirs. The call is direct: a tail call would
 * go through a retpoline, behind which a CPU does not begin the next packet while this
 * one waits for memory. An empty program behind the same wrapper shows the wrapper's cost.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <stdbool.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define INLINE static __always_inline

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct headers {
	struct ethhdr eth;
	struct iphdr ip;
	struct tcphdr tcp;
} __attribute__((packed));

/* The original headers, 54 bytes with IPv4 and 74 with IPv6, and the packet's length. */
volatile __u64 original[10];
volatile __u32 length;
volatile __u32 ip6;
/* A flow's number is in the client's address and port, which are at these offsets. */
volatile __u32 flows; /* how many flows; 0: always the packet's own */
volatile __u32 by_lot; /* 1: at random; 0: one after the other */
volatile __u32 scattered; /* 1: each flow has a client of its own; 0: a client has 32,768 */
volatile __u32 address_at, port_at;
volatile __u32 turn;  /* the number of the next flow */
/* The state of the random numbers. */
volatile __u64 lot = 88172645463325252ULL;

/* draw is the number of the next flow; at random it is by xorshift. */
INLINE __u32 draw(void)
{
	__u64 x = lot;

	if (!by_lot)
		return turn++ % flows;
	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	lot = x;
	return (x >> 32) * flows >> 32;
}

/* restore writes the original headers of the next flow into the frame; 0: it did. */
INLINE int restore(void *data, void *end)
{
	__u64 *words = data;
	__u32 flow, *address;
	__u16 *port;

	if (data + 54 > end)
		return -1;
	for (int i = 0; i < 6; i++)
		words[i] = original[i];
	*(__u32 *)(words + 6) = original[6];
	*((__u16 *)(words + 6) + 2) = original[6] >> 32;
	if (ip6) {
		if (data + 74 > end)
			return -1;
		for (int i = 6; i < 9; i++)
			words[i] = original[i];
		*(__u16 *)(words + 9) = original[9];
	}
	if (!flows)
		return 0;
	flow = draw();
	address = data + (address_at & 63);
	port = data + (port_at & 63);
	if ((void *)(address + 1) > end || (void *)(port + 1) > end)
		return -1;
	*address = bpf_htonl(0x0a000000 + (scattered ? flow : flow >> 15));
	*port = bpf_htons(1024 + (flow & 0x7fff));
	return 0;
}

/* The functions that the program under test replaces. */
__noinline int under_test_xdp(struct xdp_md *ctx)
{
	volatile int verdict = XDP_ABORTED;

	return ctx ? verdict : 0;
}

__noinline int under_test_tc(struct __sk_buff *skb)
{
	volatile int verdict = TC_ACT_STOLEN;

	return skb ? verdict : 0;
}

/* taken_off removes the outer header that the program under test put in front; 0: it did. */
INLINE int taken_off(struct xdp_md *ctx)
{
	int more = ctx->data_end - ctx->data - length;

	return more > 0 ? bpf_xdp_adjust_head(ctx, more) : 0;
}

SEC("xdp.frags")
int wrap_xdp(struct xdp_md *ctx)
{
	if (taken_off(ctx) || restore((void *)(long)ctx->data, (void *)(long)ctx->data_end))
		return XDP_ABORTED;
	return under_test_xdp(ctx);
}

SEC("tc")
int wrap_tc(struct __sk_buff *skb)
{
	if (restore((void *)(long)skb->data, (void *)(long)skb->data_end))
		return TC_ACT_STOLEN;
	return under_test_tc(skb);
}

SEC("xdp.frags")
int empty_xdp(struct xdp_md *ctx)
{
	return XDP_TX;
}

SEC("tc")
int empty_tc(struct __sk_buff *skb)
{
	return TC_ACT_REDIRECT;
}

/*
 * dr40 is the floor: the plainest program that does direct routing at all. It looks the
 * service up for every packet, writes one 40-byte connection key field by field, and
 * counts twice; it has no states, no time-outs and no IPv6. new_c40 is the same for packets
 * that each begin a connection, with servers in turn, and ipip40 the same with an outer
 * header.
 */
struct service_key {
	__u32 addr[4];
	__u16 port;
	__u8 protocol, zero;
};

struct service {
	__u32 index, servers, cursor;
};

struct flow_key {
	__u32 client[4], vip[4];
	__u16 sport, dport;
	__u32 protocol;
};

struct flow {
	__u32 server, state;
	__u64 seen, packets, bytes;
};

struct server {
	__u8 dst[6], src[6];
	__be32 addr;
};

struct counter {
	__u64 packets, bytes;
};

#define MAP(name_, type_, key_, value_, size_)                                                     \
	struct {                                                                                   \
		__uint(type, type_);                                                               \
		__type(key, key_);                                                                 \
		__type(value, value_);                                                             \
		__uint(max_entries, size_);                                                        \
	} name_ SEC(".maps")

MAP(floor_services, BPF_MAP_TYPE_HASH, struct service_key, struct service, 1024);
MAP(floor_flows, BPF_MAP_TYPE_HASH, struct flow_key, struct flow, 1024);
MAP(floor_servers, BPF_MAP_TYPE_ARRAY, __u32, struct server, 1024);
MAP(floor_turns, BPF_MAP_TYPE_ARRAY, __u32, __u32, 1024); /* a turn's server */
MAP(floor_service_count, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, struct counter, 1024);
MAP(floor_server_count, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, struct counter, 1024);

INLINE void count(void *map, __u32 index, __u32 bytes)
{
	struct counter *c = bpf_map_lookup_elem(map, &index);

	if (c) {
		c->packets++;
		c->bytes += bytes;
	}
}

/* parse returns the packet's headers and sets its connection's key; NULL: no packet of ours. */
INLINE struct headers *parse(struct xdp_md *ctx, struct flow_key *fk)
{
	struct headers *h = (void *)(long)ctx->data;

	if ((void *)(h + 1) > (void *)(long)ctx->data_end || h->eth.h_proto != bpf_htons(ETH_P_IP))
		return NULL;
	if (h->ip.ihl != 5 || h->ip.frag_off & bpf_htons(0x3fff) || h->ip.protocol != IPPROTO_TCP ||
	    h->ip.ttl <= 1)
		return NULL;
	fk->client[2] = fk->vip[2] = bpf_htonl(0xffff);
	fk->client[3] = h->ip.saddr;
	fk->vip[3] = h->ip.daddr;
	fk->sport = h->tcp.source;
	fk->dport = h->tcp.dest;
	fk->protocol = IPPROTO_TCP;
	return h;
}

INLINE struct service *service_of(const struct headers *h)
{
	struct service_key sk = {};

	sk.addr[2] = bpf_htonl(0xffff);
	sk.addr[3] = h->ip.daddr;
	sk.port = h->tcp.dest;
	sk.protocol = IPPROTO_TCP;
	return bpf_map_lookup_elem(&floor_services, &sk);
}

INLINE void eth_to(struct ethhdr *eth, const struct server *server)
{
	__builtin_memcpy(eth->h_dest, server->dst, 6);
	__builtin_memcpy(eth->h_source, server->src, 6);
}

/* server_of finds the server with this index, and counts the packet. */
INLINE struct server *server_of(const struct headers *h, const struct service *service, __u32 i)
{
	struct server *server = bpf_map_lookup_elem(&floor_servers, &i);

	if (!server)
		return NULL;
	count(&floor_service_count, service->index, bpf_ntohs(h->ip.tot_len));
	count(&floor_server_count, i, bpf_ntohs(h->ip.tot_len));
	return server;
}

INLINE int send(struct headers *h, const struct service *service, __u32 i)
{
	struct server *server = server_of(h, service, i);

	if (!server)
		return XDP_DROP;
	eth_to(&h->eth, server);
	return XDP_TX;
}

/* tunnel sends the packet in an outer header, from 192.0.2.1 (RFC 2003). */
INLINE int tunnel(struct xdp_md *ctx, struct headers *h, const struct service *service, __u32 i)
{
	struct server *server = server_of(h, service, i);
	struct iphdr outer = {
		.version = 4,
		.ihl = 5,
		.tos = h->ip.tos,
		.tot_len = bpf_htons(bpf_ntohs(h->ip.tot_len) + sizeof(outer)),
		.frag_off = bpf_htons(0x4000),
		.ttl = 64,
		.protocol = IPPROTO_IPIP,
		.saddr = bpf_htonl(0xc0000201),
	};
	struct {
		struct ethhdr eth;
		struct iphdr ip;
	} __attribute__((packed)) * to;
	__u16 *words = (__u16 *)&outer;
	__u32 sum = 0;

	if (!server || bpf_xdp_adjust_head(ctx, -(int)sizeof(outer)))
		return XDP_DROP;
	to = (void *)(long)ctx->data;
	if ((void *)(to + 1) > (void *)(long)ctx->data_end)
		return XDP_DROP;
	outer.daddr = server->addr;
	for (__u32 n = 0; n < sizeof(outer) / 2; n++)
		sum += words[n];
	sum = (sum & 0xffff) + (sum >> 16);
	outer.check = ~(sum + (sum >> 16));
	eth_to(&to->eth, server);
	to->eth.h_proto = bpf_htons(ETH_P_IP);
	__builtin_memcpy(&to->ip, &outer, sizeof(outer));
	return XDP_TX;
}

INLINE int established(struct xdp_md *ctx, bool tunnelled)
{
	struct flow_key fk = {};
	struct headers *h = parse(ctx, &fk);
	struct service *service;
	struct flow *flow;

	if (!h)
		return XDP_PASS;
	service = service_of(h);
	if (!service)
		return XDP_PASS;
	flow = bpf_map_lookup_elem(&floor_flows, &fk);
	if (!flow)
		return XDP_DROP;
	return tunnelled ? tunnel(ctx, h, service, flow->server) : send(h, service, flow->server);
}

SEC("xdp.frags")
int dr40(struct xdp_md *ctx)
{
	return established(ctx, false);
}

SEC("xdp.frags")
int ipip40(struct xdp_md *ctx)
{
	return established(ctx, true);
}

SEC("xdp.frags")
int new_c40(struct xdp_md *ctx)
{
	struct flow_key fk = {};
	struct headers *h = parse(ctx, &fk);
	struct flow flow = {};
	struct service *service;
	__u32 at, *server;

	if (!h)
		return XDP_PASS;
	service = service_of(h);
	if (!service || !service->servers)
		return XDP_PASS;
	if (bpf_map_lookup_elem(&floor_flows, &fk))
		return XDP_DROP;
	at = __sync_fetch_and_add(&service->cursor, 1) % service->servers;
	server = bpf_map_lookup_elem(&floor_turns, &at);
	if (!server)
		return XDP_DROP;
	flow.server = *server;
	if (bpf_map_update_elem(&floor_flows, &fk, &flow, BPF_ANY))
		return XDP_DROP;
	return send(h, service, flow.server);
}

/*
 * generate sends one live frame from the device that the test-run names, each from the
 * next client. The kernel reuses its pages, so that only the port is written again. The
 * checksum stays wrong: nothing on the path looks at it.
 */
SEC("xdp")
int generate(struct xdp_md *ctx)
{
	if (restore((void *)(long)ctx->data, (void *)(long)ctx->data_end))
		return XDP_ABORTED;
	return XDP_TX;
}

MAP(arrived, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, __u64, 1);

/* sink counts and drops the frames that generate has sent. */
SEC("xdp.frags")
int sink(struct xdp_md *ctx)
{
	struct headers *h = (void *)(long)ctx->data;
	__u32 zero = 0;
	__u64 *n;

	if ((void *)(h + 1) > (void *)(long)ctx->data_end || h->eth.h_proto != bpf_htons(ETH_P_IP) ||
	    h->ip.protocol != IPPROTO_TCP)
		return XDP_PASS;
	n = bpf_map_lookup_elem(&arrived, &zero);
	if (n)
		(*n)++;
	return XDP_DROP;
}

/* sink_tc is sink at tc, where a device's far end is to have no XDP program. */
SEC("tc")
int sink_tc(struct __sk_buff *skb)
{
	struct headers *h = (void *)(long)skb->data;
	__u32 zero = 0;
	__u64 *n;

	if ((void *)(h + 1) > (void *)(long)skb->data_end || h->eth.h_proto != bpf_htons(ETH_P_IP) ||
	    h->ip.protocol != IPPROTO_TCP)
		return TC_ACT_UNSPEC;
	n = bpf_map_lookup_elem(&arrived, &zero);
	if (n)
		(*n)++;
	return TC_ACT_SHOT;
}

/* The device by which redirect_tc and peer_tc send. */
__u32 exit_ifindex;

/* to_exit says whether a frame is one of generate's, and writes its destination. */
INLINE bool to_exit(struct __sk_buff *skb)
{
	struct headers *h = (void *)(long)skb->data;

	if ((void *)(h + 1) > (void *)(long)skb->data_end || h->eth.h_proto != bpf_htons(ETH_P_IP) ||
	    h->ip.protocol != IPPROTO_TCP)
		return false;
	h->eth.h_dest[5] = 0x11;
	return true;
}

/* redirect_tc and peer_tc are the plainest directors at tc: they send all to one device. */
SEC("tc")
int redirect_tc(struct __sk_buff *skb)
{
	return to_exit(skb) ? bpf_redirect(exit_ifindex, 0) : TC_ACT_UNSPEC;
}

SEC("tc")
int peer_tc(struct __sk_buff *skb)
{
	return to_exit(skb) ? bpf_redirect_peer(exit_ifindex, 0) : TC_ACT_UNSPEC;
}

/* The least that can be attached to a device: it leaves every frame to the stack. */
SEC("xdp.frags")
int pass_xdp(struct xdp_md *ctx)
{
	return XDP_PASS;
}

SEC("tc")
int pass_tc(struct __sk_buff *skb)
{
	return TC_ACT_UNSPEC;
}
