//go:build unix

package main

import (
	"os/exec"
	"syscall"
	"time"
)

// ownGroup makes the command the head of a process group.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// endGroup ends the command and all that it started, and waits for it. «go run» gets a signal
// after which it removes its folder.
func endGroup(cmd *exec.Cmd) {
	group := -cmd.Process.Pid
	syscall.Kill(group, syscall.SIGINT)
	late := time.AfterFunc(patience, func() { syscall.Kill(group, syscall.SIGKILL) })
	defer late.Stop()
	cmd.Wait()
}
