//go:build grown

package main

import (
	"time"

	"github.com/promwrite/promwrite/go"
)

func init() {
	too = func(url string) error {
		writer, err := promwrite.NewWriter(url, promwrite.WithInstance(""))
		if err != nil {
			return err
		}
		if err := writer.AppendAt("grown", 7, 1700000000000); err != nil {
			return err
		}
		return promwrite.Shutdown(10 * time.Second)
	}
}
