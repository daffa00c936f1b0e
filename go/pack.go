//go:build cgo

package promwrite

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
	"sync"
	"unsafe"
)

// The packed form of series is the standard message itself, an uncompressed prometheus.WriteRequest of remote write 1.0:
// fields of length 10 = (1, bytes), 18 = (2, bytes), values 9 = (1, 64 bits), 16 = (2, varint).
// As gogo/protobuf does, empty strings and zeros are left out, except -0, whose bits are not zero.
const (
	tagFirst     = 1<<3 | 2 // series of a request, label of a series, name of a label
	tagSecond    = 2<<3 | 2 // sample of a series, value of a label
	tagValue     = 1<<3 | 1
	tagTimestamp = 2 << 3
)

func varintSize(n uint64) int { return (bits.Len64(n|1) + 6) / 7 }

// fieldSize is the size of a string field, which is left out when it is empty.
func fieldSize(s string) int {
	if s == "" {
		return 0
	}
	return 1 + varintSize(uint64(len(s))) + len(s)
}

func appendField(b []byte, tag byte, s string) []byte {
	switch n := len(s); {
	case n == 0:
		return b
	case n < 0x80:
		b = append(b, tag, byte(n))
	default:
		b = binary.AppendUvarint(append(b, tag), uint64(n))
	}
	return append(b, s...)
}

func appendLength(b []byte, tag byte, n int) []byte {
	if n < 0x80 {
		return append(b, tag, byte(n))
	}
	return binary.AppendUvarint(append(b, tag), uint64(n))
}

func labelSize(l *Label) int { return fieldSize(l.Name) + fieldSize(l.Value) }

// labelsSize is the size of labels as fields of a series.
func labelsSize(labels []Label) int {
	size := 0
	for i := range labels {
		n := labelSize(&labels[i])
		size += 1 + varintSize(uint64(n)) + n
	}
	return size
}

func appendLabel(b []byte, name, value string) []byte {
	b = appendLength(b, tagFirst, fieldSize(name)+fieldSize(value))
	return appendField(appendField(b, tagFirst, name), tagSecond, value)
}

func appendLabels(b []byte, labels []Label) []byte {
	for i := range labels {
		b = appendLabel(b, labels[i].Name, labels[i].Value)
	}
	return b
}

// appendSample adds a sample as a field of a series.
func appendSample(b []byte, value float64, timestampMs int64) []byte {
	size := sampleSize(value, timestampMs)
	b = append(b, tagSecond, byte(size))
	if v := math.Float64bits(value); v != 0 {
		b = binary.LittleEndian.AppendUint64(append(b, tagValue), v)
	}
	if timestampMs != 0 {
		b = binary.AppendUvarint(append(b, tagTimestamp), uint64(timestampMs))
	}
	return b
}

// sampleSize is the size of a sample without tag and length.
func sampleSize(value float64, timestampMs int64) int {
	size := 0
	if math.Float64bits(value) != 0 {
		size = 9
	}
	if timestampMs != 0 {
		size += 1 + varintSize(uint64(timestampMs))
	}
	return size
}

// shortLabels is labelsSize for labels that are all short, with lengths of one byte: appendShortLabels writes those at twice
// the speed, and they are nearly all there are.
func shortLabels(labels []Label) (size int, ok bool) {
	for i := range labels {
		name, value := len(labels[i].Name), len(labels[i].Value)
		if name == 0 || value == 0 || name+value+4 >= 0x80 {
			return 0, false
		}
		size += name + value + 6
	}
	return size, true
}

func appendShortLabels(b []byte, labels []Label, size int) []byte {
	start := len(b)
	b = b[:start+size]
	to := unsafe.Pointer(unsafe.SliceData(b[start:]))
	for i := range labels {
		name, value := labels[i].Name, labels[i].Value
		// both tags and lengths of the label and of its name
		*(*[4]byte)(to) = [4]byte{tagFirst, byte(len(name) + len(value) + 4), tagFirst, byte(len(name))}
		to = copyShort(unsafe.Add(to, 4), name)
		*(*[2]byte)(to) = [2]byte{tagSecond, byte(len(value))}
		to = copyShort(unsafe.Add(to, 2), value)
	}
	return b
}

// copyShort copies s, in words that overlap where it is short, because calling memmove costs more than moving them; it returns the
// place behind.
func copyShort(to unsafe.Pointer, s string) unsafe.Pointer {
	n := len(s)
	from := unsafe.Pointer(unsafe.StringData(s))
	switch {
	case n > 32:
		copy(unsafe.Slice((*byte)(to), n), s)
	case n >= 16:
		*(*[16]byte)(to) = *(*[16]byte)(from)
		*(*[16]byte)(unsafe.Add(to, n-16)) = *(*[16]byte)(unsafe.Add(from, n-16))
	case n >= 8:
		*(*[8]byte)(to) = *(*[8]byte)(from)
		*(*[8]byte)(unsafe.Add(to, n-8)) = *(*[8]byte)(unsafe.Add(from, n-8))
	case n >= 4:
		*(*[4]byte)(to) = *(*[4]byte)(from)
		*(*[4]byte)(unsafe.Add(to, n-4)) = *(*[4]byte)(unsafe.Add(from, n-4))
	default:
		// of one, two or three bytes
		*(*byte)(to) = *(*byte)(from)
		*(*byte)(unsafe.Add(to, n/2)) = *(*byte)(unsafe.Add(from, n/2))
		*(*byte)(unsafe.Add(to, n-1)) = *(*byte)(unsafe.Add(from, n-1))
	}
	return unsafe.Add(to, n)
}

// appendRequest adds series as the fields of a request.
func appendRequest(b []byte, series []TimeSeries) []byte {
	for i := range series {
		s := &series[i]
		// as castai/promwrite has it, the zero time included
		timestampMs := s.Sample.Time.UnixNano() / 1e6
		size, short := shortLabels(s.Labels)
		if !short {
			size = labelsSize(s.Labels)
		}
		whole := size + 2 + sampleSize(s.Sample.Value, timestampMs)
		b = slices.Grow(b, whole+1+binary.MaxVarintLen64)
		b = appendLength(b, tagFirst, whole)
		if short {
			b = appendShortLabels(b, s.Labels, size)
		} else {
			b = appendLabels(b, s.Labels)
		}
		b = appendSample(b, s.Sample.Value, timestampMs)
	}
	return b
}

// sorted says whether the labels of each series stand in the order of their names. A series whose names are the very same strings
// as those of the series before is not compared: in a program names are mostly literals.
func sorted(series []TimeSeries) bool {
	var before []Label
	for i := range series {
		labels := series[i].Labels
		if !sameNames(labels, before) && !namesSorted(labels) {
			return false
		}
		before = labels
	}
	return true
}

func sameNames(a, b []Label) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if len(a[i].Name) != len(b[i].Name) || unsafe.StringData(a[i].Name) != unsafe.StringData(b[i].Name) {
			return false
		}
	}
	return true
}

func namesSorted(labels []Label) bool {
	for i := 1; i < len(labels); i++ {
		if labels[i].Name < labels[i-1].Name {
			return false
		}
	}
	return true
}

// buffer is memory for packed requests and bodies that is used again.
type buffer struct{ b []byte }

// keep is the largest buffer that goes back to the pool, because one huge request must not cost its memory for ever.
const keep = 8 << 20

var buffers = sync.Pool{New: func() any { return new(buffer) }}

func getBuffer() *buffer {
	b := buffers.Get().(*buffer)
	b.b = b.b[:0]
	return b
}

func (b *buffer) release() {
	if cap(b.b) <= keep {
		buffers.Put(b)
	}
}
