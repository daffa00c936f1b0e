//go:build cgo

package promwrite

import (
	"context"
	"errors"
	"sync"
	"time"
)

// The first and the longest pause between two looks at a wait: short, because a healthy receiver answers within a
// millisecond; not longer, because the end of a wait must be seen within 50 ms.
const (
	firstPause   = 200 * time.Microsecond
	longestPause = 20 * time.Millisecond
)

// begin starts the waits that belong to one call; where one fails, the others are returned all the same.
type begin func() ([]cWait, error)

func one(start func() (cWait, error)) begin {
	return func() ([]cWait, error) {
		w, err := start()
		if err != nil {
			return nil, err
		}
		return []cWait{w}, nil
	}
}

// wait looks after the waits that begin starts, until all are settled or ctx ends. It waits in Go, because ten thousand
// goroutines that wait in C would need as many threads. The report starts with what is given.
func wait(ctx context.Context, report Report, begin begin) (Report, error) {
	if mismatch != nil {
		return Report{}, mismatch
	}
	if ctx == nil {
		return Report{}, invalid("ctx", "nil", "must not be nil")
	}
	waits, failed := begin()
	var cause error
	for _, w := range waits {
		if cause == nil {
			cause = settle(ctx, w)
		}
		part, err := w.finish()
		report.Senders = append(report.Senders, part.Senders...)
		if err != nil {
			failed = err
		}
	}
	if failed != nil {
		return report, failed
	}
	return report, outcome(report, cause)
}

// settle returns nil when w is settled, the context's error when ctx ended first.
func settle(ctx context.Context, w cWait) error {
	if w.settled() {
		return nil
	}
	pause := firstPause
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			// the two may end together: what is settled is no failure
			if w.settled() {
				return nil
			}
			return ctx.Err()
		case <-timer.C:
		}
		if w.settled() {
			return nil
		}
		pause = min(2*pause, longestPause)
		timer.Reset(pause)
	}
}

// closing lets the first of several calls of Close do it, and the others wait for that.
type closing struct {
	done  chan struct{}
	mutex sync.Mutex
}

func (c *closing) once(ctx context.Context, closeIt func() (Report, error)) (Report, error) {
	if ctx == nil {
		return Report{}, invalid("ctx", "nil", "must not be nil")
	}
	c.mutex.Lock()
	if c.done != nil {
		c.mutex.Unlock()
		// looked at first, because a context that has ended already would otherwise win at random
		select {
		case <-c.done:
			return Report{}, nil
		default:
		}
		select {
		case <-c.done:
			return Report{}, nil
		case <-ctx.Done():
			return Report{}, ctx.Err()
		}
	}
	c.done = make(chan struct{})
	c.mutex.Unlock()
	defer close(c.done)
	report, err := closeIt()
	if errors.Is(err, ErrClosed) {
		// by Shutdown
		return Report{}, nil
	}
	return report, err
}
