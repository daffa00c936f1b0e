/* Counts the lines of a log by level and pushes the totals to a Pushgateway as it goes: nothing waits for the gateway but the close,
 * and of totals that come faster than it answers the newest is sent.
 *
 *   cc -o log_levels_gateway log_levels_gateway.c $(pkg-config --cflags --libs promwrite)
 *   GATEWAY=127.0.0.1:9091 ./log_levels_gateway app.log
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

/* The pusher of $GATEWAY, or NULL. */
static promwrite_pusher *new_pusher(void) {
    static const char job[] = "log_levels";
    const char *gateway = getenv("GATEWAY"), *worker = getenv("WORKER");
    if (gateway == NULL) {
        fprintf(stderr, "GATEWAY is not set\n");
        return NULL;
    }
    if (worker == NULL) worker = "0";
    /* worker: two processes of one host must not push the same group */
    const promwrite_str grouping_key[] = {{"worker", 6}, {worker, strlen(worker)}};
    promwrite_pusher *pusher = NULL;
    promwrite_error *error = NULL;
    refused(promwrite_pusher_new(gateway, strlen(gateway), job, strlen(job), grouping_key, 1, NULL, &pusher, &error),
            &error);
    return pusher;
}

/* The totals so far as a page in the text format. */
static void push_totals(const promwrite_pusher *pusher, const unsigned long counts[LEVELS]) {
    char page[1024];
    size_t length = (size_t)snprintf(page, sizeof page, "# HELP log_lines_total Lines read.\n# TYPE log_lines_total counter\n");
    for (int level = 0; level < LEVELS; level++) {
        length += (size_t)snprintf(page + length, sizeof page - length, "log_lines_total{level=\"%s\"} %lu\n", levels[level],
                                   counts[level]);
    }
    promwrite_error *error = NULL;
    refused(promwrite_pusher_put(pusher, (const uint8_t *)page, length, NULL, 0, &error), &error);
}

/* What became of the pushes; 0 when the gateway has the newest. */
static int close_and_tell(const promwrite_pusher *pusher) {
    promwrite_report *report = NULL;
    promwrite_error *error = NULL;
    if (refused(promwrite_pusher_close(pusher, CLOSE_TIMEOUT_MS, &report, &error), &error)) return 1;
    printf("%s:", promwrite_pusher_url(pusher));
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
        fprintf(stderr, "usage: GATEWAY=… %s FILE (that can be read)\n", arguments[0]);
        return 2;
    }
    promwrite_pusher *pusher = new_pusher();
    if (pusher == NULL) {
        fclose(log);
        return 2;
    }
    unsigned long counts[LEVELS] = {0}, lines = 0;
    char line[4096];
    while (fgets(line, sizeof line, log) != NULL) {
        counts[level_of(line)]++;
        if (++lines % EVERY_LINES == 0) push_totals(pusher, counts);
    }
    fclose(log);
    push_totals(pusher, counts);

    const int incomplete = close_and_tell(pusher);
    promwrite_pusher_free(pusher);
    return incomplete;
}
