/*
 * promwrite hands a job's metrics to Prometheus without ever blocking the job: remote write and Pushgateway.
 *
 * Made by `PROMWRITE_BLESS=1 cargo test -p promwrite-capi`; do not edit.
 *
 * Rules that hold everywhere:
 *
 * - Limits first. What ends without running exit handlers (_exit, a signal's default action, SIGKILL) loses what is pending: call
 *   promwrite_shutdown there. A full queue drops its oldest samples, counted, unless queue_config.overflow says otherwise. The library
 *   is never unloaded: dlclose leaves it in place, because it may own a thread.
 * - A function that can fail returns PROMWRITE_OK (0) or a negative code; flush and close may also return PROMWRITE_INCOMPLETE (1). Codes
 *   are never renumbered. `error`, the last argument, may be NULL; otherwise *error becomes NULL on success and an error to be freed on failure.
 * - Results (`**handle`, `*value`) are written on success only. A handle is freed by its own _free, which takes NULL and must not run
 *   while another thread uses the handle. Using a closed handle gives PROMWRITE_ERROR_CLOSED, using a freed one is undefined.
 * - A string is a pointer and a length in bytes, UTF-8, and need not end in NUL; the pointer may be NULL where the length is 0. Nothing is
 *   kept after a call. Strings that promwrite returns end in NUL.
 * - Times are milliseconds. Timestamps count from 1970 UTC, between 2001 and ten minutes from now; PROMWRITE_NOW is the time of the call.
 * - No function calls back, prints, sets a signal handler or raises a signal, and none but the waiting ones (flush, close, shutdown,
 *   promwrite_wait_poll) waits for anything. All but _free and promwrite_options_set may be called from any thread at any time.
 * - After fork a child has empty queues and connections of its own; handles stay valid. What was pending belongs to the parent.
 * - exit and a return from main flush what is pending: until 3 s after the last delivery, at most 30 s (options exit_idle_timeout, exit_timeout).
 */

#ifndef PROMWRITE_PROMWRITE_H
#define PROMWRITE_PROMWRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * The version of this header; see promwrite_version.
 */
#define PROMWRITE_VERSION "0.1.0"
#define PROMWRITE_VERSION_MAJOR 0
#define PROMWRITE_VERSION_MINOR 1
#define PROMWRITE_VERSION_PATCH 0

/*
 * The options, for promwrite_options_set. One that ends in _PREFIX is followed by a name, as in "labels.job".
 */
/**
 * The longest that one request may take, from the name's resolution to the last byte of the answer (duration). Default: 30s.
 */
#define PROMWRITE_OPTION_REMOTE_TIMEOUT "remote_timeout"
/**
 * User of basic authentication. One way to authenticate may be given: this, authorization, or user and password in the URL (secret).
 */
#define PROMWRITE_OPTION_BASIC_AUTH_USERNAME "basic_auth.username"
/**
 * File that holds the user; read again after a 401 (path).
 */
#define PROMWRITE_OPTION_BASIC_AUTH_USERNAME_FILE "basic_auth.username_file"
/**
 * Environment variable that holds the user; read again after a 401 (environment variable).
 */
#define PROMWRITE_OPTION_BASIC_AUTH_USERNAME_ENV "basic_auth.username_env"
/**
 * Password of basic authentication; empty if none is given. It leaves this process in requests alone (secret).
 */
#define PROMWRITE_OPTION_BASIC_AUTH_PASSWORD "basic_auth.password"
/**
 * File that holds the password; read again after a 401 (path).
 */
#define PROMWRITE_OPTION_BASIC_AUTH_PASSWORD_FILE "basic_auth.password_file"
/**
 * Environment variable that holds the password; read again after a 401 (environment variable).
 */
#define PROMWRITE_OPTION_BASIC_AUTH_PASSWORD_ENV "basic_auth.password_env"
/**
 * Scheme of the Authorization header that carries authorization.credentials (string). Default: Bearer.
 */
#define PROMWRITE_OPTION_AUTHORIZATION_TYPE "authorization.type"
/**
 * Token of the Authorization header. It leaves this process in requests alone (secret).
 */
#define PROMWRITE_OPTION_AUTHORIZATION_CREDENTIALS "authorization.credentials"
/**
 * File that holds the token; read again after a 401 (path).
 */
#define PROMWRITE_OPTION_AUTHORIZATION_CREDENTIALS_FILE "authorization.credentials_file"
/**
 * Environment variable that holds the token; read again after a 401 (environment variable).
 */
#define PROMWRITE_OPTION_AUTHORIZATION_CREDENTIALS_ENV "authorization.credentials_env"
/**
 * Header NAME of every request, such as X-BK-TOKEN or X-Scope-OrgID. Taken for a secret; headers that promwrite sets are refused (secret).
 */
#define PROMWRITE_OPTION_HEADERS_PREFIX "headers."
/**
 * File that holds the value of header NAME; read again after a 401 (path).
 */
#define PROMWRITE_OPTION_HEADERS_FILE_PREFIX "headers_file."
/**
 * Environment variable that holds the value of header NAME; read again after a 401 (environment variable).
 */
#define PROMWRITE_OPTION_HEADERS_ENV_PREFIX "headers_env."
/**
 * Certificates in PEM that are trusted beside the system's (path).
 */
#define PROMWRITE_OPTION_TLS_CONFIG_CA_FILE "tls_config.ca_file"
/**
 * Client certificate chain in PEM; needs tls_config.key_file (path).
 */
#define PROMWRITE_OPTION_TLS_CONFIG_CERT_FILE "tls_config.cert_file"
/**
 * Private key of tls_config.cert_file in PEM (path).
 */
#define PROMWRITE_OPTION_TLS_CONFIG_KEY_FILE "tls_config.key_file"
/**
 * Accept any certificate: whoever stands between can then read credentials and change metrics (boolean). Default: false.
 */
#define PROMWRITE_OPTION_TLS_CONFIG_INSECURE_SKIP_VERIFY "tls_config.insecure_skip_verify"
/**
 * Refuse a URL that begins with http:// (boolean). Default: false.
 */
#define PROMWRITE_OPTION_REQUIRE_HTTPS "require_https"
/**
 * Proxy for all requests, http:// or https://; user and password may stand in it. It takes the place of the environment's proxies (secret).
 */
#define PROMWRITE_OPTION_PROXY_URL "proxy_url"
/**
 * Hosts reached without a proxy, separated by commas, as in the environment variable no_proxy (string).
 */
#define PROMWRITE_OPTION_NO_PROXY "no_proxy"
/**
 * Honour http_proxy, https_proxy and no_proxy, as the clients that promwrite replaces do (boolean). Default: true.
 */
#define PROMWRITE_OPTION_PROXY_FROM_ENVIRONMENT "proxy_from_environment"
/**
 * User-Agent header; empty means promwrite and its version (string). Default: empty.
 */
#define PROMWRITE_OPTION_USER_AGENT "user_agent"
/**
 * Samples, or pushes, that may wait (integer). Default: 1000000.
 */
#define PROMWRITE_OPTION_QUEUE_CONFIG_CAPACITY "queue_config.capacity"
/**
 * Memory that waiting samples or pushes and the series registry may take (size). Default: 64MiB.
 */
#define PROMWRITE_OPTION_QUEUE_CONFIG_CAPACITY_BYTES "queue_config.capacity_bytes"
/**
 * What happens when the queue is full. Every drop is counted and logged; only block makes a caller wait (choice). Default: drop_oldest.
 */
#define PROMWRITE_OPTION_QUEUE_CONFIG_OVERFLOW "queue_config.overflow"
/**
 * The longest that queue_config.overflow = block makes a caller wait (duration). Default: 5s.
 */
#define PROMWRITE_OPTION_QUEUE_CONFIG_BLOCK_TIMEOUT "queue_config.block_timeout"
/**
 * Samples in a request (integer). Default: 2000.
 */
#define PROMWRITE_OPTION_QUEUE_CONFIG_MAX_SAMPLES_PER_SEND "queue_config.max_samples_per_send"
/**
 * Bytes in a request before compression; several receivers refuse more than the default. A series whose labels alone are larger is refused (size). Default: 1MB.
 */
#define PROMWRITE_OPTION_QUEUE_CONFIG_MAX_BYTES_PER_SEND "queue_config.max_bytes_per_send"
/**
 * The longest that a sample waits for others to share its request; flush does not wait (duration). Default: 1s.
 */
#define PROMWRITE_OPTION_QUEUE_CONFIG_BATCH_SEND_DEADLINE "queue_config.batch_send_deadline"
/**
 * Wait before the first retry; doubled each time, ± 10 % at random (duration). Default: 500ms.
 */
#define PROMWRITE_OPTION_QUEUE_CONFIG_MIN_BACKOFF "queue_config.min_backoff"
/**
 * The longest wait between retries (duration). Default: 30s.
 */
#define PROMWRITE_OPTION_QUEUE_CONFIG_MAX_BACKOFF "queue_config.max_backoff"
/**
 * The longest wait that a receiver's Retry-After is granted (duration). Default: 5m.
 */
#define PROMWRITE_OPTION_QUEUE_CONFIG_MAX_RETRY_AFTER "queue_config.max_retry_after"
/**
 * What waits longer than this is dropped and counted as too_old (duration). Default: 1h.
 */
#define PROMWRITE_OPTION_QUEUE_CONFIG_SAMPLE_AGE_LIMIT "queue_config.sample_age_limit"
/**
 * Wait between attempts after 401, 403, 404 or 3xx, which speak of the set-up and not of the data (duration). Default: 30s.
 */
#define PROMWRITE_OPTION_QUEUE_CONFIG_HOLD_INTERVAL "queue_config.hold_interval"
/**
 * Send a request that was refused with 400 or 413 again in halves, so that one bad sample costs one sample (boolean). Default: true.
 */
#define PROMWRITE_OPTION_SPLIT_ON_REJECT "split_on_reject"
/**
 * Send samples that are older than one already sent, for receivers that take them; otherwise they count as superseded (boolean). Default: false.
 */
#define PROMWRITE_OPTION_OUT_OF_ORDER "out_of_order"
/**
 * Allowed metric and label names: legacy is letters, digits, _ and : as every receiver takes them, utf8 is any text, as Prometheus 3 does (choice). Default: legacy.
 */
#define PROMWRITE_OPTION_METRIC_NAME_VALIDATION_SCHEME "metric_name_validation_scheme"
/**
 * Send type, help and unit of metrics (boolean). Default: true.
 */
#define PROMWRITE_OPTION_METADATA_CONFIG_SEND "metadata_config.send"
/**
 * How often they are sent again; a change is sent at once (duration). Default: 1m.
 */
#define PROMWRITE_OPTION_METADATA_CONFIG_SEND_INTERVAL "metadata_config.send_interval"
/**
 * Label NAME of every series of the writer; a series' own label of that name wins (string).
 */
#define PROMWRITE_OPTION_LABELS_PREFIX "labels."
/**
 * Label instance of a Writer's series and of a Pusher's grouping key: the host name unless given, none if empty. Handlers add no label (string).
 */
#define PROMWRITE_OPTION_INSTANCE "instance"
/**
 * The longest that the end of the process waits for deliveries, all senders together (duration). Default: 30s.
 */
#define PROMWRITE_OPTION_EXIT_TIMEOUT "exit_timeout"
/**
 * The end of the process stops waiting this long after the last delivery. A receiver that takes longer for a request needs a larger value (duration). Default: 3s.
 */
#define PROMWRITE_OPTION_EXIT_IDLE_TIMEOUT "exit_idle_timeout"
/**
 * The sending thread ends after this time without work and starts again with the next (duration). Default: 5s.
 */
#define PROMWRITE_OPTION_IDLE_THREAD_TIMEOUT "idle_thread_timeout"
/**
 * A series without handle and waiting sample is forgotten after this time (duration). Default: 5m.
 */
#define PROMWRITE_OPTION_SERIES_IDLE_TIMEOUT "series_idle_timeout"
/**
 * Directory for what cannot be sent: what is left when the writer is closed or the process ends, and what the queue has no room for. A later process with the same directory, URL and user sends it. Made if there is none; must belong to this user and be writable by nobody else (path).
 */
#define PROMWRITE_OPTION_SPOOL_DIR "spool_dir"
/**
 * What is in spool_dir for longer is dropped and counted as expired; most receivers refuse samples older than this (duration). Default: 1h.
 */
#define PROMWRITE_OPTION_SPOOL_MAX_AGE "spool_max_age"
/**
 * Disk that all files of spool_dir may take together. The oldest file that no other living process has is removed first, and counted as spool_full (size). Default: 64MiB.
 */
#define PROMWRITE_OPTION_SPOOL_MAX_BYTES "spool_max_bytes"


/**
 * Success.
 */
#define PROMWRITE_OK 0

/**
 * A flush or a close has ended, and something is pending, was rejected or was dropped: the report says what.
 */
#define PROMWRITE_INCOMPLETE 1

/**
 * An argument breaks a rule, NULL among them. The message names the argument, the value and the rule.
 */
#define PROMWRITE_ERROR_INVALID -1

/**
 * No option has this key. The message names the nearest one.
 */
#define PROMWRITE_ERROR_UNKNOWN_OPTION -2

/**
 * A timestamp before 2001 or more than ten minutes ahead.
 */
#define PROMWRITE_ERROR_INVALID_TIMESTAMP -3

/**
 * A text page breaks the exposition format. The message names line and column.
 */
#define PROMWRITE_ERROR_EXPOSITION -4

/**
 * An item is larger than any request may be.
 */
#define PROMWRITE_ERROR_TOO_LARGE -5

/**
 * The queue is full and its policy is to say so (`queue_config.overflow`).
 */
#define PROMWRITE_ERROR_QUEUE_FULL -6

/**
 * The object was closed before.
 */
#define PROMWRITE_ERROR_CLOSED -7

/**
 * The sending thread failed three times within a minute; a bug in promwrite.
 */
#define PROMWRITE_ERROR_SENDER_FAILED -8

/**
 * A request got no answer. No function returns it today, because none waits for an answer.
 */
#define PROMWRITE_ERROR_SEND -9

/**
 * A request was answered with another status than 2xx. No function returns it today.
 */
#define PROMWRITE_ERROR_STATUS -10

/**
 * A panic inside promwrite was caught; a bug in promwrite.
 */
#define PROMWRITE_ERROR_INTERNAL -11

/**
 * As a timestamp: the time of the call.
 */
#define PROMWRITE_NOW INT64_MIN

/**
 * As a timeout: no limit. Any other negative timeout is refused.
 */
#define PROMWRITE_FOREVER -1

/**
 * The layout of packed samples: an uncompressed `prometheus.WriteRequest` of remote write 1.0.
 */
#define PROMWRITE_PACKED_WRITE_REQUEST 1

/**
 * The same, where the caller answers for it that the message is well-formed and the labels of each series stand sorted by name as
 * bytes: `promwrite_encode` then compresses it without looking.
 */
#define PROMWRITE_PACKED_SORTED_REQUEST 2

/**
 * What went wrong. Made by a call that failed and was given a place for it; freed by `promwrite_error_free`.
 */
typedef struct promwrite_error promwrite_error;

/**
 * Takes over the requests that a push client makes. It adds no label. For use by any number of threads; valid in forked
 * children.
 */
typedef struct promwrite_handler promwrite_handler;

/**
 * Lines for the caller's log. Freed by `promwrite_log_free`.
 */
typedef struct promwrite_log promwrite_log;

/**
 * Options for new writers, pushers and handlers, which copy them. Not for use by two threads at once.
 */
typedef struct promwrite_options promwrite_options;

/**
 * A client of one group of one Pushgateway that never waits for it. A push is the state of its group: a newer one makes an older
 * one needless, so what arrives is the newest state, however late. For use by any number of threads; valid in forked children.
 */
typedef struct promwrite_pusher promwrite_pusher;

/**
 * What a flush or a close achieved since the last report, or everything counted since the start: an entry a sender, which is
 * a queue with its connection. A writer and a pusher have one entry, none in a forked child that has not used them.
 *
 * Counters, by name: `accepted` + `adopted` = `delivered` + `rejected` + `dropped` + `superseded` + `pending` + `spooled`;
 * `rejected.REASON` (`bad_request`, `after_ambiguous`, `too_large`, `panic`); `dropped.REASON` (`queue_full`, `too_old`, `shutdown`,
 * `expired`, `spool_full`, `damaged`). What is put into the directory of the option spool_dir counts as `spooled`, what is taken out of
 * it again and settled, by this process or another one, as `adopted`.
 * Statistics have `pending_bytes`, `oldest_pending_age_ms`, `requests.succeeded`, `requests.failed`, `requests.retried_items`,
 * `requests.bytes`, `worker_start_failed` and `failed` (0 or 1) as well.
 */
typedef struct promwrite_report promwrite_report;

/**
 * A prepared label set of a writer. For use by any number of threads; valid in forked children.
 */
typedef struct promwrite_series promwrite_series;

/**
 * A flush or a close under way, made by a `_start`. Freed by `promwrite_wait_free`. It belongs to the process that made it: in a
 * forked child there is nothing to wait for.
 */
typedef struct promwrite_wait promwrite_wait;

/**
 * A client of one remote-write endpoint that never waits for it: samples are queued, and a thread that starts with the first of
 * them sends, retries and counts. For use by any number of threads; valid in forked children, which have a queue of their own.
 */
typedef struct promwrite_writer promwrite_writer;

/**
 * A borrowed string: `len` bytes of UTF-8 at `data`, which need not end in NUL. It is not kept after the call. `data` may be
 * NULL where `len` is 0.
 */
typedef struct {
  /**
   * The bytes.
   */
  const char *data;
  /**
   * How many they are.
   */
  size_t len;
} promwrite_str;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The largest body that `promwrite_encode` makes of so many bytes.
 */
size_t promwrite_encode_bound(size_t packed_len);

/**
 * Makes a remote-write 1.0 body (snappy block format) of packed samples (`layout` as for `promwrite_writer_append_packed`): the labels of each
 * series are sorted by name, as receivers ask; nothing else is changed, checked or dropped, and nothing is queued. `body` has room for
 * `body_capacity` bytes, at least `promwrite_encode_bound(packed_len)`; `*body_len` becomes the length of the body.
 *
 * Errors: `PROMWRITE_ERROR_INVALID` for bytes that are no such message, with the offset, or for an unknown layout;
 * `PROMWRITE_ERROR_TOO_LARGE` where `body_capacity` is too small.
 */
int32_t promwrite_encode(uint32_t layout,
                         const uint8_t *packed,
                         size_t packed_len,
                         uint8_t *body,
                         size_t body_capacity,
                         size_t *body_len,
                         promwrite_error **error);

/**
 * The code that the call returned: one of `PROMWRITE_ERROR_…`, or `PROMWRITE_OK` for NULL.
 */
int32_t promwrite_error_code(const promwrite_error *error);

/**
 * The message: what was refused, the value and the rule. It ends in NUL, never holds a secret, and is valid until the
 * error is freed; empty for NULL.
 */
const char *promwrite_error_message(const promwrite_error *error);

/**
 * Whether the same call can succeed later without a change by the caller; false for NULL.
 */
bool promwrite_error_retryable(const promwrite_error *error);

/**
 * Frees an error; NULL is fine.
 */
void promwrite_error_free(promwrite_error *error);

/**
 * The version of the library that is running, as `PROMWRITE_VERSION` is that of the header. It ends in NUL and is never
 * freed.
 */
const char *promwrite_version(void);

/**
 * A handler with these options; `options` may be NULL and is not kept.
 *
 * Errors: `PROMWRITE_ERROR_INVALID` for options that contradict each other or cannot be sent.
 */
int32_t promwrite_handler_new(const promwrite_options *options,
                              promwrite_handler **handler,
                              promwrite_error **error);

/**
 * Queues a request and returns: `method` is `PUT`, `POST` or `DELETE`, `url` the whole URL with the group's path (user and password may
 * stand in it), `headers` lines of `Name: value`, each ended by CR LF or LF, of which the last of a name counts; they come before those of
 * the options. Everything is copied. Requests of the same group follow each other: a newer PUT replaces an older one that waits.
 *
 * Errors: `PROMWRITE_ERROR_INVALID` for a URL, a method or a header that breaks a rule; `PROMWRITE_ERROR_TOO_LARGE`;
 * `PROMWRITE_ERROR_QUEUE_FULL` with the overflow policies `error` and `block`; `PROMWRITE_ERROR_CLOSED`.
 */
int32_t promwrite_handler_push(const promwrite_handler *handler,
                               const char *method,
                               size_t method_len,
                               const char *url,
                               size_t url_len,
                               const char *headers,
                               size_t headers_len,
                               const uint8_t *body,
                               size_t body_len,
                               promwrite_error **error);

/**
 * Sends what was accepted before this call, at once, and waits for it at most `timeout_ms`. A back-off is cut short once, a
 * Retry-After of the receiver is kept. Returns `PROMWRITE_OK` when nothing is pending, rejected or dropped since the last report,
 * `PROMWRITE_INCOMPLETE` otherwise. `report` may be NULL.
 *
 * Errors: `PROMWRITE_ERROR_CLOSED`; `PROMWRITE_ERROR_INVALID` for a negative timeout but `PROMWRITE_FOREVER`.
 */
int32_t promwrite_handler_flush(const promwrite_handler *handler,
                                int64_t timeout_ms,
                                promwrite_report **report,
                                promwrite_error **error);

/**
 * Accepts no more, flushes for at most `timeout_ms` and gives up the rest, counted as `dropped.shutdown`; what others
 * push to the same gateway stays theirs. Returns as
 * `promwrite_handler_flush`. `report` may be NULL.
 *
 * Errors: `PROMWRITE_ERROR_CLOSED` the second time, also while the first is under way in another thread;
 * `PROMWRITE_ERROR_INVALID` for a negative timeout but `PROMWRITE_FOREVER`, and then nothing was closed.
 */
int32_t promwrite_handler_close(const promwrite_handler *handler,
                                int64_t timeout_ms,
                                promwrite_report **report,
                                promwrite_error **error);

/**
 * Starts `promwrite_handler_flush` and does not wait.
 */
int32_t promwrite_handler_flush_start(const promwrite_handler *handler,
                                      int64_t timeout_ms,
                                      promwrite_wait **wait,
                                      promwrite_error **error);

/**
 * Starts `promwrite_handler_close` and does not wait: from now on nothing is accepted.
 */
int32_t promwrite_handler_close_start(const promwrite_handler *handler,
                                      int64_t timeout_ms,
                                      promwrite_wait **wait,
                                      promwrite_error **error);

/**
 * Everything counted since the handler was made, gateway by gateway, with what others push there; also after a close.
 */
int32_t promwrite_handler_stats(const promwrite_handler *handler,
                                promwrite_report **report,
                                promwrite_error **error);

/**
 * Frees a handler; NULL is fine. It waits for nothing and loses nothing. No other thread may be using the handler.
 */
void promwrite_handler_free(promwrite_handler *handler);

/**
 * Takes the lines that have come up since the last call, for all senders of this process; NULL when there are none, which costs
 * next to nothing to ask. promwrite itself prints nothing. At most 64 lines are kept for a log that nobody takes.
 */
promwrite_log *promwrite_log_take(void);

/**
 * How many lines there are; 0 for NULL.
 */
size_t promwrite_log_lines(const promwrite_log *log);

/**
 * A line (from 0, oldest first), without a line end. Valid until the log is freed; NULL beyond the last.
 */
const char *promwrite_log_line(const promwrite_log *log, size_t line);

/**
 * Frees lines; NULL is fine.
 */
void promwrite_log_free(promwrite_log *log);

/**
 * Options with the defaults of the option table. Freed by `promwrite_options_free`; NULL only when memory is gone.
 */
promwrite_options *promwrite_options_new(void);

/**
 * Sets one option, `PROMWRITE_OPTION_…` to a value as text: a duration is a number of seconds or `500ms`, `30s`, `1h30m`; a size
 * is a number of bytes or `1MB`, `64MiB`. The last value of a key holds.
 *
 * Errors: `PROMWRITE_ERROR_UNKNOWN_OPTION`, naming the nearest key; `PROMWRITE_ERROR_INVALID` for a value outside its type or
 * range (a secret is shown as `***`). Options that contradict each other are refused by the `_new` they are given to.
 */
int32_t promwrite_options_set(promwrite_options *options,
                              const char *key,
                              size_t key_len,
                              const char *value,
                              size_t value_len,
                              promwrite_error **error);

/**
 * Frees options; NULL is fine.
 */
void promwrite_options_free(promwrite_options *options);

/**
 * Flushes every sender of this process; all share the timeout. As `promwrite_writer_flush` otherwise.
 */
int32_t promwrite_flush(int64_t timeout_ms, promwrite_report **report, promwrite_error **error);

/**
 * Closes every sender of this process: no more is accepted, what is pending is flushed for at most the timeout, all together,
 * and the rest is given up and counted as `dropped.shutdown`. For what ends without running exit handlers; `exit` and a return
 * from `main` flush by themselves. The report counts since the last report of whatever kind.
 */
int32_t promwrite_shutdown(int64_t timeout_ms,
                           promwrite_report **report,
                           promwrite_error **error);

/**
 * Starts `promwrite_flush` and does not wait.
 */
int32_t promwrite_flush_start(int64_t timeout_ms, promwrite_wait **wait, promwrite_error **error);

/**
 * Starts `promwrite_shutdown` and does not wait.
 */
int32_t promwrite_shutdown_start(int64_t timeout_ms, promwrite_wait **wait, promwrite_error **error);

/**
 * Sends everything in the directory `spool_dir` that processes which ended left there for the remote-write URL `url` (option
 * spool_dir), for at most the timeout, without a writer. `options` may be NULL; credentials come with them, since the directory
 * holds none. Files of processes that live are left to them, and what was not sent stays for the next call
 * and counts as `pending`.
 *
 * The report counts what was taken as `adopted`. Errors: `PROMWRITE_ERROR_INVALID` for a directory that does not exist or that
 * others can change, and as `promwrite_writer_new`.
 */
int32_t promwrite_drain(const char *spool_dir,
                        size_t spool_dir_len,
                        const char *url,
                        size_t url_len,
                        const promwrite_options *options,
                        int64_t timeout_ms,
                        promwrite_report **report,
                        promwrite_error **error);

/**
 * Starts `promwrite_drain` and does not wait.
 */
int32_t promwrite_drain_start(const char *spool_dir,
                              size_t spool_dir_len,
                              const char *url,
                              size_t url_len,
                              const promwrite_options *options,
                              int64_t timeout_ms,
                              promwrite_wait **wait,
                              promwrite_error **error);

/**
 * Everything that every sender of this process has counted since it was made.
 */
int32_t promwrite_stats(promwrite_report **report, promwrite_error **error);

/**
 * A pusher of the group `job` and `grouping_key` (`2 * pairs` strings, a name and its value in turn) at `gateway`, which is `host:port` or a
 * URL; a path in it is kept. `options` may be NULL and is not kept.
 *
 * `instance` is added to the grouping key unless it has one or the option `instance` is empty, because two hosts that push one group
 * overwrite each other.
 *
 * Errors: `PROMWRITE_ERROR_INVALID` for a gateway, a job, a grouping label or an option that breaks a rule.
 */
int32_t promwrite_pusher_new(const char *gateway,
                             size_t gateway_len,
                             const char *job,
                             size_t job_len,
                             const promwrite_str *grouping_key,
                             size_t pairs,
                             const promwrite_options *options,
                             promwrite_pusher **pusher,
                             promwrite_error **error);

/**
 * The group's URL, without user and password. It ends in NUL and is valid until the pusher is freed; NULL for NULL.
 */
const char *promwrite_pusher_url(const promwrite_pusher *pusher);

/**
 * Replaces the group by the page `body` (HTTP PUT); an empty `content_type` means text 0.0.4. The page is copied and not looked at: what
 * the gateway refuses shows in the report.
 *
 * Errors: `PROMWRITE_ERROR_INVALID` for a content type that no header can carry; `PROMWRITE_ERROR_TOO_LARGE`;
 * `PROMWRITE_ERROR_QUEUE_FULL` with the overflow policies `error` and `block`; `PROMWRITE_ERROR_CLOSED`.
 */
int32_t promwrite_pusher_put(const promwrite_pusher *pusher,
                             const uint8_t *body,
                             size_t body_len,
                             const char *content_type,
                             size_t content_type_len,
                             promwrite_error **error);

/**
 * Replaces the metrics of the group that the page `body` names (HTTP POST). As `promwrite_pusher_put` otherwise.
 */
int32_t promwrite_pusher_post(const promwrite_pusher *pusher,
                              const uint8_t *body,
                              size_t body_len,
                              const char *content_type,
                              size_t content_type_len,
                              promwrite_error **error);

/**
 * Removes the group (HTTP DELETE).
 *
 * Errors: those of `promwrite_pusher_put`.
 */
int32_t promwrite_pusher_delete(const promwrite_pusher *pusher, promwrite_error **error);

/**
 * Sends what was accepted before this call, at once, and waits for it at most `timeout_ms`. A back-off is cut short once, a
 * Retry-After of the receiver is kept. Returns `PROMWRITE_OK` when nothing is pending, rejected or dropped since the last report,
 * `PROMWRITE_INCOMPLETE` otherwise. `report` may be NULL.
 *
 * Errors: `PROMWRITE_ERROR_CLOSED`; `PROMWRITE_ERROR_INVALID` for a negative timeout but `PROMWRITE_FOREVER`.
 */
int32_t promwrite_pusher_flush(const promwrite_pusher *pusher,
                               int64_t timeout_ms,
                               promwrite_report **report,
                               promwrite_error **error);

/**
 * Accepts no more, flushes for at most `timeout_ms` and gives up the rest, counted as `dropped.shutdown`; what others
 * push to the same gateway stays theirs. Returns as
 * `promwrite_pusher_flush`. `report` may be NULL.
 *
 * Errors: `PROMWRITE_ERROR_CLOSED` the second time, also while the first is under way in another thread;
 * `PROMWRITE_ERROR_INVALID` for a negative timeout but `PROMWRITE_FOREVER`, and then nothing was closed.
 */
int32_t promwrite_pusher_close(const promwrite_pusher *pusher,
                               int64_t timeout_ms,
                               promwrite_report **report,
                               promwrite_error **error);

/**
 * Starts `promwrite_pusher_flush` and does not wait.
 */
int32_t promwrite_pusher_flush_start(const promwrite_pusher *pusher,
                                     int64_t timeout_ms,
                                     promwrite_wait **wait,
                                     promwrite_error **error);

/**
 * Starts `promwrite_pusher_close` and does not wait: from now on nothing is accepted.
 */
int32_t promwrite_pusher_close_start(const promwrite_pusher *pusher,
                                     int64_t timeout_ms,
                                     promwrite_wait **wait,
                                     promwrite_error **error);

/**
 * Everything counted since the pusher was made, with what others push to its gateway; also after a close.
 */
int32_t promwrite_pusher_stats(const promwrite_pusher *pusher,
                               promwrite_report **report,
                               promwrite_error **error);

/**
 * Frees a pusher; NULL is fine. It waits for nothing and loses nothing. No other thread may be using the pusher.
 */
void promwrite_pusher_free(promwrite_pusher *pusher);

/**
 * How many senders the report has; 0 for NULL.
 */
size_t promwrite_report_senders(const promwrite_report *report);

/**
 * Whether nothing is pending, rejected or dropped; false for NULL.
 */
bool promwrite_report_complete(const promwrite_report *report);

/**
 * The endpoint of a sender (from 0), without user, password and query. Valid until the report is freed; NULL beyond the last
 * sender.
 */
const char *promwrite_report_url(const promwrite_report *report,
                                 size_t sender);

/**
 * What a sender counts: `samples` of a writer or `pushes` of a gateway. Never freed; NULL beyond the last sender.
 */
const char *promwrite_report_kind(const promwrite_report *report,
                                  size_t sender);

/**
 * How many counters a sender has; 0 beyond the last sender.
 */
size_t promwrite_report_counters(const promwrite_report *report, size_t sender);

/**
 * The name of a counter (from 0). Valid until the report is freed; NULL beyond the last.
 */
const char *promwrite_report_counter_name(const promwrite_report *report, size_t sender, size_t counter);

/**
 * The value of a counter; 0 beyond the last.
 */
uint64_t promwrite_report_counter_value(const promwrite_report *report, size_t sender, size_t counter);

/**
 * The counter of that name of a sender, into `*value`.
 *
 * Errors: `PROMWRITE_ERROR_INVALID` where there is no such sender or counter.
 */
int32_t promwrite_report_get(const promwrite_report *report,
                             size_t sender,
                             const char *name,
                             size_t name_len,
                             uint64_t *value,
                             promwrite_error **error);

/**
 * How many recent failures a sender has; 0 beyond the last sender.
 */
size_t promwrite_report_failures(const promwrite_report *report, size_t sender);

/**
 * A recent failure (from 0, oldest first), in words. Valid until the report is freed; NULL beyond the last.
 */
const char *promwrite_report_failure(const promwrite_report *report, size_t sender, size_t failure);

/**
 * Frees a report; NULL is fine.
 */
void promwrite_report_free(promwrite_report *report);

/**
 * Tells the receiver the metric's type (`counter`, `gauge`, `histogram`, `gaugehistogram`, `summary`, `info`, `stateset`, `unknown`; empty
 * means unknown), help and unit (both may be empty), once a minute (option `metadata_config.send_interval`) and at once when they change.
 *
 * Errors: `PROMWRITE_ERROR_INVALID` for another type; `PROMWRITE_ERROR_CLOSED`.
 */
int32_t promwrite_series_describe(const promwrite_series *series,
                                  const char *type,
                                  size_t type_len,
                                  const char *help,
                                  size_t help_len,
                                  const char *unit,
                                  size_t unit_len,
                                  promwrite_error **error);

/**
 * Records `value` at `timestamp_ms`, milliseconds since 1970 UTC, or at `PROMWRITE_NOW`. For a counter the value is the total so far, as
 * a scrape at that time would see it, not an increment. Of two values of a series in one millisecond the later is kept.
 *
 * It takes a short lock and no memory, and makes no system call, whatever the receiver is doing; only `queue_config.overflow = block` waits.
 *
 * Errors: `PROMWRITE_ERROR_INVALID_TIMESTAMP`; `PROMWRITE_ERROR_QUEUE_FULL` with the overflow policies `error` and `block`;
 * `PROMWRITE_ERROR_CLOSED`; `PROMWRITE_ERROR_SENDER_FAILED`.
 */
int32_t promwrite_series_append(const promwrite_series *series,
                                double value,
                                int64_t timestamp_ms,
                                promwrite_error **error);

/**
 * Records `count` values with their timestamps, two arrays of that length; `PROMWRITE_NOW` is not allowed here.
 *
 * Errors: `PROMWRITE_ERROR_INVALID_TIMESTAMP`, and then nothing was accepted; otherwise as `promwrite_series_append`, where the samples
 * before the first that did not fit were accepted.
 */
int32_t promwrite_series_append_many(const promwrite_series *series,
                                     const double *values,
                                     const int64_t *timestamps_ms,
                                     size_t count,
                                     promwrite_error **error);

/**
 * Frees a series; NULL is fine. Its samples are still sent.
 */
void promwrite_series_free(promwrite_series *series);

/**
 * Waits at most `slice_ms` (0 or less: not at all) and says whether there is nothing more to wait for: everything is settled,
 * or the timeout of the start has passed. True for NULL and in a forked child.
 */
bool promwrite_wait_poll(const promwrite_wait *wait,
                         int64_t slice_ms);

/**
 * Ends the wait, whatever `promwrite_wait_poll` last said, and returns what the call that waits in one piece would have
 * returned; after a close or a shutdown what is still pending is given up. `report` may be NULL.
 *
 * Errors: `PROMWRITE_ERROR_CLOSED` the second time; `PROMWRITE_ERROR_INVALID` in a forked child.
 */
int32_t promwrite_wait_finish(const promwrite_wait *wait,
                              promwrite_report **report,
                              promwrite_error **error);

/**
 * Frees a wait; NULL is fine. One that was not finished is abandoned: what is pending stays so, and a close has stopped new
 * samples.
 */
void promwrite_wait_free(promwrite_wait *wait);

/**
 * A writer to the remote-write URL `url`, as it is: no path is added to it. `options` may be NULL and is not kept.
 *
 * The label `instance` is added to every series unless the option `instance` says otherwise. Nothing is connected yet and no
 * thread started, but files named by options are checked.
 *
 * Errors: `PROMWRITE_ERROR_INVALID` for a URL, an option, a label or a file that breaks a rule.
 */
int32_t promwrite_writer_new(const char *url,
                             size_t url_len,
                             const promwrite_options *options,
                             promwrite_writer **writer,
                             promwrite_error **error);

/**
 * The endpoint, without user, password and query. It ends in NUL and is valid until the writer is freed; NULL for NULL.
 */
const char *promwrite_writer_url(const promwrite_writer *writer);

/**
 * A prepared series: the fast path for what is appended often. `labels` are `2 * pairs` strings, a name and its value in turn, in any
 * order, without `__name__`; a label with an empty value is left out. Equal labels give the same series. The series stays valid
 * when the writer is freed.
 *
 * Errors: `PROMWRITE_ERROR_INVALID` naming the metric or the label; `PROMWRITE_ERROR_TOO_LARGE` for labels larger than a request;
 * `PROMWRITE_ERROR_QUEUE_FULL` when series alone fill `queue_config.capacity_bytes`; `PROMWRITE_ERROR_CLOSED`.
 */
int32_t promwrite_writer_series(const promwrite_writer *writer,
                                const char *name,
                                size_t name_len,
                                const promwrite_str *labels,
                                size_t pairs,
                                promwrite_series **series,
                                promwrite_error **error);

/**
 * As `promwrite_writer_series`, for callers who have their labels in one piece of memory: the `labels` fields (number 1) of a
 * `prometheus.TimeSeries`, `__name__` among them, in any order.
 *
 * Errors: `PROMWRITE_ERROR_INVALID` as well for bytes that are not such fields, with the offset.
 */
int32_t promwrite_writer_series_packed(const promwrite_writer *writer,
                                       const uint8_t *labels,
                                       size_t labels_len,
                                       promwrite_series **series,
                                       promwrite_error **error);

/**
 * Appends one sample by name and labels, which are looked up each time: a prepared series is ten times as fast. Labels are as for
 * `promwrite_writer_series`, value and time as for `promwrite_series_append`.
 *
 * Errors: those of `promwrite_writer_series` and `promwrite_series_append`.
 */
int32_t promwrite_writer_append(const promwrite_writer *writer,
                                const char *name,
                                size_t name_len,
                                const promwrite_str *labels,
                                size_t pairs,
                                double value,
                                int64_t timestamp_ms,
                                promwrite_error **error);

/**
 * Appends the samples of many series in one call, all of them or none. `layout` is `PROMWRITE_PACKED_WRITE_REQUEST`: `packed` is an
 * uncompressed `prometheus.WriteRequest` of remote write 1.0, as every protobuf library writes it. A sample whose timestamp is
 * `PROMWRITE_NOW` gets the time of the call; metadata is told to the receiver. Sorted labels are fastest.
 *
 * `*accepted`, unless it is NULL, becomes the number of samples.
 *
 * Errors: `PROMWRITE_ERROR_INVALID` for bytes that are no such message (with the offset), for native histograms and exemplars,
 * which would be lost, and for an unknown layout; otherwise those of `promwrite_writer_append`.
 */
int32_t promwrite_writer_append_packed(const promwrite_writer *writer,
                                       uint32_t layout,
                                       const uint8_t *packed,
                                       size_t packed_len,
                                       uint64_t *accepted,
                                       promwrite_error **error);

/**
 * Appends every sample of a text page: text 0.0.4, also where `content_type` is empty, or OpenMetrics 1.0. `labels` (pairs, as for
 * `promwrite_writer_series`) are added to each series; where it has a label of that name, its own wins if `honor_labels`, as in a
 * scrape. Samples without a timestamp get the time of the call. `*accepted`, unless it is NULL, becomes the number of samples.
 *
 * Errors: `PROMWRITE_ERROR_EXPOSITION` with line and column, and then nothing was accepted; otherwise those of
 * `promwrite_writer_append`.
 */
int32_t promwrite_writer_push_text(const promwrite_writer *writer,
                                   const char *page,
                                   size_t page_len,
                                   const char *content_type,
                                   size_t content_type_len,
                                   const promwrite_str *labels,
                                   size_t pairs,
                                   bool honor_labels,
                                   uint64_t *accepted,
                                   promwrite_error **error);

/**
 * Sends what was accepted before this call, at once, and waits for it at most `timeout_ms`. A back-off is cut short once, a
 * Retry-After of the receiver is kept. Returns `PROMWRITE_OK` when nothing is pending, rejected or dropped since the last report,
 * `PROMWRITE_INCOMPLETE` otherwise. `report` may be NULL.
 *
 * Errors: `PROMWRITE_ERROR_CLOSED`; `PROMWRITE_ERROR_INVALID` for a negative timeout but `PROMWRITE_FOREVER`.
 */
int32_t promwrite_writer_flush(const promwrite_writer *writer,
                               int64_t timeout_ms,
                               promwrite_report **report,
                               promwrite_error **error);

/**
 * Accepts no more, flushes for at most `timeout_ms` and gives up the rest, counted as `dropped.shutdown`. Returns as
 * `promwrite_writer_flush`. `report` may be NULL.
 *
 * Errors: `PROMWRITE_ERROR_CLOSED` the second time, also while the first is under way in another thread;
 * `PROMWRITE_ERROR_INVALID` for a negative timeout but `PROMWRITE_FOREVER`, and then nothing was closed.
 */
int32_t promwrite_writer_close(const promwrite_writer *writer,
                               int64_t timeout_ms,
                               promwrite_report **report,
                               promwrite_error **error);

/**
 * Starts `promwrite_writer_flush` and does not wait.
 */
int32_t promwrite_writer_flush_start(const promwrite_writer *writer,
                                     int64_t timeout_ms,
                                     promwrite_wait **wait,
                                     promwrite_error **error);

/**
 * Starts `promwrite_writer_close` and does not wait: from now on nothing is accepted.
 */
int32_t promwrite_writer_close_start(const promwrite_writer *writer,
                                     int64_t timeout_ms,
                                     promwrite_wait **wait,
                                     promwrite_error **error);

/**
 * Everything counted since the writer was made; also after a close.
 */
int32_t promwrite_writer_stats(const promwrite_writer *writer,
                               promwrite_report **report,
                               promwrite_error **error);

/**
 * Frees a writer; NULL is fine. It waits for nothing and loses nothing: what is pending is still sent, and flushed when the
 * process ends by `exit` or by returning from `main`. No other thread may be using the writer.
 */
void promwrite_writer_free(promwrite_writer *writer);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* PROMWRITE_PROMWRITE_H */
