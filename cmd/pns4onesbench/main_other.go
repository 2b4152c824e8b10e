//go:build !linux

package main

import (
	"fmt"
	"os"
)

// The load program holds its sessions with epoll and reads what it measures from
// /proc.
func main() {
	fmt.Fprintln(os.Stderr, "pns4onesbench runs on Linux only. It can load a daemon on another system from there: "+
		"pns4onesbench carry.")
	os.Exit(1)
}
