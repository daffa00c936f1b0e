package main

import (
	"context"
	"io"
	"os"
	"runtime"
	"runtime/pprof"
	"syscall"

	"github.com/promwrite/promwrite/go"
)

// signals lets the process be signalled as Go's scheduler does and profiled, with a garbage collection in between, while
// the appenders append and one flushes all the time.
func signals(ctx context.Context, writer *promwrite.Writer) {
	const rounds, signalsEach, samples = 200, 20, 25
	check(pprof.StartCPUProfile(io.Discard))
	turns, stop := make(chan struct{}), make(chan struct{})
	appended, flushed := appending(writer, turns, samples), flushing(ctx, writer, stop)
	for range rounds {
		for range signalsEach {
			check(syscall.Kill(os.Getpid(), syscall.SIGURG))
		}
		turns <- struct{}{}
		runtime.GC()
	}
	close(turns)
	appended.Wait()
	close(stop)
	flushed.Wait()
	pprof.StopCPUProfile()
	tell(ctx, writer)
}
