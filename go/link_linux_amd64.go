//go:build cgo && linux && amd64 && !promwrite_dynamic

package promwrite

// -static-libgcc, because minimal containers have no libgcc_s.so.1.

// #cgo LDFLAGS: -static-libgcc -lm -ldl -lpthread
import "C"

import _ "github.com/promwrite/promwrite/go/internal/static" // the object to link

// LinkInfo says how the program is linked to the Rust core: "static" or "dynamic".
const LinkInfo = "static"
