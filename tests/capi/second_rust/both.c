/*
 * both URL FIRST: two Rust libraries in one program. Each panics and must catch it, FIRST ("second" or "promwrite") before the
 * other; then promwrite must still deliver.
 *
 * promwrite is made to panic by a clock that fails, which Rust's std answers with a panic.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <promwrite/promwrite.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

uint32_t second_catches(uint32_t count);

static _Thread_local int clock_fails;

/* in the place of libc's, for all libraries of this program */
int clock_gettime(clockid_t clock, struct timespec *now) {
    if (clock_fails) {
        errno = EINVAL;
        return -1;
    }
    return (int)syscall(SYS_clock_gettime, clock, now);
}

static int second_panics(void) {
    uint32_t caught = second_catches(3);
    printf("second caught %u\n", (unsigned)caught);
    return caught == 3;
}

static int promwrite_panics(const promwrite_writer *writer) {
    promwrite_error *error = NULL;
    int32_t code;
    int caught;

    clock_fails = 1;
    code = promwrite_writer_flush(writer, 10000, NULL, &error);
    clock_fails = 0;
    caught = code == PROMWRITE_ERROR_INTERNAL && promwrite_error_code(error) == code;
    printf("promwrite caught %d: %s\n", caught, error == NULL ? "no error" : promwrite_error_message(error));
    promwrite_error_free(error);
    return caught;
}

int main(int argc, char **argv) {
    promwrite_writer *writer = NULL;
    promwrite_options *options = promwrite_options_new();
    int good;

    if (argc != 3 || promwrite_options_set(options, "instance", 8, "", 0, NULL) != PROMWRITE_OK ||
        promwrite_writer_new(argv[1], strlen(argv[1]), options, &writer, NULL) != PROMWRITE_OK ||
        promwrite_writer_append(writer, "before", 6, NULL, 0, 1.0, INT64_C(1700000000000), NULL) != PROMWRITE_OK) {
        return 1;
    }
    if (strcmp(argv[2], "second") == 0) {
        good = second_panics() && promwrite_panics(writer);
    } else {
        good = promwrite_panics(writer) && second_panics();
    }
    if (!good || promwrite_writer_append(writer, "after", 5, NULL, 0, 2.0, INT64_C(1700000000000), NULL) != PROMWRITE_OK ||
        promwrite_writer_close(writer, 10000, NULL, NULL) != PROMWRITE_OK) {
        return 1;
    }
    promwrite_writer_free(writer);
    promwrite_options_free(options);
    return 0;
}
