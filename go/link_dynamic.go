//go:build cgo && promwrite_dynamic

package promwrite

// #cgo pkg-config: promwrite
import "C"

// LinkInfo says how the program is linked to the Rust core: "static" or "dynamic".
const LinkInfo = "dynamic"
