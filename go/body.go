//go:build cgo

package promwrite

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
)

// body is the compressed body of a request. Its memory goes back to the pool when the last reader is closed, because a transport may
// still read after the answer has come.
type body struct {
	memory *buffer
	users  atomic.Int32
}

// newBody compresses a packed request, as encode does. The caller is the first user.
func newBody(packed []byte, sorted bool) (*body, error) {
	b := &body{memory: getBuffer()}
	b.users.Store(1)
	if bound := encodeBound(len(packed)); cap(b.memory.b) < bound {
		b.memory.b = make([]byte, bound)
	}
	b.memory.b = b.memory.b[:cap(b.memory.b)]
	n, err := encode(packed, sorted, b.memory.b)
	if err != nil {
		b.release()
		return nil, err
	}
	b.memory.b = b.memory.b[:n]
	return b, nil
}

func (b *body) release() {
	if b.users.Add(-1) == 0 {
		b.memory.release()
	}
}

// attach makes b the body of a request, also for its repetitions.
func (b *body) attach(req *http.Request) {
	req.ContentLength = int64(len(b.memory.b))
	req.Body, _ = b.reader()
	req.GetBody = b.reader
}

// reader fails when the last user is gone, as it may be for a transport that kept the request.
func (b *body) reader() (io.ReadCloser, error) {
	for {
		n := b.users.Load()
		if n == 0 {
			return nil, errBodyClosed
		}
		if b.users.CompareAndSwap(n, n+1) {
			break
		}
	}
	r := &bodyReader{body: b}
	r.unread.Reset(b.memory.b)
	return r, nil
}

type bodyReader struct {
	// held while reading, because Close may come from another goroutine and gives the memory back
	mutex  sync.Mutex
	body   *body
	unread bytes.Reader
}

var errBodyClosed = errors.New("promwrite: read of a closed request body")

func (r *bodyReader) Read(p []byte) (int, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.body == nil {
		return 0, errBodyClosed
	}
	return r.unread.Read(p)
}

func (r *bodyReader) Close() error {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.body != nil {
		r.body.release()
		r.body = nil
		r.unread.Reset(nil)
	}
	return nil
}
