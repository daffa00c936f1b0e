package write

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"

	castai "github.com/castai/promwrite"
	"github.com/prometheus/client_golang/prometheus"
	promwrite "github.com/promwrite/promwrite/go"
)

const (
	series  = 2000
	rounds  = 25
	asChild = "PROMWRITE_BENCH_SERVER"
)

// TestMain makes the test binary the receiver when it is started by startServer, because the CPU time of the clients alone counts.
func TestMain(m *testing.M) {
	if os.Getenv(asChild) == "" {
		os.Exit(m.Run())
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr())
	go func() {
		_ = http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(http.StatusNoContent)
		}))
	}()
	// until the parent closes its end
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func startServer(b *testing.B) (url string) {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asChild+"=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	address, _, err := bufio.NewReader(out).ReadLine()
	if err != nil {
		b.Fatal(err)
	}
	return "http://" + string(address) + "/api/v1/write"
}

// cpu is the time that this process has spent on all processors.
func cpu() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// cost is what a call takes in the best of several rounds: process CPU time, wall time, allocations.
type cost struct {
	cpu, held time.Duration
	mallocs   uint64
}

// measure takes the best of rounds of calls, because other processes only add to it.
func measure(calls int, call func()) cost {
	call()
	best := cost{cpu: 1<<63 - 1, held: 1<<63 - 1, mallocs: 1<<64 - 1}
	for range rounds {
		runtime.GC()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		used, begin := cpu(), time.Now()
		for range calls {
			call()
		}
		best.held = min(best.held, time.Since(begin)/time.Duration(calls))
		best.cpu = min(best.cpu, (cpu()-used)/time.Duration(calls))
		runtime.ReadMemStats(&after)
		best.mallocs = min(best.mallocs, (after.Mallocs-before.Mallocs)/uint64(calls))
	}
	return best
}

func theirRequest() *castai.WriteRequest {
	req := &castai.WriteRequest{}
	now := time.Now()
	for i := range series {
		s := castai.TimeSeries{Sample: castai.Sample{Time: now, Value: float64(i)}}
		for _, l := range labelsOf(i) {
			s.Labels = append(s.Labels, castai.Label{Name: l[0], Value: l[1]})
		}
		req.TimeSeries = append(req.TimeSeries, s)
	}
	return req
}

func ourRequest() *promwrite.WriteRequest {
	req := &promwrite.WriteRequest{}
	now := time.Now()
	for i := range series {
		s := promwrite.TimeSeries{Sample: promwrite.Sample{Time: now, Value: float64(i)}}
		for _, l := range labelsOf(i) {
			s.Labels = append(s.Labels, promwrite.Label{Name: l[0], Value: l[1]})
		}
		req.TimeSeries = append(req.TimeSeries, s)
	}
	return req
}

// labelsOf are the labels that a job on a cluster pushes: the workload of core/benches, 10 labels and 313 bytes a series.
// Names and constants are literals, as they are in a program; the other values are strings of their own.
func labelsOf(i int) [][2]string {
	families := [...]string{
		"etl_rows_written_total", "etl_rows_dropped_total", "etl_rows_skipped_total", "etl_rows_retried_total", "etl_rows_spilled_total",
	}
	hash := func(n int) uint64 { return (uint64(n) + 1) * 0x9e37_79b9_7f4a_7c15 >> 32 }
	partition := i / len(families)
	return [][2]string{
		{"__name__", families[i%len(families)]},
		{"attempt", fmt.Sprintf("%016x", hash(i)<<16|1)},
		{"cluster", "shanghai-prod-3"},
		{"container", "spark-executor"},
		{"instance", fmt.Sprintf("10.%03d.%03d.17:4040", 100+partition%7, 100+partition/7%100)},
		{"job", "nightly-warehouse-load"},
		{"namespace", "data-platform"},
		{"partition", fmt.Sprintf("%05d", partition)},
		{"pod", fmt.Sprintf("warehouse-load-%08x-exec-%03d", hash(partition/8), partition%8)},
		{"stage", fmt.Sprintf("join-%02d", partition%12)},
	}
}

func must(b *testing.B, err error) {
	if err != nil {
		b.Fatal(err)
	}
}

// BenchmarkWrite prints one table; its own time means nothing.
func BenchmarkWrite(b *testing.B) {
	url := startServer(b)
	ctx := context.Background()
	theirs, ours := castai.NewClient(url), promwrite.NewClient(url)
	theirReq, ourReq := theirRequest(), ourRequest()
	peer := measure(10, func() {
		_, err := theirs.Write(ctx, theirReq)
		must(b, err)
	})
	show := func(name string, c cost) {
		fmt.Printf("%-34s %7.0f ns CPU a sample (%.3f of castai)  held %8.3f ms (%.3f)  %.3f allocations a sample\n", name,
			float64(c.cpu)/series, float64(c.cpu)/float64(peer.cpu), c.held.Seconds()*1e3, float64(c.held)/float64(peer.held), float64(c.mallocs)/series)
	}
	show("castai v0.6.0 Write", peer)
	show("promwrite Write", measure(10, func() {
		_, err := ours.Write(ctx, ourReq)
		must(b, err)
	}))
	for _, receiver := range [][2]string{{"live", url}, {"dead", "http://127.0.0.1:1/api/v1/write"}} {
		client := promwrite.NewClient(receiver[1], promwrite.Async())
		show("promwrite Write, Async, "+receiver[0], measure(1, func() {
			// as callers do: a new time for each call
			now := time.Now()
			for i := range ourReq.TimeSeries {
				ourReq.TimeSeries[i].Sample.Time = now
			}
			_, err := client.Write(ctx, ourReq)
			must(b, err)
		}))
		ended, cancel := context.WithCancel(ctx)
		cancel()
		_, _ = client.Close(ended)
	}
}

// BenchmarkAppend prints one table; its own time means nothing.
func BenchmarkAppend(b *testing.B) {
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "rows_total"})
	writer, err := promwrite.NewWriter("http://127.0.0.1:1/api/v1/write")
	must(b, err)
	rows, err := writer.Series("rows_total")
	must(b, err)
	const many = 1000
	values, times := make([]float64, many), make([]int64, many)
	now := time.Now().UnixMilli()
	for i := range times {
		times[i] = now + int64(i)
	}
	inc := fastest(100_000, counter.Inc)
	show := func(name string, ns float64) { fmt.Printf("%-34s %7.1f ns (%.2f of Counter.Inc)\n", name, ns, ns/inc) }
	show("client_golang Counter.Inc", inc)
	show("a bare cgo call", fastest(100_000, func() { promwrite.TakeLog() }))
	show("promwrite Series.Append", fastest(100_000, func() { must(b, rows.Append(1)) }))
	show("promwrite Series.AppendMany, each", fastest(100, func() { must(b, rows.AppendMany(values, times)) })/many)
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_, _ = writer.Close(ended)
}

// fastest is the time of a call in the fastest of many rounds, because other processes only add to it.
func fastest(calls int, call func()) float64 {
	best := time.Duration(1<<63 - 1)
	for range 5 * rounds {
		begin := time.Now()
		for range calls {
			call()
		}
		best = min(best, time.Since(begin))
	}
	return float64(best) / float64(calls)
}
