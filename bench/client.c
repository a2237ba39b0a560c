/* A closed-loop HTTP client that is never the bottleneck: one thread, one epoll, and no
 * allocation for a request.
 *
 *     client HOST PORT CONNECTIONS keep|fresh TICK FILE
 *
 * Each connection sends its next request as soon as the last was answered. Every TICK
 * answers their number is printed as a line. It runs until standard input ends, waits for
 * what is in flight, writes the last line, "cpu SECONDS", and ends.
 *
 * FILE gets one record for each request, in the machine's byte order: when it began
 * (before connecting, where a connection was made for it), when it was sent, when its
 * answer was complete (nanoseconds of CLOCK_MONOTONIC), the number in the header
 * X-Release, and the HTTP status. A request that was not answered has status 0, and in
 * place of the release the errno; 0 there: the connection ended early.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ROOM = 8192, EVENTS = 256, MOST_FAILURES = 100000 };
#define GRACE_NS 10000000000ull

struct record {
    uint64_t began, sent, received;
    uint32_t release, status;
};

struct connection {
    int fd, number, waits;  /* waits: for an answer */
    uint64_t began, sent;
    size_t filled;
    char text[ROOM];
};

static struct sockaddr_in server;
static char request[512];
static size_t request_length;
static int poller, keeps, stopping, in_flight, failures;
static uint64_t answers, tick;
static FILE *records;

static uint64_t now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec * 1000000000ull + (uint64_t)at.tv_nsec;
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void hang_up(struct connection *c) {
    if (c->fd >= 0) close(c->fd);
    c->fd = -1;
    c->filled = 0;
}

static void keep_record(struct connection *c, uint32_t release, uint32_t status) {
    struct record r = {c->began, c->sent, now(), release, status};
    if (fwrite(&r, sizeof r, 1, records) != 1) fail("write");
    c->waits = 0;
    in_flight--;
    if (++answers % tick == 0) {
        printf("%llu\n", (unsigned long long)answers);
        fflush(stdout);
    }
}

static void give_up(struct connection *c, int error) {
    hang_up(c);
    keep_record(c, (uint32_t)error, 0);
    if (++failures > MOST_FAILURES) stopping = 1;
}

static int send_request(struct connection *c) {
    c->sent = now();
    ssize_t count = send(c->fd, request, request_length, MSG_NOSIGNAL);
    return count == (ssize_t)request_length ? 0 : count < 0 ? errno : EMSGSIZE;
}

/* Loopback answers on all of 127/8: by as many clients, ports do not run out. */
static int come_from_elsewhere(struct connection *c) {
    struct sockaddr_in own = {.sin_family = AF_INET};
    int yes = 1;
    if (ntohl(server.sin_addr.s_addr) >> 24 != 127) return 0;
    own.sin_addr.s_addr = htonl(0x7f000002u + (uint32_t)c->number % 200u);
    setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes);
    return bind(c->fd, (struct sockaddr *)&own, sizeof own);
}

static int dial(struct connection *c) {
    int yes = 1;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || come_from_elsewhere(c) < 0) return errno;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (connect(c->fd, (struct sockaddr *)&server, sizeof server) < 0 && errno != EINPROGRESS)
        return errno;
    c->sent = 0;
    return epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event) < 0 ? errno : 0;
}

static void begin(struct connection *c) {
    c->began = now();
    c->waits = 1;
    in_flight++;
    if (c->fd < 0) {
        int error = dial(c);
        if (error) give_up(c, error);
        return;
    }
    int error = send_request(c);
    if (error) give_up(c, error);
}

static int is_connected(struct connection *c) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (!error) error = send_request(c);
    if (error) give_up(c, error);
    return !error;
}

static long header(const char *text, const char *name, long missing) {
    const char *found = strcasestr(text, name);
    return found ? strtol(found + strlen(name), NULL, 10) : missing;
}

/* Returns whether the answer is complete. */
static int understand(struct connection *c) {
    c->text[c->filled] = 0;
    char *end = strstr(c->text, "\r\n\r\n");
    if (!end) return 0;
    long length = header(c->text, "\r\ncontent-length:", 0);
    if (c->filled < (size_t)(end - c->text) + 4 + (size_t)length) return 0;
    *end = 0;
    uint32_t release = (uint32_t)header(c->text, "\r\nx-release:", 0);
    uint32_t status = (uint32_t)strtol(c->text + 9, NULL, 10);
    int closes = !keeps || strcasestr(c->text, "\r\nconnection: close") != NULL;
    c->filled = 0;
    keep_record(c, release, status);
    if (closes) hang_up(c);
    return 1;
}

static void receive(struct connection *c) {
    while (c->fd >= 0) {
        ssize_t count = recv(c->fd, c->text + c->filled, ROOM - 1 - c->filled, 0);
        if (count < 0 && errno == EAGAIN) return;
        if (count <= 0) {
            /* An idle connection that is closed fails nobody; a request on it would. */
            if (c->waits) give_up(c, count < 0 ? errno : 0);
            else hang_up(c);
            return;
        }
        c->filled += (size_t)count;
        if (understand(c)) return;
        if (c->filled >= ROOM - 1) return give_up(c, EMSGSIZE);
    }
}

static void handle(struct connection *c, uint32_t events) {
    if (c->waits && !c->sent) {
        if (!(events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) || !is_connected(c)) return;
    }
    receive(c);
}

static void run(struct connection *all, int count) {
    struct epoll_event events[EVENTS], input = {.events = EPOLLIN, .data.ptr = NULL};
    uint64_t deadline = UINT64_MAX;
    epoll_ctl(poller, EPOLL_CTL_ADD, 0, &input);
    while (!stopping || in_flight) {
        for (int i = 0; i < count && !stopping; i++)
            if (!all[i].waits) begin(&all[i]);
        int ready = epoll_wait(poller, events, EVENTS, 100);
        for (int i = 0; i < ready; i++) {
            struct connection *c = events[i].data.ptr;
            if (c) handle(c, events[i].events);
            else if (!stopping) stopping = 1, epoll_ctl(poller, EPOLL_CTL_DEL, 0, NULL);
        }
        if (stopping && deadline == UINT64_MAX) deadline = now() + GRACE_NS;
        for (int i = 0; i < count && now() > deadline; i++)
            if (all[i].waits) give_up(&all[i], ETIMEDOUT);
    }
}

int main(int argc, char **argv) {
    struct rusage used;
    if (argc != 7) return fprintf(stderr, "client HOST PORT CONNECTIONS keep|fresh TICK FILE\n"), 2;
    int count = atoi(argv[3]);
    keeps = !strcmp(argv[4], "keep");
    tick = strtoull(argv[5], NULL, 10);
    server.sin_family = AF_INET;
    server.sin_port = htons((uint16_t)atoi(argv[2]));
    if (!inet_pton(AF_INET, argv[1], &server.sin_addr) || count < 1 || !tick) return 2;
    request_length = (size_t)snprintf(
        request, sizeof request, "GET / HTTP/1.1\r\nHost: %s\r\n%s\r\n", argv[1],
        keeps ? "" : "Connection: close\r\n");
    struct connection *all = calloc((size_t)count, sizeof *all);
    records = fopen(argv[6], "wb");
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (!all || !records || poller < 0) fail(argv[6]);
    setvbuf(records, NULL, _IOFBF, 1 << 20);
    for (int i = 0; i < count; i++) all[i].fd = -1, all[i].number = i;
    run(all, count);
    if (fclose(records)) fail(argv[6]);
    getrusage(RUSAGE_SELF, &used);
    printf("cpu %.6f\n", (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6);
    return 0;
}
