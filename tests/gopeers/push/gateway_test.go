package push_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	peer "github.com/prometheus/client_golang/prometheus/push"
	"github.com/prometheus/common/expfmt"

	ours "github.com/promwrite/promwrite/go/push"
)

// gateways are the Pushgateways that `make servers` has built.
func gateways(t testing.TB) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(os.Getenv("PROMWRITE_SERVERS"), "pushgateway-*", "pushgateway"))
	if err != nil || len(found) == 0 {
		t.Fatalf("no Pushgateway below PROMWRITE_SERVERS (%q): `make servers` builds it", os.Getenv("PROMWRITE_SERVERS"))
	}
	return found
}

var listening = regexp.MustCompile(`msg="Listening on" address=(\S+)`)

// startGateway returns the URL of an empty Pushgateway.
func startGateway(t testing.TB, binary string) string {
	t.Helper()
	// the empty file name is needed: Debian's build has a default that all of the machine would share
	command := exec.Command(binary, "--web.listen-address=127.0.0.1:0", "--persistence.file=")
	log, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait() // says that it was killed
	})
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		if found := listening.FindStringSubmatch(lines.Text()); found != nil {
			go func() { _, _ = io.Copy(io.Discard, log) }()
			return "http://" + found[1]
		}
	}
	t.Fatalf("%s did not start", binary)
	return ""
}

// held is what a gateway holds, group by group, without the times of the pushes.
func held(t *testing.T, gateway string) map[string]string {
	t.Helper()
	// a DELETE is answered before it is done; this push is done behind it, before it is answered
	if err := peer.New(gateway, "fence").Push(); err != nil {
		t.Fatal(err)
	}
	response, err := http.Get(gateway + "/api/v1/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct{ Data []map[string]any }
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	groups := map[string]string{}
	for _, group := range answer.Data {
		for name, family := range group {
			if family, ok := family.(map[string]any); ok {
				delete(family, "time_stamp")
			}
			if strings.HasPrefix(name, "push_") && strings.HasSuffix(name, "_seconds") {
				delete(group, name)
			}
		}
		text, err := json.Marshal(group)
		if err != nil {
			t.Fatal(err)
		}
		key, err := json.Marshal(group["labels"])
		if err != nil {
			t.Fatal(err)
		}
		groups[string(key)] = string(text)
	}
	return groups
}

func compare(t *testing.T, what string, got, wanted map[string]string) {
	t.Helper()
	for key := range wanted {
		if got[key] != wanted[key] {
			t.Errorf("%s: %s\nwanted: %s", what, got[key], wanted[key])
		}
	}
	if len(got) != len(wanted) {
		t.Errorf("%s: %d groups, wanted %d", what, len(got), len(wanted))
	}
}

func TestRealGatewaysHoldTheSame(t *testing.T) {
	for _, binary := range gateways(t) {
		t.Run(filepath.Base(filepath.Dir(binary)), func(t *testing.T) {
			theirs, own, queued := startGateway(t, binary), startGateway(t, binary), startGateway(t, binary)
			for name, s := range equal() {
				t.Run(name, func(t *testing.T) {
					for _, calls := range [][]string{s.calls, {"push"}} {
						s.calls = calls
						wanted := ofPeer(theirs, s)
						if got := ofOurs(own, s); !reflect.DeepEqual(got, wanted) {
							t.Errorf("errors %q, wanted %q", got, wanted)
						}
						if got := ofAsync(t, queued, s); !reflect.DeepEqual(got, wanted) {
							t.Errorf("errors %q, wanted %q", got, wanted)
						}
						state := held(t, theirs)
						compare(t, "held", held(t, own), state)
						compare(t, "held after Async", held(t, queued), state)
					}
				})
			}
			if groups := held(t, own); len(groups) < 6 {
				t.Errorf("too little was pushed: %v", groups)
			}
		})
	}
}

// BenchmarkHeld is how long a push of 100 series holds its caller: the peer's with a live gateway on this machine, and
// Async with a dead one, which has to gather and encode as well.
func BenchmarkHeld(b *testing.B) {
	binaries := gateways(b)
	live := startGateway(b, binaries[0])
	vec := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "g", Help: "A gauge."}, []string{"stage"})
	for i := range 100 {
		vec.WithLabelValues(fmt.Sprint("stage-", i)).Set(float64(i))
	}
	text := expfmt.NewFormat(expfmt.TypeTextPlain)
	theirs := peer.New(live, "j").Format(text).Collector(vec)
	dead := ours.New("127.0.0.1:1", "j").Format(text).Collector(vec).Async()
	registry := prometheus.NewRegistry()
	registry.MustRegister(vec)
	var spent [3]time.Duration
	for b.Loop() {
		for i, work := range []func() error{theirs.Push, dead.Push, func() error { return encode(registry, text) }} {
			start := time.Now()
			if err := work(); err != nil {
				b.Fatal(err)
			}
			spent[i] += time.Since(start)
		}
	}
	b.ReportMetric(0, "ns/op")
	for i, name := range []string{"peer-live", "async-dead", "gather+encode"} {
		b.ReportMetric(float64(spent[i].Microseconds())/float64(b.N), name+"-µs")
	}
	b.ReportMetric(float64(spent[1])/float64(spent[0]), "ratio")
}

// encode is the part that every push has.
func encode(g prometheus.Gatherer, format expfmt.Format) error {
	families, err := prometheus.Gatherers{g}.Gather()
	if err != nil {
		return err
	}
	encoder := expfmt.NewEncoder(io.Discard, format)
	for _, family := range families {
		if err := encoder.Encode(family); err != nil {
			return err
		}
	}
	return nil
}
