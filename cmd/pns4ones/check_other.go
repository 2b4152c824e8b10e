//go:build !linux

package main

import (
	"time"

	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/config/locale"
)

// checkAsService does nothing: on Windows `pns4ones install -check` checks as the
// account of the service.
func (d *daemonRun) checkAsService(*locale.Localizer, *config.Result, time.Time) int { return exitDone }
