//go:build cgo

package promwrite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"time"
)

// defaultTimeout is that of a request without a client's Timeout and a context's deadline.
const defaultTimeout = 30 * time.Second

// errorBodyLimit is how much of the answer stands in a [WriteError].
const errorBodyLimit = 16 << 10

// TimeSeries is a series with one sample.
type TimeSeries struct {
	// Labels with the metric name as __name__, in any order.
	Labels []Label
	// Sample of the series.
	Sample Sample
}

// Label is a name and a value.
type Label struct {
	Name  string
	Value string
}

// Sample is a value at a time.
type Sample struct {
	// Time, of which the milliseconds count: UnixNano()/1e6. The zero Time is outside that range and gives -6795364578871,
	// as it does in castai/promwrite; queued writes refuse it.
	Time time.Time
	// Value of any bits: NaN and -0 arrive as they are.
	Value float64
}

// BasicAuth is a user and a password; both spellings are accepted, the first one wins.
type BasicAuth struct {
	UserName string
	PassWord string
	Username string
	Password string
}

func (a *BasicAuth) user() string {
	if a.UserName != "" {
		return a.UserName
	}
	return a.Username
}

func (a *BasicAuth) password() string {
	if a.PassWord != "" {
		return a.PassWord
	}
	return a.Password
}

// String hides the password.
func (a BasicAuth) String() string { return fmt.Sprintf("{%s ***}", a.user()) }

// GoString hides the password.
func (a BasicAuth) GoString() string {
	return fmt.Sprintf("promwrite.BasicAuth{UserName:%q, PassWord:***}", a.user())
}

type clientOptions struct {
	client *http.Client
	auth   *BasicAuth
	queued bool
	async  []Option
}

// ClientOption is an option of [NewClient].
type ClientOption func(opts *clientOptions)

// HttpClient sets the client that sends, as it is: its Transport, Timeout, Jar and CheckRedirect; nil means the default one.
func HttpClient(client *http.Client) ClientOption {
	return func(opts *clientOptions) { opts.client = client }
}

// HttpClientWithAuth is [HttpClient] with basic authentication; a nil auth means none.
func HttpClientWithAuth(client *http.Client, auth *BasicAuth) ClientOption {
	return func(opts *clientOptions) {
		opts.client = client
		opts.auth = auth
	}
}

// Client sends series by remote write 1.0: while the caller waits, or from a queue with [Async]. It may be used from several
// goroutines at once.
type Client struct {
	conn  *connection
	queue *queue
}

// String shows neither URL nor credentials.
func (p Client) String() string { return "promwrite.Client" }

// GoString is [Client.String].
func (p Client) GoString() string { return p.String() }

type connection struct {
	endpoint string
	client   *http.Client
	auth     *BasicAuth
}

// NewClient returns a client for a remote-write URL. It never fails: what is wrong with endpoint or options is the error of every
// [Client.Write].
func NewClient(endpoint string, options ...ClientOption) *Client {
	var opts clientOptions
	for _, option := range options {
		if option != nil {
			option(&opts)
		}
	}
	conn := &connection{endpoint: endpoint, client: opts.client}
	if opts.auth != nil {
		// a copy, because the caller may change its own while requests are made
		auth := *opts.auth
		conn.auth = &auth
	}
	c := &Client{conn: conn}
	if opts.queued {
		c.queue = newQueue(conn, opts.async)
	}
	if conn.client == nil {
		conn.client = &http.Client{
			Timeout: defaultTimeout,
			// a redirect would take the credentials to another host, and turns POST into GET, whose 200 says nothing
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	return c
}

type writeOptions struct{ headers map[string]string }

// WriteOption is an option of [Client.Write].
type WriteOption func(opts *writeOptions)

// WriteHeaders sets headers of the request, over those that promwrite sets. Of several WriteHeaders the last one counts.
func WriteHeaders(headers map[string]string) WriteOption {
	return func(opts *writeOptions) { opts.headers = headers }
}

func headersOf(options []WriteOption) map[string]string {
	var opts writeOptions
	for _, option := range options {
		if option != nil {
			option(&opts)
		}
	}
	return opts.headers
}

// WriteRequest is what [Client.Write] sends.
type WriteRequest struct{ TimeSeries []TimeSeries }

// WriteResponse is returned with a nil error.
type WriteResponse struct{}

// WriteError is an answer that is not 2xx.
type WriteError struct {
	err  error
	code int
}

// Error is "promwrite: expected status 200, got CODE: BODY".
func (e *WriteError) Error() string { return e.err.Error() }

// StatusCode is the status of the answer.
func (e *WriteError) StatusCode() int { return e.code }

// Write sends the series of req and waits for the answer; with [Async] it queues them and returns, and a nil error means that they
// were accepted, all of them.
//
// The error is a [*WriteError] for an answer other than 2xx, else one that wraps what net/http or the context said; with
// [Async] it is an [*Error]. The request is sent also when it is empty.
func (p *Client) Write(ctx context.Context, req *WriteRequest, options ...WriteOption) (*WriteResponse, error) {
	if req == nil {
		return nil, invalid("request", "nil", "must not be nil")
	}
	packed := getBuffer()
	defer packed.release()
	packed.b = appendRequest(packed.b, req.TimeSeries)
	return p.write(ctx, packed.b, p.queue == nil && sorted(req.TimeSeries), options)
}

// Marshaler is a message that can write itself, such as a *prompb.WriteRequest of prometheus/prometheus.
type Marshaler interface{ Marshal() ([]byte, error) }

// WriteProto is [Client.Write] for a prometheus.WriteRequest, in any type that marshals itself, so that this package need not depend on
// prometheus/prometheus. With [Async] histograms and exemplars are refused.
func (p *Client) WriteProto(ctx context.Context, req Marshaler, options ...WriteOption) (*WriteResponse, error) {
	if v := reflect.ValueOf(req); req == nil || v.Kind() == reflect.Pointer && v.IsNil() {
		return nil, invalid("request", "nil", "must not be nil")
	}
	packed, err := req.Marshal()
	if err != nil {
		return nil, fmt.Errorf("promwrite: marshaling remote write request proto: %w", err)
	}
	return p.write(ctx, packed, false, options)
}

func (p *Client) write(ctx context.Context, packed []byte, sorted bool, options []WriteOption) (*WriteResponse, error) {
	headers := headersOf(options)
	var err error
	if p.queue != nil {
		err = p.queue.append(packed, headers)
	} else {
		err = p.conn.send(ctx, packed, sorted, headers)
	}
	if err != nil {
		return nil, err
	}
	return &WriteResponse{}, nil
}

// send makes one request and returns nil for any 2xx.
func (c *connection) send(ctx context.Context, packed []byte, sorted bool, headers map[string]string) error {
	body, err := newBody(packed, sorted)
	if err != nil {
		return fmt.Errorf("promwrite: marshaling remote write request proto: %w", err)
	}
	defer body.release()
	if ctx != nil && c.client.Timeout == 0 {
		if _, limited := ctx.Deadline(); !limited {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, defaultTimeout)
			defer cancel()
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint, nil)
	if err != nil {
		return withoutUser(err)
	}
	body.attach(req)
	req.Header.Set("X-Prometheus-Remote-Write-Version", "0.1.0")
	req.Header.Set("Content-Encoding", "snappy")
	req.Header.Set("Content-Type", "application/x-protobuf")
	if c.auth != nil {
		req.SetBasicAuth(c.auth.user(), c.auth.password())
	}
	for name, value := range headers {
		req.Header.Set(name, value)
	}
	answer, err := c.client.Do(req)
	if err != nil {
		return fmt.Errorf("promwrite: sending remote write request: %w", err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, errorBodyLimit))
	if answer.StatusCode/100 == 2 {
		// read all the same, because only then the connection is used again
		return nil
	}
	if err != nil && len(text) == 0 {
		text = []byte(err.Error())
	}
	return &WriteError{
		err:  fmt.Errorf("promwrite: expected status %d, got %d: %s", http.StatusOK, answer.StatusCode, text),
		code: answer.StatusCode,
	}
}

// withoutUser hides user and password in the error of a URL that does not parse.
func withoutUser(err error) error {
	var parse *url.Error
	if !errors.As(err, &parse) {
		return err
	}
	start := 0
	if i := strings.Index(parse.URL, "://"); i >= 0 {
		start = i + len("://")
	}
	end := strings.LastIndexByte(parse.URL, '@')
	if end < start {
		return err
	}
	hidden := *parse
	hidden.URL = parse.URL[:start] + "***" + parse.URL[end:]
	// the inner error may quote the port or the host, which in a URL that does not parse may be a part of the password
	hidden.Err = errors.New("the URL does not parse; user and password must be percent-encoded")
	return &hidden
}

// Flush waits until everything that [Async] writes have queued before the call is settled, or ctx ends; errors as of
// [Writer.Flush]. Without [Async] there is nothing to wait for.
func (p *Client) Flush(ctx context.Context) (Report, error) {
	if p.queue == nil {
		return Report{}, nil
	}
	return p.queue.flush(ctx)
}

// Close is [Writer.Close] for what [Async] writes have queued. Without [Async] it does nothing.
func (p *Client) Close(ctx context.Context) (Report, error) {
	if p.queue == nil {
		return Report{}, nil
	}
	return p.queue.close(ctx)
}

// Stats returns what [Async] writes came to, a sender for each set of headers; without [Async] it is empty.
func (p *Client) Stats() (Stats, error) {
	if p.queue == nil {
		return Stats{}, nil
	}
	return p.queue.stats()
}
