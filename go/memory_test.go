//go:build !race

// Not with the race detector, whose own memory grows with the program's.

package promwrite

import (
	"context"
	"errors"
	"runtime"
	"runtime/debug"
	"slices"
	"testing"
)

// Go runs no exit hook.
const deliveredWithoutShutdown = 0

func TestHandlesAreFreed(t *testing.T) {
	const url = "http://127.0.0.1:1/api/v1/write"
	w := newTestWriter(t, url)
	for name, c := range map[string]struct {
		n    int
		size int // bytes that a leaked one takes at least
		make func() error
	}{
		"series":  {50_000, 32, func() error { return second(w.Series("a", Label{"b", "c"})) }},
		"doers":   {20_000, 256, func() error { return second(NewDoer()) }},
		"reports": {50_000, 128, func() error { return second(w.Stats()) }},
		"waits":   {50_000, 32, func() error { return second(w.Flush(context.Background())) }},
		"writers": {3_000, 4096, func() error { return second(NewWriter(url)) }},
		"errors": {50_000, 32, func() error {
			if w.Append("b c", 1) == nil {
				return errors.New("no error")
			}
			return nil
		}},
	} {
		round := func() int {
			for i := range c.n {
				must(t, c.make())
				if i%1000 == 0 {
					// C's memory hastens no collection
					waitForCleanups()
				}
			}
			debug.FreeOSMemory()
			return status(t, "VmRSS")
		}
		// a leak grows in each round, the free lists of malloc only in some
		before, goroutines, limit := round(), runtime.NumGoroutine(), c.n*c.size/2/1024
		var grown []int
		for range 6 {
			after := round()
			grown = append(grown, after-before)
			if after-before <= limit {
				break
			}
			before = after
		}
		t.Logf("%d %s: %d kB", c.n, name, grown)
		if slices.Min(grown) > limit {
			t.Errorf("%d %s: grew by %d kB in each round, limit %d", c.n, name, grown, limit)
		}
		if n := runtime.NumGoroutine(); n > goroutines {
			t.Errorf("%s: %d goroutines, then %d", name, goroutines, n)
		}
	}
}
