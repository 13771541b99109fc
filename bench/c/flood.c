/* Connects, waits until the other side closes, and connects again.
 * flood PORT SOURCE COUNT SECONDS AT_ONCE: up to COUNT connections from SOURCE to 127.0.0.1:PORT,
 * AT_ONCE of them at the same time, for SECONDS at most or until SIGTERM. Prints how many were
 * closed by the other side, and the seconds that it took. */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST_AT_ONCE = 1000 };

static struct sockaddr_in there, here;
static int waiting;
static volatile sig_atomic_t is_over;

static void stop(int number) {
    (void)number;
    is_over = 1;
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int start(void) {
    int one = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), yes = 1;
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.fd = one};
    if (one < 0) return 0;
    setsockopt(one, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    setsockopt(one, IPPROTO_IP, 24 /* IP_BIND_ADDRESS_NO_PORT */, &yes, sizeof yes);
    setsockopt(one, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    if (bind(one, (struct sockaddr *)&here, sizeof here) ||
        (connect(one, (struct sockaddr *)&there, sizeof there) && errno != EINPROGRESS)) {
        close(one);
        return 0;
    }
    epoll_ctl(waiting, EPOLL_CTL_ADD, one, &event);
    return 1;
}

int main(int count, char **words) {
    if (count != 6) return 2;
    there.sin_family = here.sin_family = AF_INET;
    there.sin_port = htons((unsigned short)atoi(words[1]));
    there.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    inet_pton(AF_INET, words[2], &here.sin_addr);
    long wanted = atol(words[3]), started = 0, closed = 0, open = 0, failed = 0;
    double began = now(), end = began + atof(words[4]);
    int at_once = atoi(words[5]);
    if (at_once > MOST_AT_ONCE) at_once = MOST_AT_ONCE;
    waiting = epoll_create1(0);
    signal(SIGTERM, stop);
    while (!is_over && closed < wanted && now() < end && failed < wanted) {
        while (open < at_once && started < wanted) {
            if (!start()) {
                failed++;
                break;
            }
            started++;
            open++;
        }
        struct epoll_event events[MOST_AT_ONCE];
        int ready = epoll_wait(waiting, events, MOST_AT_ONCE, 100);
        for (int i = 0; i < ready; i++) {
            char said[512];
            ssize_t got = recv(events[i].data.fd, said, sizeof said, 0);
            if (got > 0 || (got < 0 && errno == EAGAIN)) continue;
            close(events[i].data.fd);
            open--;
            closed++;
        }
    }
    printf("%ld %.6f\n", closed, now() - began);
    return 0;
}
