// A metric topic of Tencent Cloud CLS by remote write, with the API of github.com/eryajf/promwrite and the SecretId and
// SecretKey of an account that may write to the topic (cls:MetricsRemoteWrite).
//
//	CLS_HOST=ap-guangzhou.cls.tencentcs.com CLS_TOPIC=… CLS_SECRET_ID=… CLS_SECRET_KEY=… go run ./tencent_cls
package main

import (
	"cmp"
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/promwrite/promwrite/go"
)

func main() {
	defer promwrite.Shutdown(5 * time.Second)

	url := fmt.Sprintf("https://%s/prometheus/%s/api/v1/write", os.Getenv("CLS_HOST"), os.Getenv("CLS_TOPIC"))
	client := promwrite.NewClient(url, promwrite.HttpClientWithAuth(&http.Client{}, &promwrite.BasicAuth{
		UserName: os.Getenv("CLS_SECRET_ID"),
		PassWord: os.Getenv("CLS_SECRET_KEY"),
	}))
	_, err := client.Write(context.Background(), &promwrite.WriteRequest{
		TimeSeries: []promwrite.TimeSeries{
			{
				Labels: []promwrite.Label{
					{Name: "__name__", Value: "rows_loaded_total"},
					{Name: "stage", Value: "load"},
					{Name: "worker", Value: cmp.Or(os.Getenv("WORKER"), "0")},
				},
				Sample: promwrite.Sample{Time: time.Now(), Value: 1200},
			},
		},
	})
	if err != nil {
		log.Fatal(err)
	}
}
