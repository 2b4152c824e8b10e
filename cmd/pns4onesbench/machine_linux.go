package main

import (
	"bufio"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// Machine is on what was measured.
type Machine struct {
	CPU         string   `json:"cpu"`
	CPUs        int      `json:"cpus"`
	Kernel      string   `json:"kernel"`
	MemoryBytes int64    `json:"memory_bytes"`
	Versions    []string `json:"versions"`
	Pinned      bool     `json:"pinned"`
	ServerCPU   int      `json:"server_cpu"`
	ClientCPU   int      `json:"client_cpu"`
}

// describeMachine says what it can find out; paths may be empty.
func describeMachine(p *placement, daemonPath, natsPath string) Machine {
	m := Machine{
		CPU: cpuModel(), CPUs: p.all.Count(), Pinned: p.pinned, ServerCPU: p.server, ClientCPU: p.client,
		Versions: []string{"pns4onesbench " + version, runtime.Version()},
	}
	m.MemoryBytes, _ = kibField("/proc/meminfo", "MemTotal:")
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		text := unix.ByteSliceToString
		m.Kernel = text(name.Sysname[:]) + " " + text(name.Release[:]) + " " + text(name.Machine[:])
	}
	if daemonPath != "" {
		m.addVersion(daemonPath, "-version")
	}
	if natsPath != "" {
		m.addVersion(natsPath, "-v")
	}
	return m
}

// addVersion asks a program for its version, which it prints with its name.
func (m *Machine) addVersion(path, flag string) {
	if said, err := exec.Command(path, flag).Output(); err == nil {
		m.Versions = append(m.Versions, strings.ReplaceAll(strings.TrimSpace(string(said)), ": v", " "))
	}
}

func cpuModel() string {
	file, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}
