/* The ways a process ends without a close; the first argument says which. Each leaves a sample and a push pending. */
#define _GNU_SOURCE
#include "program.h"

#include <pthread.h>

static void *exit_here(void *unused) {
    (void)unused;
    exit(7);
}

int main(int count, char **arguments) {
    CHECK(count == 2);
    const char *end = arguments[1];
    const char *gateway = variable("GATEWAY");
    promwrite_options *options = promwrite_options_new();
    set(options, PROMWRITE_OPTION_INSTANCE, "");
    set(options, PROMWRITE_OPTION_EXIT_IDLE_TIMEOUT, variable("EXIT_IDLE_TIMEOUT"));
    promwrite_pusher *pusher = NULL;
    CHECK(promwrite_pusher_new(gateway, strlen(gateway), TEXT("ends"), NULL, 0, options, &pusher, NULL) == PROMWRITE_OK);
    set(options, PROMWRITE_OPTION_QUEUE_CONFIG_BATCH_SEND_DEADLINE, "1h");
    const char *url = variable("URL");
    promwrite_writer *writer = NULL;
    CHECK(promwrite_writer_new(url, strlen(url), options, &writer, NULL) == PROMWRITE_OK);
    promwrite_options_free(options);
    promwrite_series *series = series_of(writer, "ends", end);
    CHECK(promwrite_series_append(series, 1, TIME, NULL) == PROMWRITE_OK);
    if (strcmp(end, "_exit") != 0) {
        CHECK(promwrite_pusher_put(pusher, (const uint8_t *)"m 1\n", 4, NULL, 0, NULL) == PROMWRITE_OK);
    }
    promwrite_series_free(series);
    promwrite_pusher_free(pusher);
    promwrite_writer_free(writer);

    if (strcmp(end, "return") == 0) return 7;
    if (strcmp(end, "exit") == 0) exit(7);
    if (strcmp(end, "_exit") == 0) _exit(7);
    if (strcmp(end, "exit in a thread") == 0) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, exit_here, NULL) == 0);
        pthread_join(thread, NULL);
    }
    CHECK(0);
}
