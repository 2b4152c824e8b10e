package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// placement says on which CPUs what runs, so that neither side takes the time of
// the other.
type placement struct {
	pinned         bool
	server, client int // numbers of CPUs
	all            unix.CPUSet
}

// place takes the first CPU for the servers and the second for the clients. It
// pins nothing if asked not to, or if there is only one.
func place(want bool) (placement, error) {
	var p placement
	if err := unix.SchedGetaffinity(0, &p.all); err != nil {
		return p, fmt.Errorf("asking which CPUs there are: %w", err)
	}
	if !want || p.all.Count() < 2 {
		return p, nil
	}
	p.pinned = true
	p.server = nextCPU(&p.all, 0)
	p.client = nextCPU(&p.all, p.server+1)
	return p, nil
}

func nextCPU(set *unix.CPUSet, from int) int {
	for !set.IsSet(from) {
		from++
	}
	return from
}

func only(cpu int) *unix.CPUSet {
	var set unix.CPUSet
	set.Set(cpu)
	return &set
}

// pinSelf moves every thread of this process to the clients' CPU; threads that
// are made later inherit it.
func (p *placement) pinSelf() error {
	if !p.pinned {
		return nil
	}
	if err := eachThread(func(id int) error { return unix.SchedSetaffinity(id, only(p.client)) }); err != nil {
		return fmt.Errorf("pinning the clients to CPU %d: %w", p.client, err)
	}
	runtime.GOMAXPROCS(1) // as it would be by default had the process begun there
	return nil
}

// goAhead has this process and the servers, which inherit it, run ahead of
// everything else on the machine. Nice values would not do: they count only among
// the processes of one terminal where the kernel groups them so. Of the CPU's time
// the kernel keeps 5 % for the others.
func goAhead() error {
	ahead := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: 1}
	if err := eachThread(func(id int) error { return unix.SchedSetAttr(id, &ahead, 0) }); err != nil {
		return fmt.Errorf("going ahead of other processes, which takes root: %w", err)
	}
	return nil
}

// eachThread calls do for every thread of this process, twice: a thread may have
// been made by one that had not been done yet.
func eachThread(do func(id int) error) error {
	for range 2 {
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		for _, t := range threads {
			id, err := strconv.Atoi(t.Name())
			if err != nil {
				return err
			}
			if err := do(id); err != nil && err != unix.ESRCH {
				return err
			}
		}
	}
	return nil
}

// onServerCPU calls start, which starts a process, with the calling thread on
// the servers' CPU: a process inherits where it may run. The caller has locked
// its thread.
func (p *placement) onServerCPU(start func() error) error {
	if !p.pinned {
		return start()
	}
	if err := unix.SchedSetaffinity(0, only(p.server)); err != nil {
		return fmt.Errorf("pinning a server to CPU %d: %w", p.server, err)
	}
	defer unix.SchedSetaffinity(0, only(p.client))
	return start()
}
