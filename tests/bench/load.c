/* load: clients of an authentication socket, as many threads as clients.
 *
 *	load SOCKET readsocket|saslauthd CLIENTS WARMUP_MS RUN_MS FILE
 *
 * A client of "readsocket" does what Exim's ${readsocket} does: connect, one write,
 * shutdown(SHUT_WR), read to the end, close. One of "saslauthd" what libsasl does:
 * connect, one write, read a length of 2 bytes and as much text, close. FILE holds
 * requests and the replies they must get: length (4 bytes, big-endian) and bytes, in
 * turn; an expected reply of no bytes is any reply, or none. Each client takes them at
 * random, without a pause.
 *
 * Printed is one line of JSON. "replies" counts requests begun within RUN_MS, which are
 * waited for, "all" those of the warm-up too; times are in ns, from before connect(2)
 * until the reply was there whole. "cpu" is the program's own CPU time, warm-up included. */
#include <err.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
	PATIENCE = 60,	 /* seconds for one reply; past it is a wrong one */
	SUB = 7,	 /* 128 buckets to each power of two: 0.8 % wide at most */
	BUCKETS = (40 - SUB + 1) << SUB, /* to 2^40 ns, 18 minutes */
};

struct exchange {
	const uint8_t *request, *reply;
	uint32_t request_length, reply_length;
};

struct client {
	pthread_t thread;
	uint64_t random, all, replies, wrong, max;
	char example[64]; /* of a wrong reply */
	int example_length;
	uint32_t histogram[BUCKETS];
};

static struct sockaddr_un addr = {.sun_family = AF_UNIX};
static int half_close;
static struct exchange *exchanges;
static uint32_t count;
static uint64_t from, until;

static uint64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* bucket and middle are inverse to each other, as far as the buckets are fine. */
static int bucket(uint64_t ns)
{
	if (ns < 1 << SUB)
		return ns;
	int shift = 63 - __builtin_clzll(ns) - SUB;
	uint64_t i = ((uint64_t)(shift + 1) << SUB) + (ns >> shift) - (1 << SUB);
	return i < BUCKETS ? i : BUCKETS - 1;
}

static uint64_t middle(int i)
{
	if (i < 1 << SUB)
		return i;
	int shift = (i >> SUB) - 1;
	return ((((uint64_t)i & ((1 << SUB) - 1)) + (1 << SUB)) << shift) + ((1ull << shift) >> 1);
}

/* ask makes one exchange and returns the length of the reply, -1 for none. */
static ssize_t ask(const struct exchange *x, uint8_t *reply, size_t room)
{
	const struct timeval patience = {.tv_sec = PATIENCE};
	size_t length = 0;
	ssize_t n = -1;
	int s = socket(AF_UNIX, SOCK_STREAM, 0);

	if (s < 0)
		return -1;
	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience); /* connect(2) too */
	if (connect(s, (struct sockaddr *)&addr, sizeof addr))
		goto out;
	if (write(s, x->request, x->request_length) != x->request_length)
		goto out;
	if (half_close && shutdown(s, SHUT_WR) && errno != ENOTCONN)
		goto out;
	while ((n = read(s, reply + length, room - length)) > 0) {
		length += n;
		if (!half_close && length >= 2 && length >= 2u + (reply[0] << 8 | reply[1]))
			break;
	}
out:
	close(s);
	return n < 0 ? -1 : (ssize_t)length;
}

static void *run(void *arg)
{
	struct client *c = arg;
	uint8_t reply[2048];

	for (uint64_t start; (start = now()) < until;) {
		c->random ^= c->random << 13;
		c->random ^= c->random >> 7;
		c->random ^= c->random << 17;
		const struct exchange *x = &exchanges[c->random % count];
		ssize_t n = ask(x, reply, sizeof reply);
		uint64_t took = now() - start;

		c->all++;
		if (x->reply_length && (n != x->reply_length || memcmp(reply, x->reply, n))) {
			c->wrong++;
			c->example_length = n < 0 ? 0 : n < 64 ? n : 64;
			memcpy(c->example, reply, c->example_length);
			usleep(1000); /* a server that is gone need not be asked as fast as can be */
		}
		if (start < from)
			continue;
		c->replies++;
		c->histogram[bucket(took)]++;
		if (took > c->max)
			c->max = took;
	}
	return NULL;
}

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
}

static void load_file(const char *name)
{
	FILE *f = fopen(name, "r");
	struct stat st;
	uint8_t *p, *end;

	if (!f || fstat(fileno(f), &st) || !(p = malloc(st.st_size)) || fread(p, 1, st.st_size, f) != (size_t)st.st_size)
		err(1, "%s", name);
	for (end = p + st.st_size; p < end; count++) {
		if (!(exchanges = realloc(exchanges, (count + 1) * sizeof *exchanges)))
			err(1, "realloc");
		struct exchange *x = &exchanges[count];
		x->request_length = be32(p);
		x->request = p + 4;
		p += 4 + x->request_length;
		x->reply_length = be32(p);
		x->reply = p + 4;
		p += 4 + x->reply_length;
	}
	if (!count || p != end)
		errx(1, "%s: cut short", name);
}

int main(int argc, char **argv)
{
	if (argc != 7 || strlen(argv[1]) >= sizeof addr.sun_path)
		errx(2, "usage: load SOCKET readsocket|saslauthd CLIENTS WARMUP_MS RUN_MS FILE");
	strcpy(addr.sun_path, argv[1]);
	half_close = !strcmp(argv[2], "readsocket");
	int n = atoi(argv[3]);
	load_file(argv[6]);
	signal(SIGPIPE, SIG_IGN);

	struct client *clients = calloc(n, sizeof *clients), sum = {0};
	if (n < 1 || !clients)
		errx(1, "%s clients", argv[3]);
	from = now() + strtoull(argv[4], NULL, 10) * 1000000;
	until = from + strtoull(argv[5], NULL, 10) * 1000000;
	for (int i = 0; i < n; i++) {
		clients[i].random = 0x9e3779b97f4a7c15ull * (i + 1) ^ from;
		if ((errno = pthread_create(&clients[i].thread, NULL, run, &clients[i])))
			err(1, "pthread_create");
	}
	for (int i = 0; i < n; i++) {
		struct client *c = &clients[i];
		pthread_join(c->thread, NULL);
		sum.all += c->all;
		sum.replies += c->replies;
		sum.wrong += c->wrong;
		if (c->wrong)
			fprintf(stderr, "a wrong reply: \"%.*s\"\n", c->example_length, c->example);
		if (c->max > sum.max)
			sum.max = c->max;
		for (int b = 0; b < BUCKETS; b++)
			sum.histogram[b] += c->histogram[b];
	}

	const char *names[] = {"p50", "p90", "p99", "p999"};
	const double parts[] = {0.5, 0.9, 0.99, 0.999};
	struct rusage usage;
	uint64_t seen = 0;
	getrusage(RUSAGE_SELF, &usage);
	printf("{\"replies\":%lu,\"all\":%lu,\"wrong\":%lu,\"seconds\":%.6f,\"times\":{\"max\":%lu", sum.replies, sum.all, sum.wrong, (until - from) / 1e9, sum.max);
	for (int i = 0, b = 0; i < 4; i++) {
		while (b < BUCKETS && seen + sum.histogram[b] < parts[i] * sum.replies)
			seen += sum.histogram[b++];
		printf(",\"%s\":%lu", names[i], b < BUCKETS ? middle(b) : 0);
	}
	printf("},\"cpu\":%.6f}\n", usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
	return 0;
}
