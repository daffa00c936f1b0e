/* Forks. Without an argument: parent and children each append, and each sends what is its own. With a number: that many forks
 * while four threads append, and each child sends a sample of its own. */
#include "program.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/wait.h>

enum { THREADS = 4, SAMPLES = 50, TOGETHER = 8 };

static promwrite_writer *writer;
static atomic_int round_now;

static void append(const promwrite_series *series, int n) {
    CHECK(promwrite_series_append(series, n, TIME + n, NULL) == PROMWRITE_OK);
}

static void child_ended(void) {
    int status = 0;
    CHECK(wait(&status) > 0);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void each_its_own(void) {
    promwrite_series *parent = series_of(writer, "fork", "parent");
    promwrite_series *child = series_of(writer, "fork", "child");
    promwrite_series *exits = series_of(writer, "fork", "child that exits");
    append(parent, 0);
    const pid_t closing = fork();
    CHECK(closing >= 0);
    if (closing == 0) {
        append(child, 1);
        promwrite_series *own = series_of(writer, "fork", "made in the child");
        append(own, 2);
        promwrite_series_free(own);
        promwrite_series_free(parent);
        promwrite_series_free(child);
        promwrite_series_free(exits);
        CHECK(close_complete(writer) == 2);
        _exit(0);
    }
    append(parent, 1);
    const pid_t exiting = fork();
    CHECK(exiting >= 0);
    if (exiting == 0) {
        append(exits, 3);
        exit(0);
    }
    append(parent, 2);
    child_ended();
    child_ended();
    promwrite_series_free(parent);
    promwrite_series_free(child);
    promwrite_series_free(exits);
    CHECK(close_complete(writer) == 3);
}

/* Appends SAMPLES a round, so that there is always somebody appending when the next fork comes. */
static void *append_on(void *arguments) {
    const int forks = ((const int *)arguments)[0], number = ((const int *)arguments)[1];
    char name[2] = {(char)('0' + number), 0};
    promwrite_series *series = series_of(writer, "busy", name);
    for (int n = 0; n < forks * SAMPLES; n++) {
        while (n >= (atomic_load(&round_now) + 1) * SAMPLES) sched_yield();
        append(series, n);
    }
    promwrite_series_free(series);
    return NULL;
}

static void storm(int forks) {
    pthread_t threads[THREADS];
    int arguments[THREADS][2];
    for (int n = 0; n < THREADS; n++) {
        arguments[n][0] = forks;
        arguments[n][1] = n;
        CHECK(pthread_create(&threads[n], NULL, append_on, arguments[n]) == 0);
    }
    for (int n = 0; n < forks; n++) {
        if (n >= TOGETHER) child_ended();
        atomic_store(&round_now, n);
        const pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            char name[12];
            snprintf(name, sizeof name, "%d", n);
            const promwrite_str labels[] = {{TEXT("of")}, {name, strlen(name)}};
            CHECK(promwrite_writer_append(writer, TEXT("child"), labels, 1, n, TIME, NULL) == PROMWRITE_OK);
            promwrite_report *report = NULL;
            CHECK(promwrite_writer_close(writer, 30000, &report, NULL) == PROMWRITE_OK);
            CHECK(counter(report, "delivered") == 1);
            _exit(0);
        }
    }
    for (int n = 0; n < THREADS; n++) CHECK(pthread_join(threads[n], NULL) == 0);
    for (int n = 0; n < (forks < TOGETHER ? forks : TOGETHER); n++) child_ended();
    CHECK(close_complete(writer) == (uint64_t)forks * THREADS * SAMPLES);
}

int main(int count, char **arguments) {
    writer = writer_of_tests();
    if (count == 1) {
        each_its_own();
    } else {
        storm(atoi(arguments[1]));
    }
    puts("forked");
    return 0;
}
