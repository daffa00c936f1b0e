// Package push sends metrics to a Prometheus Pushgateway. It has the API of
// github.com/prometheus/client_golang/prometheus/push, so that a program changes its import and nothing else:
//
//	err := push.New("localhost:9091", "batch").
//		Grouping("instance", "10.0.0.1").
//		Collector(duration).
//		Push()
//
// Such a call makes one request through net/http and waits for the answer. With [Pusher.Async] it does not wait: the
// metrics are gathered and encoded, the request is queued, and the call returns; it is sent in the background and
// tried again while the gateway is away. Of the states of a group that wait, the newest wins.
//
// A Go program runs no hook when main returns: a program with Async has
//
//	defer promwrite.Shutdown(5 * time.Second)
//
// first in main, or closes the Pusher.
//
// # Differences
//
// Bodies, error texts and the rule that the first error of a Pusher stays are client_golang's. Different are:
//
//   - Every 2xx status is a success, because gateways beside the original one answer with others than 200 and 202. The
//     texts for the rest are the same.
//   - Without [Pusher.Client] the client has a timeout of 30 s, because the peer's has none and a hung gateway holds the
//     job for ever; and it follows no redirect, because net/http makes a GET without a body of a redirected push, whose
//     success is reported. A client given to [Pusher.Client] is used as it is; nil means the default one.
//   - [Pusher.DeleteContext] is added.
//   - [Pusher.Header] copies the headers; the peer writes Authorization and Content-Type into the caller's map, and a
//     later Delete has the Content-Type of the push.
//   - A job or grouping value with a space is sent as base64, because a gateway takes the peer's "+" for a plus; so are
//     "." and "..", which servers clean out of a path.
//   - Grouping labels are sorted by name, because a group should have one URL; the peer has the order of a map.
//   - The name of a grouping label is escaped in the path, where the peer puts it raw; a name with a slash, with the
//     ending "@base64", "." and ".." are invalid, because they would name another group.
//   - A base URL with a query or a fragment is an error of [New], because the group's path would stand behind it. All
//     slashes at its end are taken off, because a double one is answered with a redirect.
//   - Of an error's body 64 KiB are read.
//   - A password in the base URL is shown as "xxxxx" in errors.
//   - A client that returns neither a response nor an error, or a response without a body, is no panic.
package push
