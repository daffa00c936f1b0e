module github.com/promwrite/promwrite/tests/gobuild

go 1.24

require (
	github.com/prometheus/client_golang v1.20.0 // the metrics that push and promgather send
	github.com/prometheus/common v0.56.0 // the format of what push sends
	github.com/promwrite/promwrite/go v0.0.0
)

require (
	github.com/beorn7/perks v1.0.1 // indirect
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/munnerz/goautoneg v0.0.0-20191010083416-a7dc8b61c822 // indirect
	github.com/prometheus/client_model v0.6.1 // indirect
	github.com/prometheus/procfs v0.15.1 // indirect
	golang.org/x/sys v0.22.0 // indirect
	google.golang.org/protobuf v1.34.2 // indirect
)

replace github.com/promwrite/promwrite/go => ../../go
