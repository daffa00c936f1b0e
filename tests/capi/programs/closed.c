/* What is closed says so: use after close, a second close, a close while another runs, a close from another thread. */
#include "program.h"

#include <pthread.h>

#define CLOSED(call) CHECK((call) == PROMWRITE_ERROR_CLOSED)

static void *close_it(void *writer) {
    CHECK(promwrite_writer_close(writer, 30000, NULL, NULL) == PROMWRITE_OK);
    return NULL;
}

static void of_writer(void) {
    promwrite_writer *writer = writer_of_tests();
    promwrite_series *series = series_of(writer, "closed", "from another thread");
    promwrite_series *none = NULL;
    promwrite_wait *wait = NULL;
    promwrite_report *report = NULL;
    CHECK(promwrite_series_append(series, 1, TIME, NULL) == PROMWRITE_OK);
    pthread_t closing;
    CHECK(pthread_create(&closing, NULL, close_it, writer) == 0);
    CHECK(pthread_join(closing, NULL) == 0);

    CLOSED(promwrite_writer_close(writer, 0, NULL, NULL));
    CLOSED(promwrite_writer_close_start(writer, 0, &wait, NULL));
    CLOSED(promwrite_writer_flush(writer, 0, NULL, NULL));
    CLOSED(promwrite_writer_flush_start(writer, 0, &wait, NULL));
    CLOSED(promwrite_writer_series(writer, TEXT("m"), NULL, 0, &none, NULL));
    CLOSED(promwrite_writer_append(writer, TEXT("m"), NULL, 0, 1, TIME, NULL));
    CLOSED(promwrite_writer_append_packed(writer, PROMWRITE_PACKED_WRITE_REQUEST, NULL, 0, NULL, NULL));
    CLOSED(promwrite_writer_push_text(writer, TEXT("m 1\n"), NULL, 0, NULL, 0, false, NULL, NULL));
    CLOSED(promwrite_series_append(series, 2, TIME + 1, NULL));
    const double value = 2;
    const int64_t at = TIME + 1;
    CLOSED(promwrite_series_append_many(series, &value, &at, 1, NULL));
    CLOSED(promwrite_series_describe(series, TEXT("gauge"), NULL, 0, NULL, 0, NULL));
    CHECK(none == NULL && wait == NULL);
    CHECK(promwrite_writer_stats(writer, &report, NULL) == PROMWRITE_OK);
    CHECK(counter(report, "accepted") == 1 && counter(report, "delivered") == 1);
    promwrite_report_free(report);
    /* in this order, because a series outlives its writer */
    promwrite_writer_free(writer);
    CLOSED(promwrite_series_append(series, 3, TIME + 2, NULL));
    promwrite_series_free(series);
}

static void of_a_writer_that_is_freed_open(void) {
    promwrite_writer *writer = writer_of_tests();
    promwrite_series *series = series_of(writer, "closed", "freed");
    promwrite_writer_free(writer);
    CHECK(promwrite_series_append(series, 1, TIME, NULL) == PROMWRITE_OK);
    promwrite_series_free(series);
    promwrite_report *report = NULL;
    CHECK(promwrite_flush(30000, &report, NULL) == PROMWRITE_OK);
    promwrite_report_free(report);
}

static void of_waits(void) {
    promwrite_writer *writer = writer_of_tests();
    promwrite_wait *wait = NULL, *abandoned = NULL;
    promwrite_report *report = NULL;
    CHECK(promwrite_writer_append(writer, TEXT("waits"), NULL, 0, 1, TIME, NULL) == PROMWRITE_OK);
    CHECK(promwrite_writer_flush_start(writer, 30000, &abandoned, NULL) == PROMWRITE_OK);
    promwrite_wait_free(abandoned);
    CHECK(promwrite_writer_close_start(writer, 30000, &wait, NULL) == PROMWRITE_OK);
    CLOSED(promwrite_writer_close(writer, 0, NULL, NULL));
    CLOSED(promwrite_writer_append(writer, TEXT("waits"), NULL, 0, 2, TIME + 1, NULL));
    while (!promwrite_wait_poll(wait, 50)) {
    }
    CHECK(promwrite_wait_finish(wait, &report, NULL) == PROMWRITE_OK);
    CHECK(counter(report, "delivered") == 1);
    CLOSED(promwrite_wait_finish(wait, NULL, NULL));
    promwrite_report_free(report);
    promwrite_wait_free(wait);
    promwrite_writer_free(writer);
}

static void of_pusher(void) {
    const char *gateway = variable("GATEWAY");
    promwrite_pusher *pusher = NULL;
    promwrite_wait *wait = NULL;
    CHECK(promwrite_pusher_new(gateway, strlen(gateway), TEXT("closed"), NULL, 0, NULL, &pusher, NULL) == PROMWRITE_OK);
    CHECK(promwrite_pusher_put(pusher, (const uint8_t *)"m 1\n", 4, NULL, 0, NULL) == PROMWRITE_OK);
    CHECK(promwrite_pusher_close(pusher, 30000, NULL, NULL) == PROMWRITE_OK);
    CLOSED(promwrite_pusher_close(pusher, 0, NULL, NULL));
    CLOSED(promwrite_pusher_close_start(pusher, 0, &wait, NULL));
    CLOSED(promwrite_pusher_flush(pusher, 0, NULL, NULL));
    CLOSED(promwrite_pusher_flush_start(pusher, 0, &wait, NULL));
    CLOSED(promwrite_pusher_put(pusher, NULL, 0, NULL, 0, NULL));
    CLOSED(promwrite_pusher_post(pusher, NULL, 0, NULL, 0, NULL));
    CLOSED(promwrite_pusher_delete(pusher, NULL));
    promwrite_report *report = NULL;
    CHECK(promwrite_pusher_stats(pusher, &report, NULL) == PROMWRITE_OK);
    CHECK(counter(report, "delivered") == 1);
    promwrite_report_free(report);
    promwrite_pusher_free(pusher);
}

static void of_handler(void) {
    promwrite_handler *handler = NULL;
    promwrite_wait *wait = NULL;
    const char *gateway = variable("GATEWAY");
    char url[200];
    const int length = snprintf(url, sizeof url, "http://%s/metrics/job/handled", gateway);
    CHECK(promwrite_handler_new(NULL, &handler, NULL) == PROMWRITE_OK);
    CHECK(promwrite_handler_push(handler, TEXT("PUT"), url, (size_t)length, NULL, 0, (const uint8_t *)"m 1\n", 4, NULL) ==
          PROMWRITE_OK);
    CHECK(promwrite_handler_close(handler, 30000, NULL, NULL) == PROMWRITE_OK);
    CLOSED(promwrite_handler_close(handler, 0, NULL, NULL));
    CLOSED(promwrite_handler_close_start(handler, 0, &wait, NULL));
    CLOSED(promwrite_handler_flush(handler, 0, NULL, NULL));
    CLOSED(promwrite_handler_flush_start(handler, 0, &wait, NULL));
    CLOSED(promwrite_handler_push(handler, TEXT("PUT"), url, (size_t)length, NULL, 0, NULL, 0, NULL));
    promwrite_handler_free(handler);
}

static void of_a_shutdown(void) {
    promwrite_writer *writer = writer_of_tests();
    promwrite_report *report = NULL;
    promwrite_wait *wait = NULL;
    CHECK(promwrite_writer_append(writer, TEXT("shut"), NULL, 0, 1, TIME, NULL) == PROMWRITE_OK);
    CHECK(promwrite_shutdown_start(30000, &wait, NULL) == PROMWRITE_OK);
    CLOSED(promwrite_writer_append(writer, TEXT("shut"), NULL, 0, 2, TIME + 1, NULL));
    while (!promwrite_wait_poll(wait, 50)) {
    }
    CHECK(promwrite_wait_finish(wait, &report, NULL) == PROMWRITE_OK);
    promwrite_report_free(report);
    promwrite_wait_free(wait);
    CHECK(promwrite_writer_stats(writer, &report, NULL) == PROMWRITE_OK);
    CHECK(counter(report, "delivered") == 1 && counter(report, "pending") == 0);
    promwrite_report_free(report);
    promwrite_writer_free(writer);
}

int main(void) {
    of_writer();
    of_a_writer_that_is_freed_open();
    of_waits();
    of_pusher();
    of_handler();
    of_a_shutdown();
    puts("closed");
    return 0;
}
