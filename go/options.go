//go:build cgo

package promwrite

import (
	"strconv"
	"time"
)

// Option sets one or more options of a [Writer], a [Doer] or an asynchronous [Client]. Every option has a key of the table in
// core/OPTIONS.md, which gives type, default and range; the functions below are for the frequent ones. A bad value is an error
// of the function that makes the object. Of two settings of one key the later one counts.
type Option func(*settings)

type setting struct{ key, value string }

type settings struct{ list []setting }

func (s *settings) set(key, value string) { s.list = append(s.list, setting{key, value}) }

func collect(options []Option) []setting {
	var s settings
	for _, option := range options {
		if option != nil {
			option(&s)
		}
	}
	return s.list
}

// WithOption sets the option of that key in core/OPTIONS.md, such as "queue_config.capacity", as text, such as "500ms" or "64MiB".
func WithOption(key, value string) Option {
	return func(s *settings) { s.set(key, value) }
}

// WithBasicAuth sets user and password of basic authentication (basic_auth.username, basic_auth.password).
func WithBasicAuth(username, password string) Option {
	return func(s *settings) {
		s.set("basic_auth.username", username)
		s.set("basic_auth.password", password)
	}
}

// WithBearerToken sets the token of the Authorization header (authorization.credentials).
func WithBearerToken(token string) Option { return WithOption("authorization.credentials", token) }

// WithHeader sets a header of every request (headers.NAME), such as X-Scope-OrgID. Headers that promwrite sets are refused.
func WithHeader(name, value string) Option { return WithOption("headers."+name, value) }

// WithLabel adds a label to every series of a [Writer] (labels.NAME); a series' own label of that name wins.
func WithLabel(name, value string) Option { return WithOption("labels."+name, value) }

// WithLabels is [WithLabel] for each of labels.
func WithLabels(labels ...Label) Option {
	return func(s *settings) {
		for _, label := range labels {
			s.set("labels."+label.Name, label.Value)
		}
	}
}

// WithInstance sets the label instance of every series of a [Writer] (instance): the host name unless given, none if empty.
func WithInstance(instance string) Option { return WithOption("instance", instance) }

// WithTimeout sets the longest that one request may take (remote_timeout), 30 s by default.
func WithTimeout(timeout time.Duration) Option { return WithOption("remote_timeout", seconds(timeout)) }

// seconds is a duration as the option table takes it.
func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) }
