// The agent of the contract tests in Go: a command line in, an answer out. contract.py has the protocol.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math"
	"net/url"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/promwrite/promwrite/go"
	"github.com/promwrite/promwrite/go/push"
)

// sender is a writer, or the doer that a pusher hands its requests to.
type sender interface {
	Flush(context.Context) (promwrite.Report, error)
	Close(context.Context) (promwrite.Report, error)
	Stats() (promwrite.Stats, error)
}

// group is what a pusher is made of anew for each page.
type group struct {
	doer         *promwrite.Doer
	gateway, job string
	grouping     []promwrite.Label
}

var (
	writers = map[string]*promwrite.Writer{}
	series  = map[string]*promwrite.Series{}
	groups  = map[string]group{}
	senders = map[string]sender{}
)

func main() {
	lines := bufio.NewReader(os.Stdin)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		for i, field := range fields {
			fields[i] = must(url.PathUnescape(field))
		}
		if fields[0] == "exit" {
			// no end of a Go program runs a hook
			os.Exit(int(number(fields[2])))
		}
		out, err := obey(fields[0], fields[1:])
		var refused *promwrite.Error
		switch {
		case err == nil:
			answer("ok", out)
		case errors.As(err, &refused):
			retryable := "0"
			if refused.Retryable() {
				retryable = "1"
			}
			answer("error", []string{strconv.Itoa(int(refused.Code)), retryable, refused.Message})
		default:
			panic(err)
		}
	}
}

func answer(kind string, fields []string) {
	line := kind
	for _, field := range fields {
		line += "\t" + url.PathEscape(field)
	}
	fmt.Println(line)
}

func obey(verb string, a []string) ([]string, error) {
	switch verb {
	case "writer":
		made, err := promwrite.NewWriter(a[1], options(a[2:])...)
		if err != nil {
			return nil, err
		}
		writers[a[0]], senders[a[0]] = made, made
		return nil, nil
	case "series":
		made, err := writers[a[1]].Series(a[2], labels(a[3:])...)
		if err != nil {
			return nil, err
		}
		series[a[0]] = made
		return nil, nil
	case "append":
		if a[2] == "now" {
			return nil, series[a[0]].Append(value(a[1]))
		}
		return nil, series[a[0]].AppendAt(value(a[1]), number(a[2]))
	case "append_many":
		var values []float64
		var timesMs []int64
		for i := 1; i < len(a); i += 2 {
			values, timesMs = append(values, value(a[i])), append(timesMs, number(a[i+1]))
		}
		return nil, series[a[0]].AppendMany(values, timesMs)
	case "sample":
		if a[3] == "now" {
			return nil, writers[a[0]].Append(a[1], value(a[2]), labels(a[4:])...)
		}
		return nil, writers[a[0]].AppendAt(a[1], value(a[2]), number(a[3]), labels(a[4:])...)
	case "push_text":
		taken, err := writers[a[0]].PushText([]byte(a[1]), a[2], labels(a[3:])...)
		return []string{strconv.Itoa(taken)}, err
	case "pusher":
		end := 4 + 2*number(a[3])
		doer, err := promwrite.NewDoer(options(a[end:])...)
		if err != nil {
			return nil, err
		}
		groups[a[0]], senders[a[0]] = group{doer, a[1], a[2], labels(a[4:end])}, doer
		return nil, nil
	case "drop":
		delete(writers, a[0])
		delete(senders, a[0])
		runtime.GC()
		return nil, nil
	case "put":
		return nil, groups[a[0]].pusher(a[2]).Gatherer(page(a[1])).Push()
	case "post":
		return nil, groups[a[0]].pusher(a[2]).Gatherer(page(a[1])).Add()
	case "delete":
		return nil, groups[a[0]].pusher("").Delete()
	case "flush":
		if a[0] == "*" {
			return settle(promwrite.Flush, a[1])
		}
		return settle(senders[a[0]].Flush, a[1])
	case "close":
		return settle(senders[a[0]].Close, a[1])
	case "shutdown":
		var loss *promwrite.LossError
		err := promwrite.Shutdown(time.Duration(number(a[0])) * time.Millisecond)
		if errors.As(err, &loss) {
			return reports(loss.Report), nil
		}
		return nil, err
	case "stats":
		stats, err := senders[a[0]].Stats()
		var out []string
		for _, one := range stats.Senders {
			out = append(out, counters(one.SenderReport)...)
			out = append(out, "requests.succeeded", count(one.RequestsSucceeded), "requests.failed", count(one.RequestsFailed))
		}
		return out, err
	}
	panic("not understood: " + verb)
}

// settle calls a flush or close. An error about what was lost, or that time ran out, tells what the report does.
func settle(call func(context.Context) (promwrite.Report, error), timeoutMs string) ([]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(number(timeoutMs))*time.Millisecond)
	defer cancel()
	report, err := call(ctx)
	var loss *promwrite.LossError
	switch {
	case errors.As(err, &loss) || errors.Is(err, context.DeadlineExceeded):
		if report.Complete() {
			panic(fmt.Sprintf("%v, but the report is complete", err))
		}
	case err != nil:
		return nil, err
	case !report.Complete():
		panic("no error, but the report is not complete")
	}
	return reports(report), nil
}

func reports(report promwrite.Report) []string {
	var out []string
	for _, one := range report.Senders {
		out = append(out, counters(one)...)
	}
	return out
}

func counters(one promwrite.SenderReport) []string {
	out := []string{
		"kind", one.Kind, "accepted", count(one.Accepted), "adopted", count(one.Adopted), "delivered", count(one.Delivered),
		"superseded", count(one.Superseded), "pending", count(one.Pending), "spooled", count(one.Spooled),
		"rejected", count(one.Rejected), "dropped", count(one.Dropped),
	}
	for reason, n := range one.Reasons {
		out = append(out, reason, count(n))
	}
	for _, failure := range one.Failures {
		out = append(out, "failure", failure)
	}
	return out
}

func (g group) pusher(contentType string) *push.Pusher {
	pusher := push.New(g.gateway, g.job).Client(g.doer).Format(expfmt.Format(contentType))
	for _, label := range g.grouping {
		pusher.Grouping(label.Name, label.Value)
	}
	return pusher
}

// page is the gatherer that a page stands for.
func page(text string) prometheus.Gatherer {
	return prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		var parser expfmt.TextParser
		families, err := parser.TextToMetricFamilies(strings.NewReader(text))
		var out []*dto.MetricFamily
		for _, family := range families {
			out = append(out, family)
		}
		return out, err
	})
}

func labels(pairs []string) []promwrite.Label {
	var out []promwrite.Label
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, promwrite.Label{Name: pairs[i], Value: pairs[i+1]})
	}
	return out
}

func options(pairs []string) []promwrite.Option {
	var out []promwrite.Option
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, promwrite.WithOption(pairs[i], pairs[i+1]))
	}
	return out
}

func count(n uint64) string { return strconv.FormatUint(n, 10) }

func number(field string) int64 { return must(strconv.ParseInt(field, 10, 64)) }

func value(field string) float64 {
	return math.Float64frombits(must(strconv.ParseUint(field, 16, 64)))
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
