package promwrite

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"
)

// status reads a number of /proc/self/status.
func status(t *testing.T, key string) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	must(t, err)
	for _, line := range bytes.Split(text, []byte{'\n'}) {
		if fields := bytes.Fields(line); len(fields) > 1 && string(fields[0]) == key+":" {
			n, err := strconv.Atoi(string(fields[1]))
			must(t, err)
			return n
		}
	}
	t.Fatalf("no %s in /proc/self/status", key)
	return 0
}

func TestTenThousandFlushesNeedFewThreads(t *testing.T) {
	r := startReceiver(t, object{"hold": true})
	w := newTestWriter(t, r.url+"/api/v1/write")
	must(t, w.Append("a", 1))
	const waiting = 10_000
	ctx, cancel := context.WithCancel(soon(t))
	var started, ended sync.WaitGroup
	started.Add(waiting)
	var slowest time.Duration
	var mutex sync.Mutex
	var cancelled time.Time
	for range waiting {
		ended.Add(1)
		go func() {
			defer ended.Done()
			waits, err := one(w.c.flushStart)()
			started.Done()
			if err == nil {
				if cause := settle(ctx, waits[0]); cause != context.Canceled {
					t.Error(cause)
				}
				mutex.Lock()
				slowest = max(slowest, time.Since(cancelled))
				mutex.Unlock()
				_, err = waits[0].finish()
			}
			if err != nil {
				t.Error(err)
			}
		}()
	}
	started.Wait()
	r.await("held", 1)
	// each has looked many times when one that begins now has waited to the end
	late, stop := context.WithTimeout(soon(t), 10*longestPause)
	defer stop()
	if _, err := w.Flush(late); err != context.DeadlineExceeded {
		t.Error(err)
	}
	threads := status(t, "Threads")
	cancelled = time.Now()
	cancel()
	ended.Wait()
	t.Logf("%d threads; the last of %d saw the cancel after %v", threads, waiting, slowest)
	if threads >= 64 {
		t.Errorf("%d threads", threads)
	}
}

// waitForCleanups collects and waits until the cleanups have run, twice, because they may run side by side.
func waitForCleanups() {
	for range 2 {
		ran := make(chan struct{})
		func() {
			object := new([16]byte)
			runtime.AddCleanup(object, func(ran chan struct{}) { close(ran) }, ran)
		}()
		runtime.GC()
		<-ran
	}
}

func TestADroppedWriterStillSends(t *testing.T) {
	r := startReceiver(t, nil)
	func() {
		w, err := NewWriter(r.url + "/api/v1/write")
		must(t, err)
		must(t, w.Append("a", 1))
	}()
	waitForCleanups()
	r.await("answered", 1)
	if n := len(r.samples()["a"]); n != 1 {
		t.Error(n)
	}
}

// For the race detector: nothing may be freed or closed under a caller.
func TestCloseMeetsAppend(t *testing.T) {
	r := startReceiver(t, nil)
	for range 20 {
		w := newTestWriter(t, r.url+"/api/v1/write")
		s, err := w.Series("a")
		must(t, err)
		var group sync.WaitGroup
		for range 4 {
			group.Add(1)
			go func() {
				defer group.Done()
				for {
					if err := s.Append(1); err != nil {
						if !errors.Is(err, ErrClosed) {
							t.Error(err)
						}
						return
					}
				}
			}()
		}
		for range 2 {
			group.Add(1)
			go func() {
				defer group.Done()
				if _, err := w.Close(soon(t)); err != nil {
					t.Error(err)
				}
			}()
		}
		group.Wait()
		stats, err := w.Stats()
		must(t, err)
		if c := stats.Total(); c.Accepted+c.Adopted != c.Delivered+c.Superseded+c.Pending+c.Spooled+c.Rejected+c.Dropped {
			t.Errorf("%+v", c)
		}
	}
}

// Programs start others while a writer works.
func TestExecStorm(t *testing.T) {
	r := startReceiver(t, nil)
	w := newTestWriter(t, r.url+"/api/v1/write")
	s, err := w.Series("a")
	must(t, err)
	for i := range 50 {
		must(t, s.AppendAt(float64(i), time.Now().UnixMilli()+int64(i)))
		must(t, exec.Command("true").Run())
	}
	if report, err := w.Flush(soon(t)); err != nil || report.Total().Accepted != 50 || report.Total().Delivered+report.Total().Superseded != 50 {
		t.Error(report, err)
	}
}

// child is what the test binary does instead of testing when it is started by TestShutdown.
var child = map[string]func(url string){
	"shutdown": func(url string) {
		defer func() {
			if err := Shutdown(10 * time.Second); err != nil {
				panic(err)
			}
		}()
		appendOne(url)
	},
	"without": func(url string) { appendOne(url) },
	"dead": func(url string) {
		appendOne(url)
		begin := time.Now()
		err := Shutdown(100 * time.Millisecond)
		var loss *LossError
		if took := time.Since(begin); !errors.As(err, &loss) || loss.Report.Total().Dropped != 1 || took > time.Second {
			panic(err)
		}
	},
}

func appendOne(url string) {
	w, err := NewWriter(url + "/api/v1/write")
	if err == nil {
		err = w.Append("a", 1)
	}
	if err != nil {
		panic(err)
	}
}

func TestMain(m *testing.M) {
	if do := child[os.Getenv("PROMWRITE_CHILD")]; do != nil {
		do(os.Getenv("PROMWRITE_URL"))
		return
	}
	os.Exit(m.Run())
}

func TestShutdown(t *testing.T) {
	for name, c := range map[string]struct {
		then object
		want int
	}{
		"shutdown": {nil, 1},
		"without":  {nil, deliveredWithoutShutdown},
		"dead":     {object{"hold": true}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := startReceiver(t, c.then)
			binary, err := os.Executable()
			must(t, err)
			cmd := exec.CommandContext(soon(t), binary)
			cmd.Env = append(os.Environ(), "PROMWRITE_CHILD="+name, "PROMWRITE_URL="+r.url,
				// the race detector would keep the process for a second
				"GORACE=atexit_sleep_ms=0")
			if out, err := cmd.CombinedOutput(); err != nil || len(out) != 0 {
				t.Fatalf("%v: %s", err, out)
			}
			if n := len(r.requests()); n != c.want {
				t.Errorf("%d requests, want %d", n, c.want)
			}
		})
	}
	if err := Shutdown(-time.Second); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
}
