module github.com/promwrite/promwrite/tests/contract/agents/go

go 1.24

require (
	github.com/prometheus/client_golang v1.20.0
	github.com/prometheus/client_model v0.6.1
	github.com/prometheus/common v0.56.0
	github.com/promwrite/promwrite/go v0.0.0
)

replace github.com/promwrite/promwrite/go => ../../../../go
