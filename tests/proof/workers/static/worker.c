// A worker without a framework, and the only file in its image.
//
//   worker               handles one message, if one arrives within 5 s, and exits
//   worker send JOB...   sends jobs: ID:SECONDS or ID:SECONDS:crash
//   worker healthy       its liveness probe
//   worker hang          makes the liveness probe fail until the container is started again
//   worker version       prints the version

#include <arpa/inet.h>
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { CRASH_CODE = 70, NAP = 50 * 1000 * 1000, SECOND = 1000 * 1000 * 1000 };
static const char HUNG[] = "/dev/shm/hung"; // the root may be read-only; on the node of these tests, each container has its own

static void fail(const char *what) {
    fprintf(stderr, "worker: %s\n", what);
    exit(1);
}

static const char *variable(const char *name) {
    const char *value = getenv(name);
    if (!value)
        fail(name);
    return value;
}

static long long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (long long)time.tv_sec * SECOND + time.tv_nsec;
}

// One line in one write, so that lines of several processes never mix.
static void record(const char *event, const char *job) {
    char line[512];
    int length = snprintf(line, sizeof line, "%lld %s %s %s\n", now(), event, job, variable("HOSTNAME"));
    int ledger = open(variable("LEDGER"), O_WRONLY | O_APPEND | O_CREAT, 0666);
    if (ledger < 0 || write(ledger, line, length) != length)
        fail("the ledger cannot be written");
    close(ledger);
}

// Works until a deadline: a signal cuts a sleep short, never the job.
static void handle(char *order) {
    const char *job = strtok(order, ":"), *seconds = strtok(NULL, ":"), *crash = strtok(NULL, ":");
    if (!job || !seconds)
        fail("a message of another kind");
    record("start", job);
    long long deadline = now() + (long long)(atof(seconds) * SECOND);
    for (long long left; (left = deadline - now()) > 0;)
        nanosleep(&(struct timespec){.tv_nsec = left < NAP ? left : NAP}, NULL);
    record(crash ? "crash" : "end", job);
    if (crash)
        _exit(CRASH_CODE); // as a segfault would: no exit handler
}

static FILE *connect_to_redis(void) {
    char host[64];
    unsigned short port;
    if (sscanf(variable("REDIS_URL"), "redis://%63[0-9.]:%hu", host, &port) != 2)
        fail("REDIS_URL is not redis://ADDRESS:PORT");
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, host, &address.sin_addr);
    int connection = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(connection, (struct sockaddr *)&address, sizeof address) != 0)
        fail("Redis does not answer");
    FILE *stream = fdopen(connection, "r+");
    if (!stream)
        fail("no memory");
    return stream;
}

static void read_line(FILE *redis, char *line, int size) {
    if (!fgets(line, size, redis))
        fail("Redis is gone");
    line[strcspn(line, "\r\n")] = '\0';
}

static void work(void) {
    char line[256];
    FILE *redis = connect_to_redis();
    fputs("BLPOP jobs 5\r\n", redis);
    fflush(redis);
    read_line(redis, line, sizeof line);
    if (strcmp(line, "*-1") == 0)
        return;
    if (strcmp(line, "*2") != 0)
        fail(line);
    // The list's name and the message, each behind its length.
    for (int i = 0; i < 4; i++)
        read_line(redis, line, sizeof line);
    handle(line);
}

static void send_jobs(char **jobs) {
    char line[256];
    FILE *redis = connect_to_redis();
    fputs("RPUSH jobs", redis);
    for (; *jobs; jobs++)
        fprintf(redis, " %s", *jobs);
    fputs("\r\n", redis);
    fflush(redis);
    read_line(redis, line, sizeof line);
    if (line[0] != ':')
        fail(line);
}

int main(int count, char **arguments) {
    const char *what = count > 1 ? arguments[1] : "work";
    if (strcmp(what, "work") == 0)
        work();
    else if (strcmp(what, "send") == 0)
        send_jobs(arguments + 2);
    else if (strcmp(what, "healthy") == 0)
        return access(HUNG, F_OK) == 0;
    else if (strcmp(what, "hang") == 0)
        return creat(HUNG, 0666) < 0;
    else if (strcmp(what, "version") == 0)
        printf("A static binary of gcc %s and glibc %s\n", __VERSION__, gnu_get_libc_version());
    else
        fail("no such command");
    return 0;
}
