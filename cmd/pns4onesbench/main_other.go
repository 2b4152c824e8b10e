//go:build !linux

package main

import (
	"fmt"
	"os"

	"github.com/pns4ones/pns4ones/config/locale"
)

// The load program holds its sessions with epoll and reads what it measures from
// /proc.
func main() {
	text := locale.New(locale.Detect(os.Getenv, ""))
	fmt.Fprintln(os.Stderr, text.T("bench.linux_only"))
	os.Exit(1)
}
