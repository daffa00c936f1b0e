// Command second has a second Rust library beside promwrite, tests/capi/second_rust. Each panics and must catch it, the one
// named before the other; then promwrite must still deliver:
//
//	second second|promwrite URL
//
// The test adds the file that names the library to link.
package main

/*
#include <stdint.h>
#include "clock.h"
uint32_t second_catches(uint32_t count);
*/
import "C"

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/promwrite/promwrite/go"
)

func main() {
	writer, err := promwrite.NewWriter(os.Args[2], promwrite.WithInstance(""))
	check(err)
	check(writer.AppendAt("before", 1, 1700000000000))
	if os.Args[1] == "second" {
		secondPanics()
		promwritePanics(writer)
	} else {
		promwritePanics(writer)
		secondPanics()
	}
	check(writer.AppendAt("after", 2, 1700000000000))
	check(promwrite.Shutdown(10 * time.Second))
}

func secondPanics() {
	fmt.Println("second caught", C.second_catches(3))
}

func promwritePanics(writer *promwrite.Writer) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	C.clock_fails(1)
	_, err := writer.Flush(context.Background())
	C.clock_fails(0)
	fmt.Println("promwrite caught", errors.Is(err, promwrite.ErrInternal), err)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
