/* Eight threads on one writer, each with its own series and all with one. Prints what was delivered. */
#include "program.h"

#include <pthread.h>

enum { THREADS = 8, SAMPLES = 2000 };

static promwrite_writer *writer;
static promwrite_series *shared;

static void *append(void *number) {
    char name[2] = {(char)('0' + *(const int *)number), 0};
    promwrite_series *own = series_of(writer, "own", name);
    for (int n = 0; n < SAMPLES; n++) {
        CHECK(promwrite_series_append(own, n, TIME + n, NULL) == PROMWRITE_OK);
        CHECK(promwrite_series_append(shared, n, TIME + n, NULL) == PROMWRITE_OK);
    }
    promwrite_series_free(own);
    return NULL;
}

int main(void) {
    pthread_t threads[THREADS];
    int numbers[THREADS];
    writer = writer_of_tests();
    shared = series_of(writer, "shared", "all");
    for (int n = 0; n < THREADS; n++) {
        numbers[n] = n;
        CHECK(pthread_create(&threads[n], NULL, append, &numbers[n]) == 0);
    }
    for (int n = 0; n < THREADS; n++) CHECK(pthread_join(threads[n], NULL) == 0);
    promwrite_report *report = NULL;
    CHECK(promwrite_writer_stats(writer, &report, NULL) == PROMWRITE_OK);
    CHECK(counter(report, "accepted") == 2 * THREADS * SAMPLES);
    promwrite_report_free(report);
    promwrite_series_free(shared);
    printf("%llu\n", (unsigned long long)close_complete(writer));
    return 0;
}
