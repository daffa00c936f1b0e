/* A program that uses the installed library, C and C++ alike: consumer URL sends one sample and says what became of it. */
#include <promwrite/promwrite.h>
#include <stdio.h>
#include <string.h>

static int failed(const char *call, promwrite_error *error) {
    fprintf(stderr, "%s: %s\n", call, promwrite_error_message(error));
    promwrite_error_free(error);
    return 1;
}

int main(int argc, char **argv) {
    promwrite_error *error = NULL;
    promwrite_options *options = promwrite_options_new();
    promwrite_writer *writer = NULL;
    promwrite_series *series = NULL;
    promwrite_str labels[2];
    int32_t code;

    if (argc != 2 || strcmp(promwrite_version(), PROMWRITE_VERSION) != 0) {
        fprintf(stderr, "usage: consumer URL, with the library %s\n", PROMWRITE_VERSION);
        return 1;
    }
    /* no label that depends on the machine */
    if (promwrite_options_set(options, PROMWRITE_OPTION_INSTANCE, strlen(PROMWRITE_OPTION_INSTANCE), NULL, 0, &error) != PROMWRITE_OK) {
        return failed("promwrite_options_set", error);
    }
    if (promwrite_writer_new(argv[1], strlen(argv[1]), options, &writer, &error) != PROMWRITE_OK) {
        return failed("promwrite_writer_new", error);
    }
    promwrite_options_free(options);

    labels[0].data = "kind";
    labels[0].len = strlen("kind");
    labels[1].data = "consumer";
    labels[1].len = strlen("consumer");
    if (promwrite_writer_series(writer, "built", strlen("built"), labels, 1, &series, &error) != PROMWRITE_OK) {
        return failed("promwrite_writer_series", error);
    }
    if (promwrite_series_append(series, 42.5, INT64_C(1700000000123), &error) != PROMWRITE_OK) {
        return failed("promwrite_series_append", error);
    }
    promwrite_series_free(series);

    code = promwrite_writer_close(writer, 10000, NULL, &error);
    if (code < 0) {
        return failed("promwrite_writer_close", error);
    }
    promwrite_writer_free(writer);
    return code == PROMWRITE_OK ? 0 : 2;
}
