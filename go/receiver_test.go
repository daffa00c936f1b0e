package promwrite

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// soon is a context that ends long after anything here should have, so that a test fails and does not hang.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// receiver is the scriptable receiver of tests/receiver in a child process.
type receiver struct {
	t   *testing.T
	in  io.WriteCloser
	out *bufio.Reader
	id  json.Number
	url string
}

type object = map[string]any

// startReceiver starts $PROMWRITE_RECEIVER, which answers with the steps in turn and then with the last behaviour.
func startReceiver(t *testing.T, then object, steps ...object) *receiver {
	t.Helper()
	binary := os.Getenv("PROMWRITE_RECEIVER")
	if binary == "" {
		t.Fatal("PROMWRITE_RECEIVER must name the promwrite-receiver binary: run make check, or cargo build -p promwrite-receiver")
	}
	cmd := exec.Command(binary)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("receiver: %v", err)
		}
	})
	r := &receiver{t: t, in: in, out: bufio.NewReader(out)}
	answer := r.ask(object{"op": "start"})
	r.id, r.url = answer["id"].(json.Number), answer["url"].(string)
	r.script(then, steps...)
	return r
}

func (r *receiver) ask(op object) object {
	r.t.Helper()
	if r.id != "" {
		op["id"] = r.id
	}
	line, err := json.Marshal(op)
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := r.in.Write(append(line, '\n')); err != nil {
		r.t.Fatal(err)
	}
	text, err := r.out.ReadBytes('\n')
	if err != nil {
		r.t.Fatal(err)
	}
	answer := object{}
	decoder := json.NewDecoder(bytes.NewReader(text))
	// the bits of a value do not fit into a float64
	decoder.UseNumber()
	if err := decoder.Decode(&answer); err != nil {
		r.t.Fatal(err)
	}
	if answer["ok"] != true {
		r.t.Fatalf("receiver: %s: %s", line, text)
	}
	return answer
}

func (r *receiver) script(then object, steps ...object) {
	r.t.Helper()
	if steps == nil {
		steps = []object{}
	}
	if then == nil {
		then = object{}
	}
	r.ask(object{"op": "script", "script": object{"steps": steps, "default": then}})
}

// await waits until so many requests have come ("requests") or are held ("held").
func (r *receiver) await(what string, n int) {
	r.t.Helper()
	if r.ask(object{"op": "wait", "what": what, "n": n, "timeout_ms": 10 * time.Second.Milliseconds()})["reached"] != true {
		r.t.Fatalf("receiver: %d %s did not come", n, what)
	}
}

type seenSeries struct {
	Labels  [][2]string
	Samples []struct {
		TsMs      int64  `json:"ts_ms"`
		ValueBits uint64 `json:"value_bits"`
	}
}

type seenRequest struct {
	Method  string
	Target  string
	Headers [][2]string
	Body    []byte
	Decoded struct {
		Kind   string
		Series []seenSeries
	}
}

func (q seenRequest) header(name string) (values []string) {
	for _, h := range q.Headers {
		if strings.EqualFold(h[0], name) {
			values = append(values, h[1])
		}
	}
	return values
}

func (r *receiver) requests() []seenRequest {
	r.t.Helper()
	text, err := json.Marshal(r.ask(object{"op": "requests"})["requests"])
	if err != nil {
		r.t.Fatal(err)
	}
	var seen []seenRequest
	if err := json.Unmarshal(text, &seen); err != nil {
		r.t.Fatal(err)
	}
	return seen
}
