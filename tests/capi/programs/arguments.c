/* Every entry with arguments that break a rule: a code and a message that names the argument, and nothing accepted. */
#include "program.h"

#include <stdint.h>

static int refusals;

static void refused(int line, int32_t got, int32_t want, const char *words, promwrite_error *error) {
    const char *message = promwrite_error_message(error);
    if (got != want || promwrite_error_code(error) != want || strstr(message, words) == NULL) {
        fprintf(stderr, "%s:%d: %d (%s), not %d with \"%s\"\n", __FILE__, line, got, message, want, words);
        _exit(1);
    }
    promwrite_error_free(error);
    refusals++;
}

/* `call` gives &error; its message must hold `words`. */
#define REFUSED_WITH(code, words, call)                       \
    do {                                                      \
        promwrite_error *error = NULL;                        \
        const int32_t got = (call);                           \
        refused(__LINE__, got, (code), (words), error);       \
    } while (0)
#define REFUSED(words, call) REFUSED_WITH(PROMWRITE_ERROR_INVALID, (words), call)

/* A text argument in every bad way; `TEXT_ARGUMENT` is its place in the call. */
#define BAD_TEXT(name, call)                                             \
    do {                                                                 \
        const char *text = NULL;                                         \
        size_t length = 1;                                               \
        REFUSED(name ": NULL is refused", call);                         \
        text = "x";                                                      \
        length = SIZE_MAX;                                               \
        REFUSED(name ": ", call);                                        \
        length = (size_t)PTRDIFF_MAX + 1;                                \
        REFUSED(name ": ", call);                                        \
        text = "ab\xff";                                                 \
        length = 3;                                                      \
        REFUSED(name ": ", call);                                        \
    } while (0)

/* The same for bytes that need not be UTF-8. */
#define BAD_BYTES(name, call)                                            \
    do {                                                                 \
        const uint8_t *text = NULL;                                      \
        size_t length = 1;                                               \
        REFUSED(name ": NULL is refused", call);                         \
        text = (const uint8_t *)"x";                                     \
        length = SIZE_MAX;                                               \
        REFUSED(name ": ", call);                                        \
    } while (0)

/* Labels in every bad way. */
#define BAD_LABELS(name, call)                                           \
    do {                                                                 \
        const promwrite_str good[] = {{TEXT("a")}, {TEXT("b")}};         \
        const promwrite_str null[] = {{TEXT("a")}, {NULL, 1}};           \
        const promwrite_str huge[] = {{"a", SIZE_MAX}, {TEXT("b")}};     \
        const promwrite_str bad[] = {{TEXT("a")}, {TEXT("\xff")}};       \
        const promwrite_str *labels = NULL;                              \
        size_t pairs = 1;                                                \
        REFUSED(name ": NULL is refused", call);                         \
        labels = good;                                                   \
        pairs = SIZE_MAX;                                                \
        REFUSED(name ": ", call);                                        \
        pairs = SIZE_MAX / 2;                                            \
        REFUSED(name ": ", call);                                        \
        pairs = 1;                                                       \
        labels = null;                                                   \
        REFUSED(name ": NULL is refused", call);                         \
        labels = huge;                                                   \
        REFUSED(name ": ", call);                                        \
        labels = bad;                                                    \
        REFUSED(name ": ", call);                                        \
    } while (0)

/* A flush or close and its _start, of one kind of handle. */
#define BAD_WAITS(kind, handle)                                                                           \
    do {                                                                                                  \
        REFUSED(#kind ": NULL", promwrite_##kind##_flush(NULL, 0, NULL, &error));                         \
        REFUSED(#kind ": NULL", promwrite_##kind##_close(NULL, 0, NULL, &error));                         \
        REFUSED(#kind ": NULL", promwrite_##kind##_flush_start(NULL, 0, &wait, &error));                  \
        REFUSED(#kind ": NULL", promwrite_##kind##_close_start(NULL, 0, &wait, &error));                  \
        REFUSED(#kind ": NULL", promwrite_##kind##_stats(NULL, &report, &error));                         \
        REFUSED("timeout_ms: \"-2\"", promwrite_##kind##_flush(handle, -2, &report, &error));                 \
        REFUSED("timeout_ms: \"-2\"", promwrite_##kind##_close(handle, -2, &report, &error));                 \
        REFUSED("timeout_ms: \"-2\"", promwrite_##kind##_flush_start(handle, -2, &wait, &error));             \
        REFUSED("timeout_ms: \"-2\"", promwrite_##kind##_close_start(handle, -2, &wait, &error));             \
        REFUSED("wait: NULL", promwrite_##kind##_flush_start(handle, 0, NULL, &error));                   \
        REFUSED("wait: NULL", promwrite_##kind##_close_start(handle, 0, NULL, &error));                   \
        REFUSED("report: NULL", promwrite_##kind##_stats(handle, NULL, &error));                          \
    } while (0)

/* A place that must not be written to. */
static int untouched;
#define UNTOUCHED ((void *)&untouched)

static void of_options(void) {
    promwrite_options *options = promwrite_options_new();
    REFUSED("options: NULL", promwrite_options_set(NULL, TEXT("instance"), TEXT(""), &error));
    BAD_TEXT("key", promwrite_options_set(options, text, length, TEXT("v"), &error));
    BAD_TEXT("value", promwrite_options_set(options, TEXT("instance"), text, length, &error));
    REFUSED_WITH(PROMWRITE_ERROR_UNKNOWN_OPTION, "option ", promwrite_options_set(options, NULL, 0, NULL, 0, &error));
    REFUSED_WITH(PROMWRITE_ERROR_UNKNOWN_OPTION, "did you mean remote_timeout?",
                 promwrite_options_set(options, TEXT("remote_timeou"), TEXT("1s"), &error));
    REFUSED("remote_timeout: ", promwrite_options_set(options, TEXT("remote_timeout"), NULL, 0, &error));
    /* without a place for the error the code is the same */
    CHECK(promwrite_options_set(NULL, NULL, 1, NULL, 1, NULL) == PROMWRITE_ERROR_INVALID);
    promwrite_options_free(options);
    promwrite_options_free(NULL);
}

static void of_encode(void) {
    uint8_t body[64];
    size_t body_len = 77;
    const uint8_t *packed = (const uint8_t *)"\x0a\x05x";
    CHECK(promwrite_encode_bound(0) > 0 && promwrite_encode_bound(0) <= sizeof body);
    BAD_BYTES("packed", promwrite_encode(1, text, length, body, sizeof body, &body_len, &error));
    REFUSED("layout: \"3\"", promwrite_encode(3, NULL, 0, body, sizeof body, &body_len, &error));
    REFUSED("body: NULL", promwrite_encode(1, NULL, 0, NULL, 1, &body_len, &error));
    REFUSED("body: ", promwrite_encode(1, NULL, 0, body, SIZE_MAX, &body_len, &error));
    REFUSED("body_len: NULL", promwrite_encode(1, NULL, 0, body, sizeof body, NULL, &error));
    REFUSED("", promwrite_encode(1, packed, 3, body, sizeof body, &body_len, &error));
    REFUSED_WITH(PROMWRITE_ERROR_TOO_LARGE, "", promwrite_encode(1, NULL, 0, NULL, 0, &body_len, &error));
    CHECK(body_len == 77);
    CHECK(promwrite_encode(1, NULL, 0, body, sizeof body, &body_len, NULL) == PROMWRITE_OK && body_len == 1);
}

static void of_series(promwrite_series *series) {
    const double values[] = {1, 2};
    const int64_t times[] = {TIME, 5}, now[] = {TIME, PROMWRITE_NOW};
    REFUSED("series: NULL", promwrite_series_append(NULL, 1, PROMWRITE_NOW, &error));
    REFUSED_WITH(PROMWRITE_ERROR_INVALID_TIMESTAMP, "1970", promwrite_series_append(series, 1, 5, &error));
    REFUSED_WITH(PROMWRITE_ERROR_INVALID_TIMESTAMP, "", promwrite_series_append(series, 1, INT64_MAX, &error));
    REFUSED("series: NULL", promwrite_series_append_many(NULL, values, times, 2, &error));
    REFUSED("values: NULL", promwrite_series_append_many(series, NULL, times, 2, &error));
    REFUSED("timestamps_ms: NULL", promwrite_series_append_many(series, values, NULL, 2, &error));
    REFUSED("values: ", promwrite_series_append_many(series, values, times, SIZE_MAX, &error));
    REFUSED("values: ", promwrite_series_append_many(series, values, times, SIZE_MAX / 8, &error));
    REFUSED("timestamps_ms: \"PROMWRITE_NOW\"", promwrite_series_append_many(series, values, now, 2, &error));
    REFUSED_WITH(PROMWRITE_ERROR_INVALID_TIMESTAMP, "", promwrite_series_append_many(series, values, times, 2, &error));
    CHECK(promwrite_series_append_many(series, NULL, NULL, 0, NULL) == PROMWRITE_OK);
    REFUSED("series: NULL", promwrite_series_describe(NULL, NULL, 0, NULL, 0, NULL, 0, &error));
    BAD_TEXT("type", promwrite_series_describe(series, text, length, NULL, 0, NULL, 0, &error));
    BAD_TEXT("help", promwrite_series_describe(series, NULL, 0, text, length, NULL, 0, &error));
    BAD_TEXT("unit", promwrite_series_describe(series, NULL, 0, NULL, 0, text, length, &error));
    REFUSED("", promwrite_series_describe(series, TEXT("meter"), NULL, 0, NULL, 0, &error));
    promwrite_series_free(NULL);
}

static void of_writer(void) {
    promwrite_writer *writer = UNTOUCHED;
    promwrite_series *series = UNTOUCHED;
    promwrite_wait *wait = UNTOUCHED;
    promwrite_report *report = UNTOUCHED;
    uint64_t accepted = 77;
    const int64_t now = PROMWRITE_NOW;

    BAD_TEXT("url", promwrite_writer_new(text, length, NULL, &writer, &error));
    REFUSED("url: ", promwrite_writer_new(NULL, 0, NULL, &writer, &error));
    REFUSED("writer: NULL", promwrite_writer_new(TEXT("http://127.0.0.1:1/"), NULL, NULL, &error));
    CHECK(writer == UNTOUCHED);
    CHECK(promwrite_writer_url(NULL) == NULL);
    writer = writer_of_tests();

    REFUSED("writer: NULL", promwrite_writer_series(NULL, TEXT("m"), NULL, 0, &series, &error));
    BAD_TEXT("name", promwrite_writer_series(writer, text, length, NULL, 0, &series, &error));
    REFUSED("", promwrite_writer_series(writer, NULL, 0, NULL, 0, &series, &error));
    BAD_LABELS("labels", promwrite_writer_series(writer, TEXT("m"), labels, pairs, &series, &error));
    REFUSED("series: NULL", promwrite_writer_series(writer, TEXT("m"), NULL, 0, NULL, &error));
    REFUSED("writer: NULL", promwrite_writer_series_packed(NULL, NULL, 0, &series, &error));
    BAD_BYTES("labels", promwrite_writer_series_packed(writer, text, length, &series, &error));
    REFUSED("", promwrite_writer_series_packed(writer, NULL, 0, &series, &error));
    REFUSED("", promwrite_writer_series_packed(writer, (const uint8_t *)"\x0a\x7f", 2, &series, &error));
    REFUSED("series: NULL", promwrite_writer_series_packed(writer, NULL, 0, NULL, &error));
    CHECK(series == UNTOUCHED);

    REFUSED("writer: NULL", promwrite_writer_append(NULL, TEXT("m"), NULL, 0, 1, now, &error));
    BAD_TEXT("name", promwrite_writer_append(writer, text, length, NULL, 0, 1, now, &error));
    REFUSED("", promwrite_writer_append(writer, NULL, 0, NULL, 0, 1, now, &error));
    BAD_LABELS("labels", promwrite_writer_append(writer, TEXT("m"), labels, pairs, 1, now, &error));
    REFUSED_WITH(PROMWRITE_ERROR_INVALID_TIMESTAMP, "",
                 promwrite_writer_append(writer, TEXT("m"), NULL, 0, 1, 0, &error));

    REFUSED("writer: NULL", promwrite_writer_append_packed(NULL, 1, NULL, 0, &accepted, &error));
    REFUSED("layout: \"0\"", promwrite_writer_append_packed(writer, 0, NULL, 0, &accepted, &error));
    BAD_BYTES("packed", promwrite_writer_append_packed(writer, 1, text, length, &accepted, &error));
    REFUSED("", promwrite_writer_append_packed(writer, 1, (const uint8_t *)"\x0a\x7f", 2, &accepted, &error));
    REFUSED("", promwrite_writer_append_packed(writer, PROMWRITE_PACKED_SORTED_REQUEST, (const uint8_t *)"\x0a\x7f", 2, &accepted, &error));

    REFUSED("writer: NULL", promwrite_writer_push_text(NULL, NULL, 0, NULL, 0, NULL, 0, false, &accepted, &error));
    BAD_BYTES("page", promwrite_writer_push_text(writer, (const char *)text, length, NULL, 0, NULL, 0, false, &accepted,
                                                 &error));
    REFUSED_WITH(PROMWRITE_ERROR_EXPOSITION, "not UTF-8",
                 promwrite_writer_push_text(writer, TEXT("m\xff 1\n"), NULL, 0, NULL, 0, false, &accepted, &error));
    BAD_TEXT("content_type",
             promwrite_writer_push_text(writer, TEXT("m 1\n"), text, length, NULL, 0, false, &accepted, &error));
    BAD_LABELS("labels",
               promwrite_writer_push_text(writer, TEXT("m 1\n"), NULL, 0, labels, pairs, false, &accepted, &error));
    REFUSED_WITH(PROMWRITE_ERROR_EXPOSITION, "line 2, column ",
                 promwrite_writer_push_text(writer, TEXT("m 1\nm }\n"), NULL, 0, NULL, 0, false, &accepted, &error));
    CHECK(accepted == 77);
    CHECK(promwrite_writer_push_text(writer, NULL, 0, NULL, 0, NULL, 0, false, &accepted, NULL) == PROMWRITE_OK);
    CHECK(accepted == 0);

    BAD_WAITS(writer, writer);
    CHECK(wait == UNTOUCHED && report == UNTOUCHED);

    series = series_of(writer, "m", "arguments");
    of_series(series);
    promwrite_series_free(series);

    CHECK(promwrite_writer_stats(writer, &report, NULL) == PROMWRITE_OK);
    CHECK(counter(report, "accepted") == 0);
    promwrite_report_free(report);
    CHECK(promwrite_writer_close(writer, 0, NULL, NULL) == PROMWRITE_OK);
    promwrite_writer_free(writer);
    promwrite_writer_free(NULL);
}

static void of_pusher(void) {
    promwrite_pusher *pusher = UNTOUCHED;
    promwrite_wait *wait = UNTOUCHED;
    promwrite_report *report = UNTOUCHED;
    const char *gateway = variable("GATEWAY");
    BAD_TEXT("gateway", promwrite_pusher_new(text, length, TEXT("j"), NULL, 0, NULL, &pusher, &error));
    REFUSED("", promwrite_pusher_new(NULL, 0, TEXT("j"), NULL, 0, NULL, &pusher, &error));
    BAD_TEXT("job", promwrite_pusher_new(TEXT("h:1"), text, length, NULL, 0, NULL, &pusher, &error));
    REFUSED("job", promwrite_pusher_new(TEXT("h:1"), NULL, 0, NULL, 0, NULL, &pusher, &error));
    BAD_LABELS("grouping_key", promwrite_pusher_new(TEXT("h:1"), TEXT("j"), labels, pairs, NULL, &pusher, &error));
    REFUSED("pusher: NULL", promwrite_pusher_new(TEXT("h:1"), TEXT("j"), NULL, 0, NULL, NULL, &error));
    CHECK(pusher == UNTOUCHED);
    CHECK(promwrite_pusher_url(NULL) == NULL);
    CHECK(promwrite_pusher_new(gateway, strlen(gateway), TEXT("j"), NULL, 0, NULL, &pusher, NULL) == PROMWRITE_OK);

    REFUSED("pusher: NULL", promwrite_pusher_put(NULL, NULL, 0, NULL, 0, &error));
    BAD_BYTES("body", promwrite_pusher_put(pusher, text, length, NULL, 0, &error));
    BAD_TEXT("content_type", promwrite_pusher_put(pusher, NULL, 0, text, length, &error));
    REFUSED("", promwrite_pusher_put(pusher, NULL, 0, TEXT("text\r\nX: y"), &error));
    REFUSED("pusher: NULL", promwrite_pusher_post(NULL, NULL, 0, NULL, 0, &error));
    BAD_BYTES("body", promwrite_pusher_post(pusher, text, length, NULL, 0, &error));
    BAD_TEXT("content_type", promwrite_pusher_post(pusher, NULL, 0, text, length, &error));
    REFUSED("pusher: NULL", promwrite_pusher_delete(NULL, &error));
    BAD_WAITS(pusher, pusher);
    CHECK(wait == UNTOUCHED && report == UNTOUCHED);
    CHECK(promwrite_pusher_close(pusher, 0, NULL, NULL) == PROMWRITE_OK);
    promwrite_pusher_free(pusher);
    promwrite_pusher_free(NULL);
}

static void of_handler(void) {
    promwrite_handler *handler = NULL;
    promwrite_wait *wait = UNTOUCHED;
    promwrite_report *report = UNTOUCHED;
    REFUSED("handler: NULL", promwrite_handler_new(NULL, NULL, &error));
    CHECK(promwrite_handler_new(NULL, &handler, NULL) == PROMWRITE_OK);
    REFUSED("handler: NULL", promwrite_handler_push(NULL, TEXT("PUT"), TEXT("http://h/"), NULL, 0, NULL, 0, &error));
    BAD_TEXT("method",
             promwrite_handler_push(handler, text, length, TEXT("http://h/metrics/job/j"), NULL, 0, NULL, 0, &error));
    BAD_TEXT("url", promwrite_handler_push(handler, TEXT("PUT"), text, length, NULL, 0, NULL, 0, &error));
    REFUSED("headers: NULL", promwrite_handler_push(handler, TEXT("PUT"), TEXT("http://h/metrics/job/j"), NULL, 1, NULL,
                                                    0, &error));
    REFUSED("headers: ", promwrite_handler_push(handler, TEXT("PUT"), TEXT("http://h/metrics/job/j"), "x", SIZE_MAX,
                                                NULL, 0, &error));
    BAD_BYTES("body", promwrite_handler_push(handler, TEXT("PUT"), TEXT("http://h/metrics/job/j"), NULL, 0, text, length,
                                             &error));
    REFUSED("method", promwrite_handler_push(handler, TEXT("GET"), TEXT("http://h/metrics/job/j"), NULL, 0, NULL, 0,
                                             &error));
    REFUSED("", promwrite_handler_push(handler, TEXT("PUT"), NULL, 0, NULL, 0, NULL, 0, &error));
    BAD_WAITS(handler, handler);
    CHECK(wait == UNTOUCHED && report == UNTOUCHED);
    CHECK(promwrite_handler_close(handler, 0, NULL, NULL) == PROMWRITE_OK);
    promwrite_handler_free(handler);
    promwrite_handler_free(NULL);
}

static void of_reports(void) {
    promwrite_writer *writer = writer_of_tests();
    promwrite_report *report = NULL;
    uint64_t value = 77;
    CHECK(promwrite_writer_stats(writer, &report, NULL) == PROMWRITE_OK);
    CHECK(promwrite_report_senders(report) == 1 && promwrite_report_senders(NULL) == 0);
    CHECK(promwrite_report_complete(report) && !promwrite_report_complete(NULL));
    CHECK(strcmp(promwrite_report_kind(report, 0), "samples") == 0);
    CHECK(strncmp(promwrite_report_url(report, 0), "http://", 7) == 0);
    const promwrite_report *both[] = {NULL, report};
    for (int i = 0; i < 2; i++) {
        CHECK(promwrite_report_url(both[i], SIZE_MAX) == NULL);
        CHECK(promwrite_report_kind(both[i], SIZE_MAX) == NULL);
        CHECK(promwrite_report_counters(both[i], SIZE_MAX) == 0);
        CHECK(promwrite_report_counter_name(both[i], 0, SIZE_MAX) == NULL);
        CHECK(promwrite_report_counter_value(both[i], 0, SIZE_MAX) == 0);
        CHECK(promwrite_report_failures(both[i], SIZE_MAX) == 0);
        CHECK(promwrite_report_failure(both[i], 0, SIZE_MAX) == NULL);
    }
    for (size_t n = 0; n < promwrite_report_counters(report, 0); n++) {
        const char *name = promwrite_report_counter_name(report, 0, n);
        CHECK(promwrite_report_counter_value(report, 0, n) == counter(report, name));
    }
    REFUSED("report: NULL", promwrite_report_get(NULL, 0, TEXT("accepted"), &value, &error));
    BAD_TEXT("name", promwrite_report_get(report, 0, text, length, &value, &error));
    REFUSED("name: ", promwrite_report_get(report, 0, NULL, 0, &value, &error));
    REFUSED("sender: \"1\"", promwrite_report_get(report, 1, TEXT("accepted"), &value, &error));
    REFUSED("value: NULL", promwrite_report_get(report, 0, TEXT("accepted"), NULL, &error));
    CHECK(value == 77);
    promwrite_report_free(report);
    promwrite_report_free(NULL);
    promwrite_writer_free(writer);
}

static void of_errors_and_logs(void) {
    CHECK(promwrite_error_code(NULL) == PROMWRITE_OK);
    CHECK(strcmp(promwrite_error_message(NULL), "") == 0);
    CHECK(!promwrite_error_retryable(NULL));
    promwrite_error_free(NULL);
    promwrite_error *error = UNTOUCHED;
    promwrite_options *options = promwrite_options_new();
    CHECK(promwrite_options_set(options, TEXT("instance"), NULL, 0, &error) == PROMWRITE_OK && error == NULL);
    promwrite_options_free(options);
    promwrite_log_free(promwrite_log_take());
    CHECK(promwrite_log_lines(NULL) == 0);
    CHECK(promwrite_log_line(NULL, 0) == NULL);
    promwrite_log_free(NULL);
}

static void of_the_process(void) {
    promwrite_wait *wait = UNTOUCHED;
    promwrite_report *report = UNTOUCHED;
    REFUSED("timeout_ms: \"-2\"", promwrite_flush(-2, &report, &error));
    REFUSED("timeout_ms: \"-9223372036854775808\"", promwrite_shutdown(INT64_MIN, &report, &error));
    REFUSED("timeout_ms: \"-2\"", promwrite_flush_start(-2, &wait, &error));
    REFUSED("timeout_ms: \"-2\"", promwrite_shutdown_start(-2, &wait, &error));
    REFUSED("wait: NULL", promwrite_flush_start(0, NULL, &error));
    REFUSED("wait: NULL", promwrite_shutdown_start(0, NULL, &error));
    REFUSED("report: NULL", promwrite_stats(NULL, &error));
    BAD_TEXT("spool_dir", promwrite_drain(text, length, TEXT("http://127.0.0.1:9/w"), NULL, 0, &report, &error));
    BAD_TEXT("url", promwrite_drain(TEXT("/"), text, length, NULL, 0, &report, &error));
    BAD_TEXT("spool_dir", promwrite_drain_start(text, length, TEXT("http://127.0.0.1:9/w"), NULL, 0, &wait, &error));
    REFUSED("timeout_ms: \"-2\"", promwrite_drain(TEXT("/"), TEXT("http://127.0.0.1:9/w"), NULL, -2, &report, &error));
    REFUSED("wait: NULL", promwrite_drain_start(TEXT("/"), TEXT("http://127.0.0.1:9/w"), NULL, 0, NULL, &error));
    REFUSED("spool_dir: ", promwrite_drain(TEXT("/dev/null/none"), TEXT("http://127.0.0.1:9/w"), NULL, 0, &report, &error));
    CHECK(wait == UNTOUCHED && report == UNTOUCHED);
    CHECK(promwrite_wait_poll(NULL, 0) && promwrite_wait_poll(NULL, INT64_MIN));
    REFUSED("wait: NULL", promwrite_wait_finish(NULL, NULL, &error));
    promwrite_wait_free(NULL);
    CHECK(promwrite_flush(PROMWRITE_FOREVER, NULL, NULL) == PROMWRITE_OK);
    CHECK(promwrite_shutdown(INT64_MAX, NULL, NULL) == PROMWRITE_OK);
}

int main(void) {
    CHECK(strcmp(promwrite_version(), PROMWRITE_VERSION) == 0);
    of_options();
    of_encode();
    of_writer();
    of_pusher();
    of_handler();
    of_reports();
    of_errors_and_logs();
    of_the_process();
    printf("%d refused\n", refusals);
    return 0;
}
