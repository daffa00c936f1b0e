package push

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"github.com/promwrite/promwrite/go"
)

var (
	errJobEmpty       = errors.New("job name is empty")
	errBaseURL        = errors.New("gateway URL has a query or a fragment, behind which the path of the group would stand")
	errClientAndAsync = errors.New("Async and Client exclude each other: with Async the request is sent by promwrite")
)

// defaultClient sends when no client is given. One for all, so that pushes share connections.
var defaultClient = &http.Client{
	Timeout:       30 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// HTTPDoer is what a Pusher needs of an HTTP client; *http.Client has it.
type HTTPDoer interface {
	Do(*http.Request) (*http.Response, error)
}

// Pusher pushes the metrics of its Gatherers and Collectors to one group of a Pushgateway. [New] makes it, the methods
// that return it configure it, and Push, Add and Delete may then be called from several goroutines at once.
type Pusher struct {
	err error

	url, job string
	grouping map[string]string

	registry  *prometheus.Registry
	gatherers prometheus.Gatherers
	format    expfmt.Format

	client             HTTPDoer // nil: defaultClient
	doer               *promwrite.Doer
	header             http.Header
	basicAuth          bool
	username, password string
}

// New returns a Pusher for the gateway at url and the given job, which must not be empty. The url is without
// "/metrics/job/…"; "http://" is put before one without a scheme. User and password may stand in it.
func New(url, job string) *Pusher {
	registry := prometheus.NewRegistry()
	p := &Pusher{
		job:       job,
		grouping:  map[string]string{},
		registry:  registry,
		gatherers: prometheus.Gatherers{registry},
		format:    expfmt.NewFormat(expfmt.TypeProtoDelim),
	}
	if !strings.Contains(url, "://") {
		url = "http://" + url
	}
	p.url = strings.TrimRight(url, "/")
	switch {
	case job == "":
		p.err = errJobEmpty
	case strings.ContainsAny(url, "?#"):
		p.err = errBaseURL
	}
	return p
}

// Push replaces all metrics of the group with those gathered now (method PUT).
//
// It returns the first error that any call on this Pusher has met, the error of a Gatherer, of the encoding or of the
// request, or one with the status and body of an answer other than 2xx. With [Pusher.Async], nil means accepted.
func (p *Pusher) Push() error {
	return p.push(context.Background(), http.MethodPut)
}

// PushContext is Push with a context, which ends the request. With [Pusher.Async] it matters only whether the context
// is done when the call begins: what was accepted is sent.
func (p *Pusher) PushContext(ctx context.Context) error {
	return p.push(ctx, http.MethodPut)
}

// Add replaces the metrics of the group that have the name of one gathered now (method POST). Its errors are those of
// Push.
func (p *Pusher) Add() error {
	return p.push(context.Background(), http.MethodPost)
}

// AddContext is Add with a context, as in PushContext.
func (p *Pusher) AddContext(ctx context.Context) error {
	return p.push(ctx, http.MethodPost)
}

// Delete removes the group (method DELETE). Gatherers and Collectors do not matter to it. Its errors are those of Push.
func (p *Pusher) Delete() error {
	return p.delete(context.Background())
}

// DeleteContext is Delete with a context, as in PushContext.
func (p *Pusher) DeleteContext(ctx context.Context) error {
	return p.delete(ctx)
}

// Gatherer adds a source of metrics. They must have no label job and no grouping label of their own.
func (p *Pusher) Gatherer(g prometheus.Gatherer) *Pusher {
	p.gatherers = append(p.gatherers, g)
	return p
}

// Collector registers a collector with the registry of this Pusher. Its metrics must have no label job and no grouping
// label of their own. An error of the registration stays, see [Pusher.Error].
func (p *Pusher) Collector(c prometheus.Collector) *Pusher {
	if p.err == nil {
		p.err = p.registry.Register(c)
	}
	return p
}

// Error returns the first error that configuring this Pusher has met. Every later call returns it too.
func (p *Pusher) Error() error {
	return p.err
}

// Grouping adds a label to the grouping key; a second value of a name replaces the first. A name must be UTF-8, not
// empty, and stay one name in a path: without a slash, without "@base64" at its end, not "." or "..".
func (p *Pusher) Grouping(name, value string) *Pusher {
	if p.err == nil {
		if !validName(name) {
			p.err = fmt.Errorf("grouping label has invalid name: %s", name)
			return p
		}
		p.grouping[name] = value
	}
	return p
}

// Client sets the HTTP client, an *http.Client or anything else with its method Do. Nil means the default one, which
// has a timeout of 30 s and follows no redirect. It excludes [Pusher.Async]; a *promwrite.Doer given here does the same
// with nothing else changed.
func (p *Pusher) Client(c HTTPDoer) *Pusher {
	if client, ok := c.(*http.Client); ok && client == nil {
		c = nil
	}
	p.client = c
	return p.checkClient()
}

// Header sets headers of each request. They are copied. Authorization is replaced by [Pusher.BasicAuth], Content-Type
// of a push by that of the [Pusher.Format].
func (p *Pusher) Header(header http.Header) *Pusher {
	p.header = header.Clone()
	return p
}

// BasicAuth sets user and password of each request.
func (p *Pusher) BasicAuth(username, password string) *Pusher {
	p.basicAuth, p.username, p.password = true, username, password
	return p
}

// Format sets the encoding, which is the delimited protobuf of expfmt by default. A Pushgateway reads that and text
// 0.0.4 (expfmt.FmtText); many services with the same API read only text.
func (p *Pusher) Format(format expfmt.Format) *Pusher {
	p.format = format
	return p
}
