package main

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/pns4ones/pns4ones/netsvc"
)

// faultVariable names a file with a step of a hand-over and what is to go wrong there:
// «U.O.send hang». The process that comes to that step takes the file away, and suffers it.
const faultVariable = "HANDOVER_TEST_FAULT"

// patientVariable, if it is there, has the daemons have the deadlines of a service.
const patientVariable = "HANDOVER_TEST_PATIENT"

// The ways in which a step goes wrong.
const (
	faultError = "error"
	faultHang  = "hang"
	faultKill  = "kill"
	faultPause = "pause" // for a second
	faultWait  = "wait"  // until goOn
)

// goesOn is what the name of the plan has behind it when a step that waits is to go on.
const goesOn = ".on"

// impatient are deadlines with which a hang costs a second. But for requests: senders of these tests may get
// no processor for half a second, between connecting and asking.
var impatient = netsvc.Deadlines{
	Requests: 1500 * time.Millisecond,
	Hello:    3 * time.Second, Ready: 4 * time.Second, Turn: 700 * time.Millisecond, Store: 4 * time.Second,
	StoreTry: time.Second,
	Database: 700 * time.Millisecond, Open: 1500 * time.Millisecond, Term: 2 * time.Second,
}

// plantFaults has the daemons of a test suffer what it plans for them.
func plantFaults() {
	path := os.Getenv(faultVariable)
	if path == "" {
		return
	}
	retryEvery = 100 * time.Millisecond
	deadlines := impatient
	if os.Getenv(patientVariable) != "" {
		deadlines = netsvc.Deadlines{}
	}
	succession = netsvc.SuccessionOptions{
		Deadlines: deadlines,
		Step: func(step string) error {
			plan, err := os.ReadFile(path)
			at, kind, _ := strings.Cut(string(plan), " ")
			if err != nil || at != step || os.Remove(path) != nil {
				return nil
			}
			switch kind {
			case faultHang:
				select {}
			case faultKill:
				syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			case faultPause:
				time.Sleep(time.Second)
				return nil
			case faultWait:
				for _, err := os.Stat(path + goesOn); err != nil; _, err = os.Stat(path + goesOn) {
					time.Sleep(time.Millisecond)
				}
				return nil
			}
			return errors.New("planted by a test")
		},
	}
}
