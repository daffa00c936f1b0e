//go:build cgo

package promwrite

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"runtime"
	"slices"
	"strings"
)

// Doer takes the requests of a push client over: it is the HTTPDoer of client_golang's push.Pusher.Client, or takes the place of
// http.DefaultClient in a program's own Do. Each request is queued and sent by the Rust core with retries; the newest PUT of a
// group takes the place of an older one that still waits. It may be used from several goroutines at once.
type Doer struct {
	c cHandler
	closing
}

// NewDoer returns a Doer for any gateway. Options of a writer alone, such as [WithLabel], are refused or without effect as core/OPTIONS.md says;
// no label is added.
func NewDoer(options ...Option) (*Doer, error) {
	c, err := newCHandler(collect(options))
	if err != nil {
		return nil, err
	}
	d := &Doer{c: c}
	runtime.AddCleanup(d, cHandler.free, c)
	return d, nil
}

func (d *Doer) handle() cHandler {
	if d == nil {
		return cHandler{}
	}
	return d.c
}

// Do queues a PUT, POST or DELETE and answers 202 with an empty body; the answer of the gateway is in the report of [Doer.Flush].
//
// Method, URL, headers and body come from the request, credentials in the URL too. Host, Content-Length and the headers of a
// connection are the sender's. The request's context counts until Do returns and no longer. An error means that the request was not accepted.
func (d *Doer) Do(req *http.Request) (*http.Response, error) {
	if req == nil {
		return nil, invalid("request", "nil", "must not be nil")
	}
	body, err := readBody(req)
	if err != nil {
		return nil, err
	}
	if req.URL == nil {
		return nil, invalid("request URL", "nil", "must not be nil")
	}
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	url := *req.URL
	url.User, url.Fragment, url.RawFragment = nil, "", ""
	method := req.Method
	if method == "" {
		method = http.MethodGet
	}
	headers, err := headerLines(req)
	if err != nil {
		return nil, err
	}
	err = d.handle().push(method, url.String(), headers, body)
	runtime.KeepAlive(d)
	if err != nil {
		return nil, err
	}
	return &http.Response{
		Status:     "202 Accepted",
		StatusCode: http.StatusAccepted,
		Proto:      "HTTP/1.1",
		ProtoMajor: 1,
		ProtoMinor: 1,
		Header:     make(http.Header),
		Body:       http.NoBody,
		Request:    req,
	}, nil
}

// readBody reads the whole body and closes it, as a client does.
func readBody(req *http.Request) ([]byte, error) {
	if req.Body == nil {
		return nil, nil
	}
	var buffer bytes.Buffer
	if n := req.ContentLength; n > 0 && n <= keep {
		// one byte more than ReadFrom asks for, so that it need not grow to see the end
		buffer.Grow(int(n) + bytes.MinRead)
	}
	_, err := buffer.ReadFrom(req.Body)
	return buffer.Bytes(), errors.Join(err, req.Body.Close())
}

// connectionHeaders speak of one connection or one attempt, which are the sender's.
var connectionHeaders = []string{
	"Accept-Encoding", "Connection", "Content-Length", "Expect", "Host", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// headerLines are the headers of a request, one a line.
func headerLines(req *http.Request) (string, error) {
	var lines strings.Builder
	add := func(name, value string) error {
		if strings.ContainsAny(name, ":\r\n") || strings.ContainsAny(value, "\r\n") {
			return &Error{Code: CodeInvalid, Message: "header: *** is refused: a name must hold no colon, name and value no CR or LF"}
		}
		lines.WriteString(name + ": " + value + "\r\n")
		return nil
	}
	if user := req.URL.User; user != nil && req.Header.Get("Authorization") == "" {
		password, _ := user.Password()
		plain := user.Username() + ":" + password
		if err := add("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(plain))); err != nil {
			return "", err
		}
	}
	for name, values := range req.Header {
		if len(values) == 0 || slices.Contains(connectionHeaders, http.CanonicalHeaderKey(name)) {
			continue
		}
		// of several lines of one name the core keeps one
		if err := add(name, strings.Join(values, ", ")); err != nil {
			return "", err
		}
	}
	return lines.String(), nil
}

// Flush waits until every request accepted before the call is settled, or ctx ends; errors as of [Writer.Flush].
func (d *Doer) Flush(ctx context.Context) (Report, error) {
	report, err := wait(ctx, Report{}, one(d.handle().flushStart))
	runtime.KeepAlive(d)
	return report, err
}

// Close accepts no more, waits as [Doer.Flush] does, and gives up what is left when ctx ends, as [Writer.Close].
func (d *Doer) Close(ctx context.Context) (Report, error) {
	closeIt := func() (Report, error) { return wait(ctx, Report{}, one(d.handle().closeStart)) }
	if d == nil {
		return closeIt()
	}
	report, err := d.closing.once(ctx, closeIt)
	runtime.KeepAlive(d)
	return report, err
}

// Stats returns everything counted since the Doer was made, gateway by gateway.
func (d *Doer) Stats() (Stats, error) {
	stats, err := d.handle().stats()
	runtime.KeepAlive(d)
	return stats, err
}
