// Package static links the Rust core: the go tool adds promwrite_linux_amd64.syso, which lies beside this file once
// `make build` has made it.
//
// It is a package of its own, because a .syso carries no build tag and would be linked with -tags promwrite_dynamic too.
package static
