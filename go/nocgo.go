//go:build !cgo || !(promwrite_dynamic || (linux && amd64))

package promwrite

// Undefined on purpose: the compiler's message is the only place where a program built without cgo, or for a platform
// without an object, can learn what it lacks.
var _ = promwrite_requires_cgo_and_linux_amd64_or_the_tag_promwrite_dynamic
