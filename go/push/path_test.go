package push

import (
	"encoding/base64"
	"net/http"
	"path"
	"strings"
	"testing"
)

// Paths as a Pushgateway reads them: unescaped once, cut at each slash, base64 behind "@base64", "+" is a plus.
func TestPaths(t *testing.T) {
	for _, c := range []struct {
		name, base, job string
		grouping        map[string]string
		uri             string
	}{
		{"plain", "", "batch", nil, "/metrics/job/batch"},
		{"slash at the end", "/", "batch", nil, "/metrics/job/batch"},
		{"slashes at the end", "///", "batch", nil, "/metrics/job/batch"},
		{"prefix", "/gw/v1/", "batch", nil, "/gw/v1/metrics/job/batch"},
		{"sorted", "", "j", map[string]string{"z": "1", "a": "2", "m": "3"}, "/metrics/job/j/a/2/m/3/z/1"},
		{"slash in job", "", "a/b", nil, "/metrics/job@base64/YS9i"},
		{"space in job", "", "a b", nil, "/metrics/job@base64/YSBi"},
		{"slash in value", "", "j", map[string]string{"path": "/var/tmp"}, "/metrics/job/j/path@base64/L3Zhci90bXA"},
		{"space in value", "", "j", map[string]string{"x": "a b"}, "/metrics/job/j/x@base64/YSBi"},
		{"empty value", "", "j", map[string]string{"x": ""}, "/metrics/job/j/x@base64/="},
		{"dots", "", ".", map[string]string{"x": ".."}, "/metrics/job@base64/Lg/x@base64/Li4"},
		{"escaped value", "", "a%b", map[string]string{"x": "a+b?c#d&é"}, "/metrics/job/a%25b/x/a%2Bb%3Fc%23d%26%C3%A9"},
		{"escaped name", "", "j", map[string]string{"a?b#c%d e": "1"}, "/metrics/job/j/a%3Fb%23c%25d%20e/1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGateway(t, nil)
			p := New(g.URL+c.base, c.job)
			for name, value := range c.grouping {
				p.Grouping(name, value)
			}
			if err := p.Collector(gauge("g", 1)).Push(); err != nil {
				t.Fatal(err)
			}
			if got := g.only(t).uri; got != c.uri {
				t.Errorf("path %s, wanted %s", got, c.uri)
			}
		})
	}
}

// Whatever stands in job and labels, a gateway reads it back.
func FuzzPaths(f *testing.F) {
	for _, value := range []string{"", "a", " ", "/", ".", "..", "+", "%2F", "a@base64", "=", "?#&;:", "é日本", "\xff\x00\n", "//", "x/../y"} {
		f.Add(value, value, value)
	}
	f.Fuzz(func(t *testing.T, job, name, value string) {
		p := New("http://gateway/prefix", job).Grouping(name, value)
		if p.Error() != nil {
			if job != "" && validName(name) {
				t.Fatal(p.Error())
			}
			return
		}
		request, err := http.NewRequest(http.MethodPut, p.groupURL(), nil)
		if err != nil {
			t.Fatal(err)
		}
		read := request.URL.Path
		if request.URL.RawQuery != "" || request.URL.Fragment != "" || path.Clean(read) != read {
			t.Fatalf("%s: a server would see another path", p.groupURL())
		}
		parts := strings.Split(read, "/")
		if len(parts) != 7 || strings.Join(parts[:3], "/") != "/prefix/metrics" {
			t.Fatalf("%s: %q", p.groupURL(), parts)
		}
		for i, want := range [][2]string{{"job", job}, {name, value}} {
			gotName, gotValue := parts[3+2*i], parts[4+2*i]
			if plain, encoded := strings.CutSuffix(gotName, "@base64"); encoded {
				decoded, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(gotValue, "="))
				if err != nil {
					t.Fatal(err)
				}
				gotName, gotValue = plain, string(decoded)
			}
			if gotName != want[0] || gotValue != want[1] {
				t.Errorf("%s: read as %q=%q, wanted %q=%q", p.groupURL(), gotName, gotValue, want[0], want[1])
			}
		}
	})
}
