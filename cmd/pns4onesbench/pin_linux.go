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

// pinSelf moves every thread of this process to the clients' CPU, ahead of what
// else wants to run there. Threads that are made later inherit both, and so do the
// servers.
func (p *placement) pinSelf() error {
	if !p.pinned {
		return nil
	}
	// Twice: a thread may have been made by one that had not moved yet.
	for range 2 {
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return fmt.Errorf("pinning the clients: %w", err)
		}
		for _, t := range threads {
			id, err := strconv.Atoi(t.Name())
			if err != nil {
				return fmt.Errorf("pinning the clients: thread %q: %w", t.Name(), err)
			}
			// It takes root; without, others have their share of the CPU.
			unix.Setpriority(unix.PRIO_PROCESS, id, -20)
			if err := unix.SchedSetaffinity(id, only(p.client)); err != nil && err != unix.ESRCH {
				return fmt.Errorf("pinning the clients to CPU %d: %w", p.client, err)
			}
		}
	}
	runtime.GOMAXPROCS(1) // as it would be by default had the process begun there
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
