/* Counts the lines of a log by level and writes the totals as it goes, by remote write: nothing waits for the network but the close.
 *
 *   cc -o log_levels log_levels.c $(pkg-config --cflags --libs promwrite)
 *   URL=http://127.0.0.1:9090/api/v1/write ./log_levels app.log
 */
#include <promwrite/promwrite.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LEVELS = 5, EVERY_LINES = 10000, CLOSE_TIMEOUT_MS = 10000 };

static const char *const levels[LEVELS] = {"ERROR", "WARN", "INFO", "DEBUG", "other"};

static int level_of(const char *line) {
    for (int level = 0; level < LEVELS - 1; level++) {
        if (strstr(line, levels[level]) != NULL) return level;
    }
    return LEVELS - 1;
}

/* Says what a call refused. A log that cannot be counted in Prometheus is still a log, so only the set-up ends the program.
 * `error` is a place, because C may read an argument before it makes the call in another. */
static int refused(int32_t code, promwrite_error **error) {
    if (code >= PROMWRITE_OK) return 0;
    fprintf(stderr, "promwrite: %s\n", promwrite_error_message(*error));
    promwrite_error_free(*error);
    return 1;
}

static int set(promwrite_options *options, const char *key, const char *value) {
    promwrite_error *error = NULL;
    return refused(promwrite_options_set(options, key, strlen(key), value, strlen(value), &error), &error);
}

/* The writer of $URL, or NULL. */
static promwrite_writer *new_writer(void) {
    const char *url = getenv("URL"), *worker = getenv("WORKER");
    if (url == NULL) {
        fprintf(stderr, "URL is not set\n");
        return NULL;
    }
    promwrite_options *options = promwrite_options_new();
    promwrite_writer *writer = NULL;
    promwrite_error *error = NULL;
    /* worker: two processes of one host must not write the same series */
    if (!set(options, PROMWRITE_OPTION_LABELS_PREFIX "job", "log_levels") &&
        !set(options, PROMWRITE_OPTION_LABELS_PREFIX "worker", worker != NULL ? worker : "0")) {
        refused(promwrite_writer_new(url, strlen(url), options, &writer, &error), &error);
    }
    promwrite_options_free(options);
    return writer;
}

static promwrite_series *new_series(const promwrite_writer *writer, const char *level) {
    static const char name[] = "log_lines_total", type[] = "counter", help[] = "Lines read.";
    const promwrite_str labels[] = {{"level", 5}, {level, strlen(level)}};
    promwrite_series *series = NULL;
    promwrite_error *error = NULL;
    if (!refused(promwrite_writer_series(writer, name, strlen(name), labels, 1, &series, &error), &error)) {
        refused(promwrite_series_describe(series, type, strlen(type), help, strlen(help), NULL, 0, &error), &error);
    }
    return series;
}

/* The totals so far, as a scrape would see them, not the increments. */
static void write_totals(promwrite_series *const series[LEVELS], const unsigned long counts[LEVELS]) {
    for (int level = 0; level < LEVELS; level++) {
        promwrite_error *error = NULL;
        refused(promwrite_series_append(series[level], (double)counts[level], PROMWRITE_NOW, &error), &error);
    }
}

/* What became of the samples; 0 when the receiver has them all. */
static int close_and_tell(const promwrite_writer *writer) {
    promwrite_report *report = NULL;
    promwrite_error *error = NULL;
    if (refused(promwrite_writer_close(writer, CLOSE_TIMEOUT_MS, &report, &error), &error)) return 1;
    printf("%s:", promwrite_report_url(report, 0));
    for (size_t n = 0; n < promwrite_report_counters(report, 0); n++) {
        const unsigned long long value = promwrite_report_counter_value(report, 0, n);
        if (value != 0) printf(" %s %llu", promwrite_report_counter_name(report, 0, n), value);
    }
    printf("\n");
    for (size_t n = 0; n < promwrite_report_failures(report, 0); n++) {
        printf("  %s\n", promwrite_report_failure(report, 0, n));
    }
    const int incomplete = !promwrite_report_complete(report);
    promwrite_report_free(report);
    return incomplete;
}

int main(int count, char **arguments) {
    FILE *log = count == 2 ? fopen(arguments[1], "r") : NULL;
    if (log == NULL) {
        fprintf(stderr, "usage: URL=… %s FILE (that can be read)\n", arguments[0]);
        return 2;
    }
    promwrite_writer *writer = new_writer();
    if (writer == NULL) {
        fclose(log);
        return 2;
    }
    promwrite_series *series[LEVELS];
    for (int level = 0; level < LEVELS; level++) series[level] = new_series(writer, levels[level]);

    unsigned long counts[LEVELS] = {0}, lines = 0;
    char line[4096];
    while (fgets(line, sizeof line, log) != NULL) {
        counts[level_of(line)]++;
        if (++lines % EVERY_LINES == 0) write_totals(series, counts);
    }
    fclose(log);
    write_totals(series, counts);

    const int incomplete = close_and_tell(writer);
    for (int level = 0; level < LEVELS; level++) promwrite_series_free(series[level]);
    promwrite_writer_free(writer);
    return incomplete;
}
