//go:build cgo

package promwrite

import "fmt"

// Counters count items, which are samples for a writer and pushes for a gateway, so that at every instant
//
//	Accepted + Adopted = Delivered + Superseded + Pending + Spooled + Rejected + Dropped
//
// in [Stats]; in a [Report] what was pending before is missing on the left.
type Counters struct {
	// Accepted were taken from callers.
	Accepted uint64
	// Adopted is what was taken out of a spool and settled, put there by this process or by another.
	Adopted uint64
	// Delivered were answered with 2xx.
	Delivered uint64
	// Superseded were made needless by a newer value.
	Superseded uint64
	// Pending wait, are in flight or wait for a retry.
	Pending uint64
	// Spooled were left on disk for a later process.
	Spooled uint64
	// Rejected were refused for good.
	Rejected uint64
	// Dropped were given up.
	Dropped uint64
}

func (c *Counters) add(other Counters) {
	c.Accepted += other.Accepted
	c.Adopted += other.Adopted
	c.Delivered += other.Delivered
	c.Superseded += other.Superseded
	c.Pending += other.Pending
	c.Spooled += other.Spooled
	c.Rejected += other.Rejected
	c.Dropped += other.Dropped
}

// Report tells what became of the items since the last report of the same object.
type Report struct {
	// Senders has an entry for each queue: one for a writer, one for each gateway of a Doer.
	Senders []SenderReport
}

// SenderReport is the part of one sender.
type SenderReport struct {
	// URL is the endpoint, without user, password and query.
	URL string
	// Kind of the items: "samples" or "pushes".
	Kind string
	Counters
	// Reasons splits Rejected and Dropped: "rejected.bad_request", "dropped.queue_full" and so on, zeros left out.
	Reasons map[string]uint64
	// Failures are recent ones, oldest first, for a person to read.
	Failures []string
}

// Complete reports whether nothing is pending, rejected or dropped.
func (r Report) Complete() bool {
	t := r.Total()
	return t.Pending == 0 && t.Rejected == 0 && t.Dropped == 0
}

// Total adds up all senders.
func (r Report) Total() Counters {
	var total Counters
	for _, sender := range r.Senders {
		total.add(sender.Counters)
	}
	return total
}

// String is one line for a log.
func (r Report) String() string {
	t := r.Total()
	return fmt.Sprintf("%d accepted, %d delivered, %d superseded, %d pending, %d rejected, %d dropped",
		t.Accepted, t.Delivered, t.Superseded, t.Pending, t.Rejected, t.Dropped)
}

// Stats count from the start of each sender.
type Stats struct {
	// Senders has an entry for each queue.
	Senders []SenderStats
}

// SenderStats is the part of one sender.
type SenderStats struct {
	SenderReport
	// PendingBytes is the memory that pending items take, the registry of series included.
	PendingBytes uint64
	// OldestPendingAgeMs is the age of the oldest pending item in milliseconds, 0 without one.
	OldestPendingAgeMs uint64
	// RequestsSucceeded were answered with 2xx.
	RequestsSucceeded uint64
	// RequestsFailed were answered otherwise or not at all.
	RequestsFailed uint64
	// ItemsRetried counts items sent again, each time.
	ItemsRetried uint64
	// BytesSent are compressed bytes of bodies answered with 2xx.
	BytesSent uint64
	// WorkerStartFailed counts failures to start the sending thread.
	WorkerStartFailed uint64
	// Failed means that nothing is sent any more, because the sending thread failed thrice in a minute.
	Failed bool
}

// Total adds up all senders.
func (s Stats) Total() Counters {
	var total Counters
	for _, sender := range s.Senders {
		total.add(sender.Counters)
	}
	return total
}

// set takes over a counter of the core by its name there; one that this package does not know yet is kept with the reasons.
func (s *SenderStats) set(name string, value uint64) {
	switch name {
	case "accepted":
		s.Accepted = value
	case "adopted":
		s.Adopted = value
	case "delivered":
		s.Delivered = value
	case "superseded":
		s.Superseded = value
	case "pending":
		s.Pending = value
	case "spooled":
		s.Spooled = value
	case "rejected":
		s.Rejected = value
	case "dropped":
		s.Dropped = value
	case "pending_bytes":
		s.PendingBytes = value
	case "oldest_pending_age_ms":
		s.OldestPendingAgeMs = value
	case "requests.succeeded":
		s.RequestsSucceeded = value
	case "requests.failed":
		s.RequestsFailed = value
	case "requests.retried_items":
		s.ItemsRetried = value
	case "requests.bytes":
		s.BytesSent = value
	case "worker_start_failed":
		s.WorkerStartFailed = value
	case "failed":
		s.Failed = value != 0
	default:
		if value == 0 {
			return
		}
		if s.Reasons == nil {
			s.Reasons = make(map[string]uint64)
		}
		s.Reasons[name] = value
	}
}
