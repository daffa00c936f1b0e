//go:build cgo

package promwrite

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// Async makes [Client.Write] queue and return; the Rust core sends, with retries. [Client.Flush] tells what became of it, and
// [Shutdown] belongs at the end of main. Options are those of [NewWriter]; no label is added, instance included, unless an
// option says so.
//
// The core sends with connections of its own. It keeps the Timeout of a client given with [HttpClient]; with a Transport, Jar or
// CheckRedirect in it every Write returns an error, because these could not be honoured.
func Async(options ...Option) ClientOption {
	return func(opts *clientOptions) {
		opts.queued = true
		opts.async = append(opts.async, options...)
	}
}

// maxHeaderSets is how many writers a queue keeps, because each has a queue and a connection of its own.
const maxHeaderSets = 64

// queue is a client's asynchronous side: one writer for each set of headers, because a writer's headers are constant.
type queue struct {
	endpoint string
	settings []setting
	// the error of every call, where the client cannot be asynchronous
	refused error

	mutex   sync.Mutex
	closed  bool
	writers map[string]*tenant
	// counts the uses of all writers, to know which was used last
	uses uint64
	// reports of writers that were let go
	left []SenderReport
	closing
}

// tenant is the writer of one set of headers.
type tenant struct {
	*Writer
	// calls that are just using it, so that it cannot be let go
	users int
	// when it was used last, in uses of the queue
	last uint64
}

func newQueue(conn *connection, options []Option) *queue {
	q := &queue{endpoint: conn.endpoint, writers: make(map[string]*tenant)}
	q.settings = []setting{{"instance", ""}}
	if c := conn.client; c != nil {
		if c.Transport != nil || c.Jar != nil || c.CheckRedirect != nil {
			q.refused = &Error{Code: CodeInvalid, Message: "HttpClient: a client with Transport, Jar or CheckRedirect " +
				"cannot be combined with Async, because promwrite sends with connections of its own: " +
				"set the options of Async instead, or leave Async out"}
		}
		if c.Timeout > 0 {
			q.settings = append(q.settings, setting{"remote_timeout", seconds(c.Timeout)})
		}
	}
	if auth := conn.auth; auth != nil {
		q.settings = append(q.settings, collect([]Option{WithBasicAuth(auth.user(), auth.password())})...)
	}
	q.settings = append(q.settings, collect(options)...)
	return q
}

func (q *queue) append(packed []byte, headers map[string]string) error {
	if q.refused != nil {
		return q.refused
	}
	w, err := q.use(headers)
	if err != nil {
		return err
	}
	// the lock is not held meanwhile, because an append may wait with queue_config.overflow = block
	err = w.appendPacked(packed)
	q.mutex.Lock()
	w.users--
	q.mutex.Unlock()
	return err
}

// use is the writer for these headers, made at first use; who has used it takes itself off its users.
func (q *queue) use(headers map[string]string) (*tenant, error) {
	key := headerKey(headers)
	q.mutex.Lock()
	defer q.mutex.Unlock()
	if q.closed {
		return nil, &Error{Code: CodeClosed, Message: "client is closed"}
	}
	w := q.writers[key]
	if w == nil {
		endpoint, list, err := withHeaders(q.endpoint, q.settings, headers)
		if err != nil {
			return nil, err
		}
		made, err := newWriter(endpoint, list)
		if err != nil {
			return nil, err
		}
		if len(q.writers) == maxHeaderSets {
			if err := q.letGo(); err != nil {
				return nil, err
			}
		}
		w = &tenant{Writer: made}
		q.writers[key] = w
	}
	q.uses++
	w.users, w.last = w.users+1, q.uses
	return w, nil
}

// letGo forgets the writer that was not used for longest among those with nothing pending, but keeps its report.
func (q *queue) letGo() error {
	oldest, found := "", false
	for key, w := range q.writers {
		if w.users > 0 || found && w.last > q.writers[oldest].last {
			continue
		}
		stats, err := w.Stats()
		if err != nil {
			return err
		}
		if stats.Total().Pending == 0 {
			oldest, found = key, true
		}
	}
	if !found {
		return &Error{Code: CodeQueueFull, retryable: true, Message: "queue: full: the client has " +
			"as many sets of headers with pending samples as it may"}
	}
	report, err := q.writers[oldest].Flush(context.Background())
	var loss *LossError
	if err != nil && !errors.As(err, &loss) {
		return err
	}
	q.leave(report)
	delete(q.writers, oldest)
	return nil
}

// leave adds a report to those of the writers that were let go, as one sender: all have one URL.
func (q *queue) leave(report Report) {
	for _, sender := range report.Senders {
		if len(q.left) == 0 {
			q.left = append(q.left, sender)
			continue
		}
		q.left[0].Counters.add(sender.Counters)
		for reason, n := range sender.Reasons {
			if q.left[0].Reasons == nil {
				q.left[0].Reasons = make(map[string]uint64)
			}
			q.left[0].Reasons[reason] += n
		}
		q.left[0].Failures = sender.Failures
	}
}

// take hands out the present writers and the reports of the others.
func (q *queue) take() ([]*Writer, []SenderReport) {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	writers := make([]*Writer, 0, len(q.writers))
	for _, w := range q.writers {
		writers = append(writers, w.Writer)
	}
	left := q.left
	q.left = nil
	return writers, left
}

// waitAll waits for all writers at once, because they share the time that ctx grants.
func waitAll(ctx context.Context, writers []*Writer, left []SenderReport, start func(cWriter) (cWait, error)) (Report, error) {
	defer runtime.KeepAlive(writers)
	return wait(ctx, Report{Senders: left}, func() ([]cWait, error) {
		waits := make([]cWait, 0, len(writers))
		var failed error
		for _, w := range writers {
			wait, err := start(w.c)
			if err != nil {
				failed = err
				continue
			}
			waits = append(waits, wait)
		}
		return waits, failed
	})
}

func (q *queue) flush(ctx context.Context) (Report, error) {
	if q.refused != nil {
		return Report{}, q.refused
	}
	writers, left := q.take()
	return waitAll(ctx, writers, left, cWriter.flushStart)
}

func (q *queue) close(ctx context.Context) (Report, error) {
	if q.refused != nil {
		return Report{}, q.refused
	}
	return q.closing.once(ctx, func() (Report, error) {
		q.mutex.Lock()
		q.closed = true
		q.mutex.Unlock()
		writers, left := q.take()
		return waitAll(ctx, writers, left, cWriter.closeStart)
	})
}

func (q *queue) stats() (Stats, error) {
	if q.refused != nil {
		return Stats{}, q.refused
	}
	q.mutex.Lock()
	defer q.mutex.Unlock()
	var all Stats
	for _, w := range q.writers {
		stats, err := w.Stats()
		if err != nil {
			return all, err
		}
		all.Senders = append(all.Senders, stats.Senders...)
	}
	return all, nil
}

// headerKey is equal for equal sets of headers.
func headerKey(headers map[string]string) string {
	if len(headers) == 0 {
		return ""
	}
	lines := make([]string, 0, len(headers))
	for name, value := range headers {
		lines = append(lines, http.CanonicalHeaderKey(name)+"\x00"+value+"\x00")
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// withHeaders turns headers into options. What a Write sets of itself is left out where the header says the same.
func withHeaders(endpoint string, list []setting, headers map[string]string) (string, []setting, error) {
	list = slices.Clone(list)
	for name, value := range headers {
		switch name = http.CanonicalHeaderKey(name); {
		case name == "Content-Type" && value == "application/x-protobuf",
			name == "Content-Encoding" && value == "snappy",
			name == "X-Prometheus-Remote-Write-Version" && value == "0.1.0",
			// net/http ignores it
			name == "Host":
		case name == "User-Agent":
			list = append(list, setting{"user_agent", value})
		case name == "Authorization":
			list = withoutAuth(list)
			auth, err := authSettings(value)
			if err != nil {
				return "", nil, err
			}
			list = append(list, auth...)
		default:
			list = append(list, setting{"headers." + name, value})
		}
	}
	if slices.ContainsFunc(list, isAuth) {
		// net/http lets the explicit one win as well
		if u, err := url.Parse(endpoint); err == nil && u.User != nil {
			u.User = nil
			endpoint = u.String()
		}
	}
	return endpoint, list, nil
}

func isAuth(s setting) bool {
	return strings.HasPrefix(s.key, "basic_auth.") || strings.HasPrefix(s.key, "authorization.")
}

func withoutAuth(list []setting) []setting { return slices.DeleteFunc(list, isAuth) }

// authSettings are the options for the value of an Authorization header.
func authSettings(value string) ([]setting, error) {
	scheme, credentials, _ := strings.Cut(value, " ")
	if !strings.EqualFold(scheme, "Basic") {
		return []setting{{"authorization.type", scheme}, {"authorization.credentials", credentials}}, nil
	}
	plain, err := base64.StdEncoding.DecodeString(credentials)
	user, password, found := strings.Cut(string(plain), ":")
	if err != nil || !found {
		return nil, &Error{Code: CodeInvalid, Message: "header Authorization: *** is refused: must be user:password in base64"}
	}
	return []setting{{"basic_auth.username", user}, {"basic_auth.password", password}}, nil
}
