// Command storms sends samples while much else happens to the process, flushes, and prints what became of them:
//
//	storms children|signals|stdout|ignored URL
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/promwrite/promwrite/go"
)

const (
	appenders = 4
	firstMs   = 1700000000000
	patience  = 60 * time.Second
)

func main() {
	defer promwrite.Shutdown(patience)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	// soon, because the receiver breaks connections
	writer := must(promwrite.NewWriter(os.Args[2], promwrite.WithInstance(""), promwrite.WithOption("queue_config.min_backoff", "1ms")))
	switch os.Args[1] {
	case "children":
		children(ctx, writer)
	case "signals":
		signals(ctx, writer)
	case "stdout":
		check(writer.AppendAt("stdout", 1, firstMs))
		must(writer.Flush(ctx))
		_, err := fmt.Println("nobody reads this")
		panic(fmt.Sprint("still alive after SIGPIPE: ", err))
	case "ignored":
		signal.Ignore(syscall.SIGPIPE)
		check(writer.AppendAt("stdout", 1, firstMs))
		if _, err := fmt.Println("nobody reads this"); err == nil {
			panic("somebody reads stdout")
		}
		check(writer.AppendAt("stdout", 2, firstMs+1))
		must(writer.Flush(ctx))
	default:
		panic(os.Args[1])
	}
}

// appending starts the appenders: each appends count samples of its series for each turn, until turns is closed.
func appending(writer *promwrite.Writer, turns <-chan struct{}, count int) *sync.WaitGroup {
	var group sync.WaitGroup
	for number := range appenders {
		series := must(writer.Series("storm", promwrite.Label{Name: "appender", Value: strconv.Itoa(number)}))
		group.Add(1)
		go func() {
			defer group.Done()
			n := 0
			for range turns {
				for range count {
					check(series.AppendAt(float64(n), int64(firstMs+n)))
					n++
				}
			}
		}()
	}
	return &group
}

// flushing flushes again and again until stop is closed.
func flushing(ctx context.Context, writer *promwrite.Writer, stop <-chan struct{}) *sync.WaitGroup {
	var group sync.WaitGroup
	group.Add(1)
	go func() {
		defer group.Done()
		for {
			must(writer.Flush(ctx))
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	return &group
}

// tell flushes and prints how many samples were accepted, delivered and are pending.
func tell(ctx context.Context, writer *promwrite.Writer) {
	must(writer.Flush(ctx))
	total := must(writer.Stats()).Total()
	fmt.Println(total.Accepted, total.Delivered, total.Pending)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func must[T any](value T, err error) T {
	check(err)
	return value
}
