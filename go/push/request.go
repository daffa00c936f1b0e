package push

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/prometheus/common/expfmt"
)

const (
	// base64Mark behind a label name tells the gateway that the value is base64.
	base64Mark = "@base64"
	// errorBodyLimit is how much is read of the body of an answer that goes into an error.
	errorBodyLimit = 64 << 10
)

var (
	errNoResponse = errors.New("the HTTP client returned neither a response nor an error")
	// errMalformed stands for net/url's error where that could show a part of the password.
	errMalformed = errors.New("gateway URL is malformed (reserved characters in its user and password must be escaped)")
)

func (p *Pusher) push(ctx context.Context, method string) error {
	if p.err != nil {
		return p.err
	}
	body, err := p.encode()
	if err != nil {
		return err
	}
	request, err := p.request(ctx, method, body)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", string(p.format))
	return p.send(request, "pushing to")
}

func (p *Pusher) delete(ctx context.Context) error {
	if p.err != nil {
		return p.err
	}
	request, err := p.request(ctx, http.MethodDelete, nil)
	if err != nil {
		return err
	}
	return p.send(request, "deleting")
}

// encode gathers the metrics and returns the body of a push.
func (p *Pusher) encode() ([]byte, error) {
	families, err := p.gatherers.Gather()
	if err != nil {
		return nil, err
	}
	var body bytes.Buffer
	encoder := expfmt.NewEncoder(&body, p.format)
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				name := label.GetName()
				if name == "job" {
					return nil, fmt.Errorf("pushed metric %s (%s) already contains a job label", family.GetName(), metric)
				}
				if _, clash := p.grouping[name]; clash {
					return nil, fmt.Errorf("pushed metric %s (%s) already contains grouping label %s", family.GetName(), metric, name)
				}
			}
		}
		if err := encoder.Encode(family); err != nil {
			return nil, fmt.Errorf("failed to encode metric family %s, error is %w", family.GetName(), err)
		}
	}
	return body.Bytes(), nil
}

func (p *Pusher) request(ctx context.Context, method string, body []byte) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, method, p.groupURL(), bytes.NewReader(body))
	if err != nil {
		if strings.Contains(p.url, "@") {
			return nil, errMalformed
		}
		return nil, err
	}
	if p.header != nil {
		request.Header = p.header.Clone()
	}
	if p.basicAuth {
		request.SetBasicAuth(p.username, p.password)
	}
	return request, nil
}

func (p *Pusher) send(request *http.Request, doing string) error {
	var client HTTPDoer = defaultClient
	switch {
	case p.doer != nil:
		client = p.doer
	case p.client != nil:
		client = p.client
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	if response == nil {
		return errNoResponse
	}
	var text []byte
	if response.Body != nil {
		defer response.Body.Close()
		if response.StatusCode/100 != 2 {
			// what could not be read is left out, because the status says enough
			text, _ = io.ReadAll(io.LimitReader(response.Body, errorBodyLimit))
		}
	}
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("unexpected status code %d while %s %s: %s", response.StatusCode, doing, p.shownURL(), text)
	}
	return nil
}

// groupURL is the URL of the group: a job and label values in the path, in base64 where a gateway could not read them
// back otherwise.
func (p *Pusher) groupURL() string {
	var path strings.Builder
	path.WriteString(p.url)
	path.WriteString("/metrics")
	writePair(&path, "job", p.job)
	names := make([]string, 0, len(p.grouping))
	for name := range p.grouping {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		writePair(&path, name, p.grouping[name])
	}
	return path.String()
}

// shownURL is groupURL without a password.
func (p *Pusher) shownURL() string {
	shown := p.groupURL()
	if parsed, err := url.Parse(shown); strings.Contains(p.url, "@") && err == nil {
		return parsed.Redacted()
	}
	return shown
}

// validName reports whether a gateway could read a label name back from a path.
func validName(name string) bool {
	return name != "" && name != "." && name != ".." && utf8.ValidString(name) &&
		!strings.Contains(name, "/") && !strings.HasSuffix(name, base64Mark)
}

func writePair(path *strings.Builder, name, value string) {
	path.WriteByte('/')
	path.WriteString(url.PathEscape(name))
	switch {
	case value == "":
		// one sign of padding, because an empty part would be cleaned out of the path
		path.WriteString(base64Mark + "/=")
	case strings.ContainsAny(value, "/ ") || value == "." || value == "..":
		path.WriteString(base64Mark + "/")
		path.WriteString(base64.RawURLEncoding.EncodeToString([]byte(value)))
	default:
		path.WriteByte('/')
		path.WriteString(url.QueryEscape(value))
	}
}
