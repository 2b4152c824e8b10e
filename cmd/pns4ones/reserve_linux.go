package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/config/locale"
)

// reservedPorts are the ports that the kernel gives to no outgoing connection
// (ip_local_reserved_ports in the kernel's ip-sysctl.rst).
const reservedPorts = "/proc/sys/net/ipv4/ip_local_reserved_ports"

// reservePorts keeps the kernel from giving the ports of the settings to outgoing
// connections: the default ones lie in the range from which it takes those. It adds to
// what others have reserved; a file in sysctl.d would replace that.
func (d *daemonRun) reservePorts(text *locale.Localizer, settings *config.Result) int {
	c := &settings.Config
	ports := []int{c.Listen.Port, c.Service.Port}
	if c.MetricsListen != nil {
		ports = append(ports, c.MetricsListen.Port)
	}
	before, err := os.ReadFile(reservedPorts)
	if err == nil {
		if after, changed := addPorts(string(before), ports); changed {
			err = os.WriteFile(reservedPorts, []byte(after+"\n"), 0o644)
		}
	}
	if err != nil {
		fmt.Fprintln(d.stderr, text.T("daemon.not_reserved", "path", reservedPorts, "error", err))
		return exitFailed
	}
	return exitDone
}

// addPorts adds ports to a list such as 8080,9000-9010, unless they are in it.
func addPorts(list string, ports []int) (longer string, changed bool) {
	items := strings.FieldsFunc(strings.TrimSpace(list), func(r rune) bool { return r == ',' })
	for _, port := range ports {
		if port == 0 || slices.ContainsFunc(items, func(item string) bool { return holds(item, port) }) {
			continue
		}
		items, changed = append(items, strconv.Itoa(port)), true
	}
	return strings.Join(items, ","), changed
}

// holds reports whether a port is in an item: a port, or two with a dash between them.
func holds(item string, port int) bool {
	first, last, isRange := strings.Cut(item, "-")
	if !isRange {
		last = first
	}
	from, fromErr := strconv.Atoi(first)
	to, toErr := strconv.Atoi(last)
	return fromErr == nil && toErr == nil && from <= port && port <= to
}
