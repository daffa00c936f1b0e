// Remote write with the API of github.com/eryajf/promwrite, as its README shows it: only the import is changed. Both
// spellings of BasicAuth's fields are there, and the client without a timeout gets a deadline.
//
//	URL=http://127.0.0.1:8428/api/v1/write USERNAME=… PASSWORD=… go run ./eryajf_remote_write
package main

import (
	"cmp"
	"context"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/promwrite/promwrite/go"
)

func main() {
	defer promwrite.Shutdown(5 * time.Second)

	client := promwrite.NewClient(os.Getenv("URL"), promwrite.HttpClientWithAuth(&http.Client{}, &promwrite.BasicAuth{
		Username: os.Getenv("USERNAME"),
		Password: os.Getenv("PASSWORD"),
	}))
	_, err := client.Write(context.Background(), &promwrite.WriteRequest{
		TimeSeries: []promwrite.TimeSeries{
			{
				Labels: []promwrite.Label{
					{Name: "__name__", Value: "my_metric_name"},
					{Name: "worker", Value: cmp.Or(os.Getenv("WORKER"), "0")},
				},
				Sample: promwrite.Sample{Time: time.Now(), Value: 123},
			},
		},
	}, promwrite.WriteHeaders(map[string]string{"X-Scope-OrgID": "tests"}))
	if err != nil {
		log.Fatal(err)
	}
}
