package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// limitSpin is this program as something that keeps a CPU from falling asleep: a
// virtual one takes up to a millisecond to wake, which nobody measured can help.
const limitSpin = "spin"

// runSpin runs on a CPU whenever nothing else wants to.
func runSpin(cpu int) error {
	runtime.LockOSThread()
	if err := unix.SchedSetaffinity(0, only(cpu)); err != nil {
		return fmt.Errorf("going to CPU %d: %w", cpu, err)
	}
	idle := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE}
	if err := unix.SchedSetAttr(0, &idle, 0); err != nil {
		return fmt.Errorf("letting everything else go first: %w", err)
	}
	for turn := 0; ; turn++ {
	}
}

// keepAwake starts one for each CPU that is measured on, until the program ends.
func (b *bench) keepAwake() error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("starting %s: %w", limitSpin, err)
	}
	for cpu := range len(b.placement.all) * 64 {
		if !b.placement.uses(cpu) {
			continue
		}
		s, err := b.startProcess(limitSpin, exec.Command(self, limitCommand, limitSpin, strconv.Itoa(cpu), "0"))
		if err != nil {
			return err
		}
		s.ended = nil
		b.spinning = append(b.spinning, s)
		b.cleanup = append(b.cleanup, s.stop)
	}
	return nil
}
