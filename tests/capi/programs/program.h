/* What the test programs share. A program ends with 0 only when every CHECK held; what arrived is checked from outside. */
#ifndef PROGRAM_H
#define PROGRAM_H

#include <promwrite/promwrite.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* _exit, because the end of a program that failed must not wait for deliveries. */
#define CHECK(condition)                                                                      \
    do {                                                                                      \
        if (!(condition)) {                                                                   \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);    \
            _exit(1);                                                                         \
        }                                                                                     \
    } while (0)

/* A literal as pointer and length. */
#define TEXT(literal) (literal), (sizeof(literal) - 1)

/* A time of which every sample of the tests counts on; any time since 2001 would do. */
#define TIME INT64_C(1700000000000)

static inline const char *variable(const char *name) {
    const char *value = getenv(name);
    CHECK(value != NULL);
    return value;
}

static inline void set(promwrite_options *options, const char *key, const char *value) {
    CHECK(promwrite_options_set(options, key, strlen(key), value, strlen(value), NULL) == PROMWRITE_OK);
}

/* Options for tests: no host name, quick retries, nothing sent before it is asked for. */
static inline promwrite_options *options_of_tests(void) {
    promwrite_options *options = promwrite_options_new();
    CHECK(options != NULL);
    set(options, PROMWRITE_OPTION_INSTANCE, "");
    set(options, PROMWRITE_OPTION_QUEUE_CONFIG_MIN_BACKOFF, "10ms");
    set(options, PROMWRITE_OPTION_QUEUE_CONFIG_MAX_BACKOFF, "50ms");
    set(options, PROMWRITE_OPTION_QUEUE_CONFIG_BATCH_SEND_DEADLINE, "1h");
    return options;
}

/* A writer to $URL. */
static inline promwrite_writer *writer_of_tests(void) {
    promwrite_options *options = options_of_tests();
    promwrite_writer *writer = NULL;
    const char *url = variable("URL");
    CHECK(promwrite_writer_new(url, strlen(url), options, &writer, NULL) == PROMWRITE_OK);
    promwrite_options_free(options);
    return writer;
}

/* The series `name` with the label `of`. */
static inline promwrite_series *series_of(const promwrite_writer *writer, const char *name, const char *of) {
    const promwrite_str labels[] = {{TEXT("of")}, {of, strlen(of)}};
    promwrite_series *series = NULL;
    CHECK(promwrite_writer_series(writer, name, strlen(name), labels, 1, &series, NULL) == PROMWRITE_OK);
    return series;
}

static inline uint64_t counter(const promwrite_report *report, const char *name) {
    uint64_t value = 0;
    CHECK(promwrite_report_get(report, 0, name, strlen(name), &value, NULL) == PROMWRITE_OK);
    return value;
}

/* Closes the writer, which must have delivered everything, and frees it. */
static inline uint64_t close_complete(promwrite_writer *writer) {
    promwrite_report *report = NULL;
    CHECK(promwrite_writer_close(writer, 30000, &report, NULL) == PROMWRITE_OK);
    CHECK(promwrite_report_complete(report));
    CHECK(counter(report, "accepted") == counter(report, "delivered") + counter(report, "superseded"));
    const uint64_t delivered = counter(report, "delivered");
    promwrite_report_free(report);
    promwrite_writer_free(writer);
    return delivered;
}

#endif
