/* The agent of the contract tests in C: a command line in, an answer out. contract.py has the protocol. */

#include <promwrite/promwrite.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST = 4096, HANDLES = 512, ERROR_OF_PROTOCOL = 125 };

static promwrite_str fields[MOST];
static size_t count;

/* What was made, by name. */
enum kind { WRITER = 1, SERIES, PUSHER };
static struct handle {
  enum kind kind;
  char name[32];
  union {
    promwrite_writer *writer;
    promwrite_series *series;
    promwrite_pusher *pusher;
  } is;
} handles[HANDLES];
static size_t made;

static void give_up(const char *why) {
  fprintf(stderr, "%s: %.*s\n", why, (int)fields[0].len, fields[0].data);
  exit(ERROR_OF_PROTOCOL);
}

static const char *text(size_t at) {
  if (at >= count) give_up("too few fields");
  return fields[at].data;
}

static int64_t number(size_t at) { return strcmp(text(at), "now") ? strtoll(text(at), NULL, 10) : PROMWRITE_NOW; }

static double value(size_t at) {
  uint64_t bits = strtoull(text(at), NULL, 16);
  double value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/* From that field on each two are a pair; how many pairs. */
static size_t pairs(size_t at) {
  if (at > count || (count - at) % 2) give_up("no pairs");
  return (count - at) / 2;
}

static struct handle *find(size_t at, enum kind kind) {
  for (size_t i = 0; i < made; i++)
    if (!strcmp(handles[i].name, text(at)) && (!kind || handles[i].kind == kind)) return &handles[i];
  give_up("nothing has this name");
  return NULL;
}

static struct handle *keep(enum kind kind) {
  if (made == HANDLES || strlen(text(1)) >= sizeof handles->name) give_up("too many handles");
  struct handle *handle = &handles[made++];
  handle->kind = kind;
  strcpy(handle->name, text(1));
  return handle;
}

static void put(const char *field) {
  putchar('\t');
  for (; *field; field++)
    if (*field >= ' ' && *field <= '~' && *field != '%')
      putchar(*field);
    else
      printf("%%%02x", (unsigned char)*field);
}

static void put_number(uint64_t value) { printf("\t%" PRIu64, value); }

static void put_report(promwrite_report *report) {
  for (size_t sender = 0; sender < promwrite_report_senders(report); sender++) {
    put("kind");
    put(promwrite_report_kind(report, sender));
    for (size_t i = 0; i < promwrite_report_counters(report, sender); i++) {
      put(promwrite_report_counter_name(report, sender, i));
      put_number(promwrite_report_counter_value(report, sender, i));
    }
    for (size_t i = 0; i < promwrite_report_failures(report, sender); i++) {
      put("failure");
      put(promwrite_report_failure(report, sender, i));
    }
  }
}

/* Answers a call that had this result, and frees its error. */
static void answer(int32_t code, promwrite_error *error) {
  if (error) {
    if (code != promwrite_error_code(error)) give_up("code and error differ");
    printf("error\t%" PRId32 "\t%d", code, promwrite_error_retryable(error));
    put(promwrite_error_message(error));
  } else {
    printf("ok");
  }
  promwrite_error_free(error);
}

static void answer_report(int32_t code, promwrite_report *report, promwrite_error *error) {
  if (!error && code != (promwrite_report_complete(report) ? PROMWRITE_OK : PROMWRITE_INCOMPLETE))
    give_up("code and report differ");
  answer(error ? code : PROMWRITE_OK, error);
  put_report(report);
  promwrite_report_free(report);
}

static promwrite_options *options(size_t at, promwrite_error **error, int32_t *code) {
  promwrite_options *options = promwrite_options_new();
  for (size_t i = 0, n = pairs(at); i < n && !*error; i++) {
    const promwrite_str *key = &fields[at + 2 * i], *value = key + 1;
    *code = promwrite_options_set(options, key->data, key->len, value->data, value->len, error);
  }
  return options;
}

static void make_writer(void) {
  promwrite_error *error = NULL;
  promwrite_writer *writer = NULL;
  int32_t code = PROMWRITE_OK;
  promwrite_options *given = options(3, &error, &code);
  if (!error) code = promwrite_writer_new(text(2), fields[2].len, given, &writer, &error);
  if (!error) keep(WRITER)->is.writer = writer;
  promwrite_options_free(given);
  answer(code, error);
}

static void make_pusher(void) {
  promwrite_error *error = NULL;
  promwrite_pusher *pusher = NULL;
  int32_t code = PROMWRITE_OK;
  size_t group = (size_t)number(4);
  promwrite_options *given = options(5 + 2 * group, &error, &code);
  if (!error)
    code = promwrite_pusher_new(text(2), fields[2].len, text(3), fields[3].len, fields + 5, group, given, &pusher, &error);
  if (!error) keep(PUSHER)->is.pusher = pusher;
  promwrite_options_free(given);
  answer(code, error);
}

static void make_series(void) {
  promwrite_error *error = NULL;
  promwrite_series *series = NULL;
  int32_t code = promwrite_writer_series(find(2, WRITER)->is.writer, text(3), fields[3].len, fields + 4, pairs(4), &series, &error);
  if (!error) keep(SERIES)->is.series = series;
  answer(code, error);
}

static void append_many(void) {
  static double values[MOST];
  static int64_t times[MOST];
  size_t n = pairs(2);
  for (size_t i = 0; i < n; i++) {
    values[i] = value(2 + 2 * i);
    times[i] = number(3 + 2 * i);
  }
  promwrite_error *error = NULL;
  int32_t code = promwrite_series_append_many(find(1, SERIES)->is.series, values, times, n, &error);
  answer(code, error);
}

static void push_text(void) {
  promwrite_error *error = NULL;
  uint64_t accepted = 0;
  int32_t code = promwrite_writer_push_text(find(1, WRITER)->is.writer, text(2), fields[2].len, text(3), fields[3].len, fields + 4,
                                            pairs(4), true, &accepted, &error);
  answer(code, error);
  if (code == PROMWRITE_OK) put_number(accepted);
}

static void one_sample(void) {
  promwrite_error *error = NULL;
  const promwrite_writer *writer = find(1, WRITER)->is.writer;
  int32_t code = promwrite_writer_append(writer, text(2), fields[2].len, fields + 5, pairs(5), value(3), number(4), &error);
  answer(code, error);
}

static void append(void) {
  promwrite_error *error = NULL;
  int32_t code = promwrite_series_append(find(1, SERIES)->is.series, value(2), number(3), &error);
  answer(code, error);
}

static void drop(void) {
  struct handle *handle = find(1, WRITER);
  promwrite_writer_free(handle->is.writer);
  *handle = handles[--made];
  answer(PROMWRITE_OK, NULL);
}

typedef int32_t push_page(const promwrite_pusher *, const uint8_t *, size_t, const char *, size_t, promwrite_error **);

static void push(push_page *verb) {
  promwrite_error *error = NULL;
  const uint8_t *page = (const uint8_t *)text(2);
  int32_t code = verb(find(1, PUSHER)->is.pusher, page, fields[2].len, text(3), fields[3].len, &error);
  answer(code, error);
}

static void delete_group(void) {
  promwrite_error *error = NULL;
  int32_t code = promwrite_pusher_delete(find(1, PUSHER)->is.pusher, &error);
  answer(code, error);
}

typedef int32_t settle_writer(const promwrite_writer *, int64_t, promwrite_report **, promwrite_error **);
typedef int32_t settle_pusher(const promwrite_pusher *, int64_t, promwrite_report **, promwrite_error **);
typedef int32_t settle_all(int64_t, promwrite_report **, promwrite_error **);

static void settle(settle_writer *of_writer, settle_pusher *of_pusher) {
  promwrite_error *error = NULL;
  promwrite_report *report = NULL;
  const struct handle *handle = find(1, 0);
  int32_t code = handle->kind == WRITER ? of_writer(handle->is.writer, number(2), &report, &error)
                                        : of_pusher(handle->is.pusher, number(2), &report, &error);
  answer_report(code, report, error);
}

static void settle_every(settle_all *of_all, int64_t timeout_ms) {
  promwrite_error *error = NULL;
  promwrite_report *report = NULL;
  int32_t code = of_all(timeout_ms, &report, &error);
  answer_report(code, report, error);
}

static void stats(void) {
  promwrite_error *error = NULL;
  promwrite_report *report = NULL;
  const struct handle *handle = find(1, 0);
  int32_t code = handle->kind == WRITER ? promwrite_writer_stats(handle->is.writer, &report, &error)
                                        : promwrite_pusher_stats(handle->is.pusher, &report, &error);
  answer(code, error);
  put_report(report);
  promwrite_report_free(report);
}

/* The child answers and obeys; the parent waits for it and answers with its exit code. */
static void fork_and_wait(void) {
  pid_t child = fork();
  int status = 0;
  if (child < 0 || (child > 0 && (waitpid(child, &status, 0) != child || !WIFEXITED(status)))) give_up("fork");
  answer(PROMWRITE_OK, NULL);
  if (child > 0) put_number((uint64_t)WEXITSTATUS(status));
}

static void obey(void) {
  const char *verb = text(0);
#define IS(name) (!strcmp(verb, name))
  if IS("writer") make_writer();
  else if IS("pusher") make_pusher();
  else if IS("series") make_series();
  else if IS("append") append();
  else if IS("append_many") append_many();
  else if IS("sample") one_sample();
  else if IS("push_text") push_text();
  else if IS("drop") drop();
  else if IS("put") push(promwrite_pusher_put);
  else if IS("post") push(promwrite_pusher_post);
  else if IS("delete") delete_group();
  else if (IS("flush") && !strcmp(text(1), "*")) settle_every(promwrite_flush, number(2));
  else if IS("flush") settle(promwrite_writer_flush, promwrite_pusher_flush);
  else if IS("close") settle(promwrite_writer_close, promwrite_pusher_close);
  else if IS("shutdown") settle_every(promwrite_shutdown, number(1));
  else if IS("stats") stats();
  else if IS("fork") fork_and_wait();
  else give_up("not understood");
}

/* Cuts the line into its fields and decodes them in place; each ends in a NUL of its own. */
static void read_fields(char *line) {
  char *to = line, *from = line;
  count = 0;
  for (char end = '\t'; end == '\t'; from++) {
    if (count == MOST) give_up("too many fields");
    promwrite_str *field = &fields[count++];
    char *begin = to;
    for (; *from != '\t' && *from != '\n'; from++) {
      if (*from == '%') {
        char hex[] = {from[1], from[2], 0};
        *to++ = (char)strtol(hex, NULL, 16);
        from += 2;
      } else {
        *to++ = *from;
      }
    }
    end = *from;
    *to++ = '\0';
    field->data = begin;
    field->len = (size_t)(to - begin) - 1;
  }
}

int main(void) {
  char *line = NULL;
  size_t room = 0;
  while (getline(&line, &room, stdin) > 0) {
    read_fields(line);
    if (!strcmp(text(0), "exit")) {
      int code = (int)number(2);
      if (!strcmp(text(1), "return")) return code;
      if (!strcmp(text(1), "exit")) exit(code);
      _exit(code);
    }
    obey();
    putchar('\n');
    fflush(stdout);
  }
  return 0;
}
