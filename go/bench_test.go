package promwrite

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// workload is 2000 series of 10 labels, about 313 bytes a series.
func workload(series, labels int) *WriteRequest {
	req := &WriteRequest{TimeSeries: make([]TimeSeries, series)}
	now := time.Now()
	for i := range req.TimeSeries {
		s := &req.TimeSeries[i]
		s.Labels = []Label{{metricName, "rows_processed_total"}}
		for l := range labels - 1 {
			s.Labels = append(s.Labels, Label{fmt.Sprintf("label_name_%d", l), fmt.Sprintf("value-%d-%04d", l, i%7)})
		}
		s.Sample = Sample{now, float64(i)}
	}
	return req
}

func BenchmarkPack(b *testing.B) {
	req := workload(2000, 10)
	buf := make([]byte, 0, 1<<20)
	perSample(b, 2000, func() { buf = appendRequest(buf[:0], req.TimeSeries) })
}

func BenchmarkEncode(b *testing.B) {
	packed := appendRequest(nil, workload(2000, 10).TimeSeries)
	body := make([]byte, encodeBound(len(packed)))
	perSample(b, 2000, func() {
		if _, err := encode(packed, false, body); err != nil {
			b.Fatal(err)
		}
	})
}

// perSample reports the time of a call by the number of its samples.
func perSample(b *testing.B, samples int, call func()) {
	b.Helper()
	b.ReportAllocs()
	for b.Loop() {
		call()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*samples), "ns/sample")
}

// dead is a URL where nobody listens.
const dead = "http://127.0.0.1:1/api/v1/write"

func benchWriter(b *testing.B) *Writer {
	w, err := NewWriter(dead)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, _ = w.Close(ctx)
	})
	return w
}

func BenchmarkBareCgoCall(b *testing.B) {
	for b.Loop() {
		takeLog()
	}
}

func BenchmarkSeriesAppend(b *testing.B) {
	s, err := benchWriter(b).Series("rows_total", Label{"stage", "load"})
	if err != nil {
		b.Fatal(err)
	}
	perSample(b, 1, func() {
		if err := s.Append(1); err != nil {
			b.Fatal(err)
		}
	})
}

func BenchmarkSeriesAppendMany(b *testing.B) {
	s, err := benchWriter(b).Series("rows_total", Label{"stage", "load"})
	if err != nil {
		b.Fatal(err)
	}
	values, times := make([]float64, 1000), make([]int64, 1000)
	now := time.Now().UnixMilli()
	for i := range times {
		values[i], times[i] = float64(i), now+int64(i)
	}
	perSample(b, 1000, func() {
		if err := s.AppendMany(values, times); err != nil {
			b.Fatal(err)
		}
	})
}

func BenchmarkWriterAppend(b *testing.B) {
	w := benchWriter(b)
	labels := workload(1, 10).TimeSeries[0].Labels[1:]
	perSample(b, 1, func() {
		if err := w.Append("rows_total", 1, labels...); err != nil {
			b.Fatal(err)
		}
	})
}

// The receiver is dead, which the caller must not notice.
func BenchmarkAsyncWrite(b *testing.B) {
	client := NewClient(dead, Async())
	b.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, _ = client.Close(ctx)
	})
	req := workload(2000, 10)
	perSample(b, 2000, func() {
		if _, err := client.Write(context.Background(), req); err != nil {
			b.Fatal(err)
		}
	})
}
