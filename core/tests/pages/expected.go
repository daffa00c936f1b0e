//go:build ignore

// What Prometheus's own readers make of a page, for the .expected files beside it:
//
//	go mod init expected && go get github.com/prometheus/prometheus@v0.315.0
//	go run expected.go odd.txt > odd.txt.expected
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
)

var escape = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

func write(w *bytes.Buffer, set labels.Labels, value float64, timestamp *int64) {
	w.WriteByte('{')
	separator := ""
	set.Range(func(l labels.Label) {
		fmt.Fprintf(w, `%s"%s"="%s"`, separator, escape.Replace(l.Name), escape.Replace(l.Value))
		separator = ","
	})
	fmt.Fprintf(w, "} %016x ", math.Float64bits(value))
	if timestamp == nil {
		w.WriteByte('-')
	} else {
		fmt.Fprint(w, *timestamp)
	}
}

func dump(page []byte, openMetrics bool) (string, error) {
	symbols := labels.NewSymbolTable()
	var p textparse.Parser
	if openMetrics {
		p = textparse.NewOpenMetricsParser(page, symbols, textparse.WithOMParserSTSeriesSkipped())
	} else {
		p = textparse.NewPromParser(page, symbols, false)
	}
	var w bytes.Buffer
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return w.String(), nil
		}
		if err != nil {
			return "", err
		}
		switch entry {
		case textparse.EntryHelp:
			name, help := p.Help()
			fmt.Fprintf(&w, "HELP %s %s\n", name, escape.Replace(string(help)))
		case textparse.EntryType:
			name, kind := p.Type()
			fmt.Fprintf(&w, "TYPE %s %s\n", name, kind)
		case textparse.EntryUnit:
			name, unit := p.Unit()
			fmt.Fprintf(&w, "UNIT %s %s\n", name, unit)
		case textparse.EntrySeries:
			_, timestamp, value := p.Series()
			var set labels.Labels
			p.Labels(&set)
			if name, twice := set.HasDuplicateLabelNames(); twice {
				return "", fmt.Errorf("duplicate label name %q", name)
			}
			write(&w, set, value, timestamp)
			var e exemplar.Exemplar
			if p.Exemplar(&e) {
				w.WriteString(" # ")
				if e.HasTs {
					write(&w, e.Labels, e.Value, &e.Ts)
				} else {
					write(&w, e.Labels, e.Value, nil)
				}
			}
			if start := p.StartTimestamp(); start != 0 {
				fmt.Fprintf(&w, " start %d", start)
			}
			w.WriteByte('\n')
		}
	}
}

func main() {
	page, err := os.ReadFile(os.Args[1])
	if err != nil {
		panic(err)
	}
	text, err := dump(bytes.Clone(page), strings.HasSuffix(os.Args[1], ".om"))
	if err != nil {
		panic(err)
	}
	fmt.Print(text)
}
