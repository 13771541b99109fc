/* The least that a program can do to drop a connection: accept, set "reset on close", close.
 * accept_close PORT: listens on 127.0.0.1 until it is ended. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int count, char **words) {
    if (count != 2) return 2;
    int yes = 1, listening = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in here = {.sin_family = AF_INET,
                               .sin_port = htons((unsigned short)atoi(words[1])),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listening, (struct sockaddr *)&here, sizeof here) || listen(listening, 4096)) {
        perror("listen");
        return 1;
    }
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    for (;;) {
        int accepted = accept(listening, NULL, NULL);
        if (accepted < 0) continue;
        setsockopt(accepted, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        close(accepted);
    }
}
