//go:build !linux

package main

import (
	"fmt"

	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/config/locale"
)

// reservePorts says that it is a matter of Linux: Windows takes the ports of outgoing
// connections from 49152 on.
func (d *daemonRun) reservePorts(text *locale.Localizer, _ *config.Result) int {
	fmt.Fprintln(d.stderr, text.T("daemon.not_reserved_here"))
	return exitFailed
}
