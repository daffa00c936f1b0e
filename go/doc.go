// Package promwrite hands a program's metrics to Prometheus without ever making it wait: the Rust core takes them in microseconds,
// batches, encodes, authenticates, sends and retries them, and says truthfully what became of each.
//
// # Limits
//
// Go runs no exit hook when main returns: what is pending then is lost, unless the program says
//
//	defer promwrite.Shutdown(5 * time.Second)
//
// first. os.Exit, log.Fatal and a panic in another goroutine run no deferred calls. Besides: linux on amd64 with glibc, cgo; the option
// queue_config.overflow = block makes an append wait, on a thread, when the queue is full.
//
// # The drop-in
//
// [NewClient], [Client.Write] and what belongs to them are the API of github.com/castai/promwrite v0.6.0 and
// github.com/eryajf/promwrite: a program changes the import. Write sends through net/http, with the caller's [http.Client] or a
// default one, while the caller waits. With [Async] the same Write queues and returns, and a nil error means accepted:
//
//	client := promwrite.NewClient(url, promwrite.Async())
//	_, err := client.Write(ctx, req)
//	report, err := client.Flush(ctx)
//
// # Writer
//
// [NewWriter] is the API of promwrite itself; a prepared [Series] is the fast path, about twice the price of an empty cgo call:
//
//	writer, err := promwrite.NewWriter(url, promwrite.WithLabel("job", "etl"))
//	rows, err := writer.Series("rows_loaded_total", promwrite.Label{Name: "stage", Value: "load"})
//	err = rows.Append(1200) // the total as of now, as a scrape would see it
//	report, err := writer.Flush(ctx)
//
// # Push
//
// Package push has the API of client_golang's prometheus/push. A [Doer] makes a program that keeps its own push client or its own
// Do non-blocking. Package promgather sends a registry through a Writer.
//
// # Errors
//
// A refused call returns an [*Error], for [errors.Is] with [ErrInvalid], [ErrQueueFull], [ErrClosed] and so on; Retryable tells whether
// the same call can succeed later. A flush or close that lost something returns a [*LossError] with the [Report]. No error and no
// printed object holds a password, a token or a header's value, with one exception that net/http makes: the user of a URL.
//
// # Differences
//
// From castai/promwrite v0.6.0 and eryajf/promwrite, each on purpose:
//
//   - No "Authorization: Basic Og==" is sent without credentials, as eryajf's does: a server would read it instead of the real one.
//   - [WriteHeaders] sets headers and does not add to those that are there, so that no request has two Authorization headers or two
//     Content-Types. An Authorization header wins over [HttpClientWithAuth].
//   - [BasicAuth] takes both spellings of its fields; an unkeyed literal does not compile.
//   - Labels are sorted by name, as the protocol demands and some receivers insist.
//   - A client without Timeout and a context without deadline give the request 30 s, instead of for ever.
//   - The default client follows no redirect: the answer is a [*WriteError] with that status, instead of a GET whose 200 says nothing. A
//     caller's client does what its CheckRedirect says.
//   - A [WriteError] holds at most 16 KiB of the answer.
//   - A nil request, message or [http.Client] is an error or the default, and no panic.
//   - The error of a URL that does not parse hides user and password.
//   - The value -0 arrives as -0. With [Async] text that is not UTF-8 is an error; otherwise the receiver judges it, as it does there.
//   - [Client.WriteProto] takes anything that marshals itself, so that prometheus/prometheus is no dependency; method values and
//     interfaces that name *prompb.WriteRequest do not compile.
//
// With [Async] moreover:
//
//   - Times before 2001 or more than ten minutes ahead, the zero Time among them, are refused; so are samples with broken or
//     duplicate labels, and histograms and exemplars in a message. All of a request is accepted or nothing.
//   - An empty request sends nothing.
//   - Each set of headers has a queue and a connection of its own, at most 64 at a time; those with nothing pending make room.
//   - Headers that promwrite sets itself are refused with other values than its own, and Host is ignored, as it is by net/http.
//   - The context of a Write is not looked at.
package promwrite
