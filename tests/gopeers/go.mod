module github.com/promwrite/promwrite/tests/gopeers

go 1.26.0

require (
	github.com/prometheus/client_golang v1.25.0 // the peer of push; the newest, so that go/push is compiled with that as well
	github.com/prometheus/client_model v0.6.3 // tests build metric families
	github.com/prometheus/common v0.72.0 // the one that client_golang asks for; v0.73 has a module that cannot be had
	github.com/promwrite/promwrite/go v0.0.0
)

require (
	github.com/castai/promwrite v0.6.0 // the peer of the root package
	github.com/golang/snappy v1.0.0 // decodes what both send
	github.com/prometheus/prometheus v0.304.1 // its prompb decodes what both send; the one that castai asks for
)

require (
	github.com/beorn7/perks v1.0.1 // indirect
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/gogo/protobuf v1.3.2 // indirect
	github.com/grafana/regexp v0.0.0-20240518133315-a468a5bfb3bc // indirect
	github.com/munnerz/goautoneg v0.0.0-20191010083416-a7dc8b61c822 // indirect
	github.com/prometheus/procfs v0.22.0 // indirect
	golang.org/x/sys v0.48.0 // indirect
	golang.org/x/text v0.42.0 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)

replace github.com/promwrite/promwrite/go => ../../go
