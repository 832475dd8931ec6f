/*
 * Joins two network namespaces by a line with delay, rate and queue, where the kernel has no netem: two TUN devices, and
 * a pipe between them. Real TCP runs over it.
 *
 *   tundelay <namespace> <namespace> <one-way ms> <Mbit/s> <queue bytes>
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define PACKETS 65536
#define MAX_PACKET 9200
#define BATCH 64
#define NAP_NS 150000

typedef struct {
  uint64_t due;
  int length;
  unsigned char *bytes;
} packet;

typedef struct {
  packet *ring;
  unsigned head, tail;
  /* When the line is free again. */
  uint64_t busy_until;
} direction;

static int open_tun(const char *netns) {
  char path[128];
  snprintf(path, sizeof path, "/var/run/netns/%s", netns);
  int there = open(path, O_RDONLY), here = open("/proc/self/ns/net", O_RDONLY);
  if (there < 0 || setns(there, CLONE_NEWNET) != 0) {
    perror(path);
    exit(1);
  }
  int tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
  struct ifreq request;
  memset(&request, 0, sizeof request);
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  strcpy(request.ifr_name, "wan0");
  if (tun < 0 || ioctl(tun, TUNSETIFF, &request) != 0) {
    perror("tun");
    exit(1);
  }
  setns(here, CLONE_NEWNET);
  return tun;
}

static uint64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000ull + time.tv_nsec;
}

/* Takes what the kernel sends; what finds the queue full is dropped, as a router does. */
static int take(direction *way, int from, double bytes_per_ns, uint64_t delay_ns, uint64_t queue_bytes) {
  int work = 0;
  for (int i = 0; i < BATCH && way->tail - way->head < PACKETS - 1; i++) {
    unsigned char *bytes = malloc(MAX_PACKET);
    int length = read(from, bytes, MAX_PACKET);
    if (length <= 0) {
      free(bytes);
      break;
    }
    work = 1;
    uint64_t now = now_ns();
    if (way->busy_until < now) way->busy_until = now;
    if ((way->busy_until - now) * bytes_per_ns > queue_bytes) {
      free(bytes);
      continue;
    }
    way->busy_until += length / bytes_per_ns;
    way->ring[way->tail++ % PACKETS] = (packet){way->busy_until + delay_ns, length, bytes};
  }
  return work;
}

static int deliver(direction *way, int to) {
  int work = 0;
  while (way->head != way->tail && way->ring[way->head % PACKETS].due <= now_ns()) {
    packet *first = &way->ring[way->head++ % PACKETS];
    if (write(to, first->bytes, first->length) < 0) perror("write");
    free(first->bytes);
    work = 1;
  }
  return work;
}

int main(int count, char **args) {
  if (count != 6) return fprintf(stderr, "usage: tundelay <netns> <netns> <one-way ms> <Mbit/s> <queue bytes>\n"), 2;
  uint64_t delay_ns = atof(args[3]) * 1e6, queue_bytes = atoll(args[5]);
  double bytes_per_ns = atof(args[4]) / 8 / 1000;
  int tun[2] = {open_tun(args[1]), open_tun(args[2])};
  direction way[2];
  memset(way, 0, sizeof way);
  for (int i = 0; i < 2; i++) way[i].ring = calloc(PACKETS, sizeof(packet));
  printf("line ready\n");
  fflush(stdout);
  for (;;) {
    int work = 0;
    for (int i = 0; i < 2; i++) {
      work |= take(&way[i], tun[i], bytes_per_ns, delay_ns, queue_bytes);
      work |= deliver(&way[i], tun[1 - i]);
    }
    if (work) continue;
    struct timespec nap = {0, NAP_NS};
    struct pollfd readable[2] = {{tun[0], POLLIN, 0}, {tun[1], POLLIN, 0}};
    ppoll(readable, 2, &nap, 0);
  }
}
