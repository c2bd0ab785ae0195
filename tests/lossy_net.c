/* SPDX-License-Identifier: Apache-2.0 */
/* lossy_net.c - a network of the test's own, in which packets get lost. */
#include "lossy_net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>

struct lossy_net {
	sd_event_source *source;
	int tun;
	unsigned percent, lost;
};

/* IPv4: the header has the source at 12 and the destination at 16, 4 bytes each. */
static int on_packet(_unused_ sd_event_source *source, int fd, _unused_ uint32_t events,
		     void *data)
{
	struct lossy_net *net = data;
	uint8_t packet[65536], address[4];
	ssize_t n = read(fd, packet, sizeof(packet));

	if (n < 20 || packet[0] >> 4 != 4)
		return 0;
	if ((unsigned)rand() % 100 < net->percent) {
		net->lost++;
		return 0;
	}
	/* Checksums are sums: they stay right. */
	memcpy(address, packet + 12, 4);
	memcpy(packet + 12, packet + 16, 4);
	memcpy(packet + 16, address, 4);
	(void)!write(fd, packet, n);
	return 0;
}

static int set_address(int fd, struct ifreq *request, unsigned long what, const char *text)
{
	struct sockaddr_in *address = (struct sockaddr_in *)&request->ifr_addr;

	*address = (struct sockaddr_in){ .sin_family = AF_INET };
	inet_pton(AF_INET, text, &address->sin_addr);
	return ioctl(fd, what, request);
}

static int bring_up(int fd, struct ifreq *request)
{
	request->ifr_flags = IFF_UP | IFF_RUNNING;
	return ioctl(fd, SIOCSIFFLAGS, request);
}

static int make_network(struct lossy_net *net)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq lo = { .ifr_name = "lo" }, tun = { .ifr_name = "lossy" };

	if (fd < 0 || bring_up(fd, &lo) < 0)
		return -errno;
	net->tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	tun.ifr_flags = IFF_TUN | IFF_NO_PI;
	if (net->tun < 0 || ioctl(net->tun, TUNSETIFF, &tun) < 0 ||
	    set_address(fd, &tun, SIOCSIFADDR, LOSSY_NEAR) < 0 ||
	    set_address(fd, &tun, SIOCSIFNETMASK, "255.255.255.0") < 0 ||
	    bring_up(fd, &tun) < 0)
		return -errno;
	return 0;
}

int lossy_net_new(sd_event *loop, struct lossy_net **result)
{
	struct lossy_net *net = calloc(1, sizeof(*net));
	int r = 0;

	if (!net)
		return -ENOMEM;
	net->tun = -1;
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		r = -errno;
	if (r == 0)
		r = make_network(net);
	if (r == 0)
		r = sd_event_add_io(loop, &net->source, net->tun, EPOLLIN, on_packet, net);
	if (r < 0) {
		lossy_net_free(net);
		return r;
	}
	*result = net;
	return 0;
}

void lossy_net_free(struct lossy_net *net)
{
	if (!net)
		return;
	sd_event_source_disable_unref(net->source);
	closep(&net->tun);
	free(net);
}

void lossy_net_lose(struct lossy_net *net, unsigned percent)
{
	net->percent = percent;
}

unsigned lossy_net_lost(const struct lossy_net *net)
{
	return net->lost;
}
