/* A host that makes life hard: a timer that interrupts every system call, a storm of SIGUSR1, SIGPIPE as it is by default,
 * standard error closed. Every handler must run on the host's own thread. */
#define _GNU_SOURCE
#include "program.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/time.h>

enum { SAMPLES = 20000 };

static atomic_int alarms, users, elsewhere, done;

static void count(int number) {
    if ((pid_t)syscall(SYS_gettid) != getpid()) atomic_fetch_add(&elsewhere, 1);
    atomic_fetch_add(number == SIGALRM ? &alarms : &users, 1);
}

/* Sends the next signal when the last one was handled, because a pending one is not counted twice. */
static void *storm(void *unused) {
    (void)unused;
    for (int sent = 0; !atomic_load(&done); sent++) {
        kill(getpid(), SIGUSR1);
        while (atomic_load(&users) <= sent && !atomic_load(&done)) sched_yield();
    }
    return NULL;
}

int main(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = count; /* without SA_RESTART: calls end with EINTR */
    CHECK(sigaction(SIGALRM, &action, NULL) == 0 && sigaction(SIGUSR1, &action, NULL) == 0);
    action.sa_handler = SIG_DFL;
    CHECK(sigaction(SIGPIPE, &action, NULL) == 0);

    /* the storm's own thread handles no signal, so that only main and promwrite's threads can */
    sigset_t all, before;
    sigfillset(&all);
    CHECK(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, storm, NULL) == 0);
    CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);

    const struct itimerval every_ms = {{0, 1000}, {0, 1000}};
    CHECK(setitimer(ITIMER_REAL, &every_ms, NULL) == 0);
    const int standard_error = dup(STDERR_FILENO);
    close(STDERR_FILENO);

    promwrite_writer *writer = writer_of_tests();
    promwrite_series *series = series_of(writer, "signals", "storm");
    promwrite_report *report = NULL;
    for (int n = 0; n < SAMPLES; n++) {
        CHECK(promwrite_series_append(series, n, TIME + n, NULL) == PROMWRITE_OK);
        if (n % 1000 == 0) CHECK(promwrite_writer_flush(writer, 30000, NULL, NULL) == PROMWRITE_OK);
    }
    CHECK(promwrite_writer_flush(writer, PROMWRITE_FOREVER, &report, NULL) == PROMWRITE_OK);
    promwrite_report_free(report);
    promwrite_series_free(series);
    CHECK(promwrite_writer_stats(writer, &report, NULL) == PROMWRITE_OK);
    const uint64_t delivered = counter(report, "delivered"), failed = counter(report, "requests.failed");
    promwrite_report_free(report);
    /* on without a wait, should everything have gone too quickly for the timer */
    while (atomic_load(&alarms) < 10 || atomic_load(&users) < 10) sched_yield();
    CHECK(promwrite_writer_close(writer, 30000, NULL, NULL) == PROMWRITE_OK);
    promwrite_writer_free(writer);

    const struct itimerval never = {{0, 0}, {0, 0}};
    CHECK(setitimer(ITIMER_REAL, &never, NULL) == 0);
    atomic_store(&done, 1);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(dup2(standard_error, STDERR_FILENO) == STDERR_FILENO);
    CHECK(atomic_load(&elsewhere) == 0);
    printf("delivered %llu, failed requests %llu\n", (unsigned long long)delivered, (unsigned long long)failed);
    return 0;
}
