//go:build cgo

package promwrite

import (
	"context"
	"strconv"
	"time"
)

// Shutdown flushes every Writer, Doer and asynchronous Client of this process for at most timeout, gives up the rest and closes
// them all. Go runs no exit hook when main returns, so that a program begins with
//
//	defer promwrite.Shutdown(5 * time.Second)
//
// and knows that os.Exit and log.Fatal run no deferred calls. The error is a [*LossError] when something was rejected or dropped.
func Shutdown(timeout time.Duration) error {
	if timeout < 0 {
		return invalid("timeout", timeout.String(), "must not be negative")
	}
	start := func() (cWait, error) { return shutdownStart(timeout.Milliseconds()) }
	_, err := wait(context.Background(), Report{}, one(start))
	return err
}

// Flush waits until everything accepted by this process before the call is settled, or ctx ends; errors as of [Writer.Flush].
func Flush(ctx context.Context) (Report, error) {
	return wait(ctx, Report{}, one(flushAllStart))
}

// TakeLog returns the warnings that have come up since the last call, such as a receiver that refuses the credentials or
// samples that were dropped, for the program's own log: promwrite prints nothing. At most 64 lines are kept.
func TakeLog() []string { return takeLog() }

func invalidCount(field string, got, want int) error {
	return invalid(field, strconv.Itoa(got), "must be of length "+strconv.Itoa(want))
}
