package push

import (
	"context"

	"github.com/promwrite/promwrite/go"
)

// Async makes Push, Add and Delete return without waiting for the gateway. Metrics are gathered and encoded by the
// caller, as ever; then the request is queued, and promwrite sends it, tries again while the gateway is away, and
// follows no redirect. A nil error means accepted; [Pusher.Flush] tells what became of it. A Push replaces what of its
// group still waits, so that a late retry never overwrites a newer state.
//
// Header and BasicAuth go with each request; the options set what promwrite does, as timeout, TLS and queue. Pushers with
// the same gateway and options share one connection, so that one may be made for each push. An option that breaks a
// rule, and a client set with [Pusher.Client], are errors that stay, see [Pusher.Error].
func (p *Pusher) Async(options ...promwrite.Option) *Pusher {
	if p.err != nil {
		return p
	}
	p.doer, p.err = promwrite.NewDoer(options...)
	return p.checkClient()
}

func (p *Pusher) checkClient() *Pusher {
	if p.err == nil && p.client != nil && p.doer != nil {
		p.err = errClientAndAsync
	}
	return p
}

// Flush waits until everything that this Pusher has queued is settled or the context ends, and reports what became of
// it. The error is a *promwrite.LossError when something was rejected or dropped, or the context's error, after which
// the rest stays queued. Without [Pusher.Async] nothing is ever queued, and the report is empty.
func (p *Pusher) Flush(ctx context.Context) (promwrite.Report, error) {
	if p.doer == nil {
		return promwrite.Report{}, p.err
	}
	return p.doer.Flush(ctx)
}

// Close is Flush after which this Pusher takes no more: what is not settled when the context ends is given up, unless
// another Pusher with the same gateway and options is open. Without [Pusher.Async] it does nothing.
func (p *Pusher) Close(ctx context.Context) (promwrite.Report, error) {
	if p.doer == nil {
		return promwrite.Report{}, p.err
	}
	return p.doer.Close(ctx)
}
