/* Loads the library named by the argument, appends, unloads it with data queued, and returns from main. */
#include "program.h"

#include <dlfcn.h>

/* A function of the library by its name, into a variable that has the type of the declaration. */
#define FIND(variable, name)                                       \
    __typeof__(&name) variable;                                    \
    do {                                                           \
        void *found = dlsym(library, #name);                       \
        CHECK(found != NULL);                                      \
        memcpy(&variable, &found, sizeof found);                   \
    } while (0)

int main(int count, char **arguments) {
    CHECK(count == 2);
    void *library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    FIND(options_new, promwrite_options_new);
    FIND(options_set, promwrite_options_set);
    FIND(options_free, promwrite_options_free);
    FIND(writer_new, promwrite_writer_new);
    FIND(writer_append, promwrite_writer_append);
    FIND(writer_free, promwrite_writer_free);

    promwrite_options *options = options_new();
    CHECK(options_set(options, TEXT(PROMWRITE_OPTION_INSTANCE), NULL, 0, NULL) == PROMWRITE_OK);
    CHECK(options_set(options, TEXT(PROMWRITE_OPTION_QUEUE_CONFIG_BATCH_SEND_DEADLINE), TEXT("1h"), NULL) == PROMWRITE_OK);
    const char *url = variable("URL");
    promwrite_writer *writer = NULL;
    CHECK(writer_new(url, strlen(url), options, &writer, NULL) == PROMWRITE_OK);
    CHECK(writer_append(writer, TEXT("unloaded"), NULL, 0, 1, TIME, NULL) == PROMWRITE_OK);
    options_free(options);
    writer_free(writer);
    CHECK(dlclose(library) == 0);
    puts("unloaded");
    return 0;
}
