//go:build cgo

package promwrite

// Version of this package; the header and the linked core must be of the same.
const Version = "0.1.0"

// mismatch is the error that every call returns when the linked core is of another version, because its functions may
// differ from those that the header declares.
var mismatch = func() error {
	if linked := coreVersion(); linked != Version {
		return invalid("promwrite", linked, "the linked core must be of version "+Version)
	}
	return nil
}()
