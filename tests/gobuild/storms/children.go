package main

import (
	"context"
	"os/exec"
	"sync"

	"github.com/promwrite/promwrite/go"
)

// children starts 200 programs from 8 goroutines; others append for each that is started, and one flushes all the time.
func children(ctx context.Context, writer *promwrite.Writer) {
	const starters, each, samples = 8, 25, 25
	turns, stop := make(chan struct{}), make(chan struct{})
	appended, flushed := appending(writer, turns, samples), flushing(ctx, writer, stop)
	var started sync.WaitGroup
	for range starters {
		started.Add(1)
		go func() {
			defer started.Done()
			for range each {
				command := exec.CommandContext(ctx, "/bin/true")
				check(command.Start())
				turns <- struct{}{}
				check(command.Wait())
			}
		}()
	}
	started.Wait()
	close(turns)
	appended.Wait()
	close(stop)
	flushed.Wait()
	tell(ctx, writer)
}
