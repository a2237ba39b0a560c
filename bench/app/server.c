/* The app that the bench deploys: answers every request, one at a time, at once.
 *
 * It links statically and starts in no time, so that a deploy's own cost is not hidden
 * behind an app's.
 */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

int main(void) {
    char request[8192], answer[256];
    int yes = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(8080)};
    struct timeval patience = {.tv_sec = 1};
    const char *release = getenv("RELEASE");
    int length = snprintf(answer, sizeof answer,
                          "HTTP/1.1 200 OK\r\nX-Release: %.20s\r\nContent-Length: 2\r\n"
                          "Connection: close\r\n\r\nok",
                          release ? release : "0");
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (struct sockaddr *)&any, sizeof any) || listen(listener, 512)) {
        perror("listen");
        return 1;
    }
    puts("bench app: listens");
    fflush(stdout);
    for (;;) {
        size_t filled = 0;
        int link = accept(listener, NULL, NULL);
        if (link < 0) continue;
        setsockopt(link, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        for (;;) {
            ssize_t count = read(link, request + filled, sizeof request - 1 - filled);
            if (count <= 0) break;
            request[filled += (size_t)count] = 0;
            if (!strstr(request, "\r\n\r\n")) continue;
            if (send(link, answer, (size_t)length, MSG_NOSIGNAL) < 0) perror("send");
            break;
        }
        close(link);
    }
}
