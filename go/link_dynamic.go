//go:build cgo && promwrite_dynamic

package promwrite

// The go tool's cache does not notice when pkg-config says something else: an installation that moves needs go build -a.

// #cgo pkg-config: promwrite
import "C"

// LinkInfo says how the program is linked to the Rust core: "static" or "dynamic".
const LinkInfo = "dynamic"
