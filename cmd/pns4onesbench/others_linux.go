package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of /proc/stat.
const clockTick = 10 * time.Millisecond

// others measures how much of the CPUs went to processes that are none of ours.
type others struct {
	bench   *bench
	began   time.Time
	busy    time.Duration // of the CPUs, at the beginning
	ours    time.Duration // this process and what keeps the CPUs awake
	servers time.Duration // those that have ended
}

func (b *bench) watchOthers() (others, error) {
	o := others{bench: b, began: time.Now(), servers: b.serversCPU}
	var err error
	if o.busy, err = b.placement.busy(); err != nil {
		return o, err
	}
	o.ours, err = b.ownCPU()
	return o, err
}

// ownCPU is the CPU time that is neither a server's nor another process's.
func (b *bench) ownCPU() (time.Duration, error) {
	sum, err := cpuOf("self")
	for _, s := range b.spinning {
		if err != nil {
			break
		}
		var cpu time.Duration
		cpu, err = s.cpu()
		sum += cpu
	}
	return sum, err
}

// share is their part of the time of the CPUs that are measured on, while every
// server that was started has ended.
func (o *others) share() (float64, error) {
	busy, err := o.bench.placement.busy()
	if err != nil {
		return 0, err
	}
	ours, err := o.bench.ownCPU()
	if err != nil {
		return 0, err
	}
	theirs := busy - o.busy - (ours - o.ours) - (o.bench.serversCPU - o.servers)
	return max(0, float64(theirs)/float64(time.Since(o.began)*time.Duration(o.bench.placement.count()))), nil
}

// count is the number of CPUs that are measured on.
func (p *placement) count() int {
	if p.pinned {
		return 2
	}
	return p.all.Count()
}

// uses reports whether a CPU is measured on.
func (p *placement) uses(cpu int) bool {
	if p.pinned {
		return cpu == p.server || cpu == p.client
	}
	return p.all.IsSet(cpu)
}

// busy is how long these CPUs were not idle since the system began.
func (p *placement) busy() (time.Duration, error) {
	file, err := os.Open("/proc/stat")
	if err != nil {
		return 0, fmt.Errorf("reading how busy the CPUs are: %w", err)
	}
	defer file.Close()
	var ticks time.Duration
	for lines := bufio.NewScanner(file); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		number, isCPU := strings.CutPrefix(fields[0], "cpu")
		cpu, err := strconv.Atoi(number)
		if !isCPU || err != nil || len(fields) < 9 {
			continue
		}
		if !p.uses(cpu) {
			continue
		}
		// user nice system, not idle and iowait, irq softirq steal
		for _, field := range append(fields[1:4:4], fields[6:9]...) {
			n, err := strconv.ParseInt(field, 10, 64)
			if err != nil {
				return 0, fmt.Errorf("reading how busy the CPUs are: %q: %w", field, err)
			}
			ticks += time.Duration(n)
		}
	}
	return ticks * clockTick, nil
}
