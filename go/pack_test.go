package promwrite

import (
	"math"
	"strings"
	"testing"
	"time"
)

// Bytes worked out by hand from the message definitions.
func TestPackedBytes(t *testing.T) {
	at := func(ms int64) time.Time { return time.UnixMilli(ms) }
	for name, c := range map[string]struct {
		series TimeSeries
		want   string
	}{
		"plain": {
			TimeSeries{[]Label{{"__name__", "a"}, {"b", "c"}}, Sample{at(300), 1}},
			"\x0a\x25" + "\x0a\x0d\x0a\x08__name__\x12\x01a" + "\x0a\x06\x0a\x01b\x12\x01c" +
				"\x12\x0c\x09\x00\x00\x00\x00\x00\x00\xf0\x3f\x10\xac\x02",
		},
		"zeros and empty strings are left out":  {TimeSeries{[]Label{{"", ""}, {"b", ""}}, Sample{at(0), 0}}, "\x0a\x09\x0a\x00\x0a\x03\x0a\x01b\x12\x00"},
		"-0 is not zero":                        {TimeSeries{nil, Sample{at(0), math.Copysign(0, -1)}}, "\x0a\x0b\x12\x09\x09\x00\x00\x00\x00\x00\x00\x00\x80"},
		"a time before 1970 takes ten bytes":    {TimeSeries{nil, Sample{at(-1), 0}}, "\x0a\x0d\x12\x0b\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"},
		"a time is cut off, not rounded down":   {TimeSeries{nil, Sample{time.Unix(0, -1_500_000), 0}}, "\x0a\x0d\x12\x0b\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"},
		"lengths of more than a byte are right": {TimeSeries{[]Label{{"b", strings.Repeat("x", 300)}}, Sample{at(0), 0}}, "\x0a\xb7\x02\x0a\xb2\x02\x0a\x01b\x12\xac\x02" + strings.Repeat("x", 300) + "\x12\x00"},
	} {
		if got := string(appendRequest(nil, []TimeSeries{c.series})); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestZeroTimeOverflowsAsInThePeer(t *testing.T) {
	if ms := (time.Time{}).UnixNano() / 1e6; ms != -6795364578871 {
		t.Errorf("%d", ms)
	}
}

func TestVarintSize(t *testing.T) {
	for shift := range 64 {
		n := uint64(1) << shift
		want := shift/7 + 1
		if got := varintSize(n); got != want {
			t.Errorf("varintSize(1<<%d) = %d, want %d", shift, got, want)
		}
	}
	if varintSize(0) != 1 {
		t.Error("varintSize(0)")
	}
}

// Labels of every length come out as by the plain way, short or not.
func TestShortLabelsAreTheSame(t *testing.T) {
	text := strings.Repeat("0123456789abcdefghijklmnopqrstuvwxyzü", 8)
	for name := range 140 {
		for value := range 140 {
			labels := []Label{{text[:name], text[3 : 3+value]}, {"b", "c"}}
			want := appendLabels(appendLength(nil, tagFirst, labelsSize(labels)+2), labels)
			want = append(want, tagSecond, 0)
			got := appendRequest([]byte("before"), []TimeSeries{{labels, Sample{time.UnixMilli(0), 0}}})
			if string(got) != "before"+string(want) {
				t.Fatalf("lengths %d and %d: %q, want %q", name, value, got, want)
			}
		}
	}
}

func TestSorted(t *testing.T) {
	labels := func(names ...string) (found []Label) {
		for _, name := range names {
			found = append(found, Label{name, "v"})
		}
		return found
	}
	up, down := labels("App", "__name__", "a", "a", "b"), labels("__name__", "App")
	for _, c := range []struct {
		series [][]Label
		want   bool
	}{
		{nil, true},
		{[][]Label{nil, up, up, labels("__name__")}, true},
		{[][]Label{up, down}, false},
		{[][]Label{down, down}, false},
		{[][]Label{up, up[:2], {up[1], up[0]}}, false},
		{[][]Label{labels("abc"), {{"abc"[:2], ""}, {"abc", ""}, {"abc"[:1], ""}}}, false},
	} {
		var series []TimeSeries
		for _, labels := range c.series {
			series = append(series, TimeSeries{Labels: labels})
		}
		if got := sorted(series); got != c.want {
			t.Errorf("%v: %v", c.series, got)
		}
	}
}
