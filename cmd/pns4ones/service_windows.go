package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc"
	"gopkg.in/natefinch/lumberjack.v2"

	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/config/files"
	"github.com/pns4ones/pns4ones/config/locale"
)

// serviceName is the name of the Windows service, as the old product's.
const serviceName = "PNS4OneS"

// logName is the service's log, beside its settings.
const logName = "pns4ones.log"

// How to find out why an address cannot be listened on.
const (
	showAddresses  = "ipconfig"
	showConnection = "netstat -ano -p tcp | findstr :%d"
	showPort       = "netstat -ano -p tcp | findstr :%d"
	portDenied     = "daemon.listen_refused"
)

// runAsService runs the daemon as a Windows service if the service manager
// started it, else in the foreground.
func runAsService(run func(context.Context, manager) int) int {
	if startedAsService() {
		s := &service{run: run}
		err := svc.Run(serviceName, s)
		if err == nil {
			return s.status
		}
		if !errors.Is(err, windows.ERROR_FAILED_SERVICE_CONTROLLER_CONNECT) {
			return exitFailed
		}
	}
	return run(context.Background(), manager{ready: func() {}, reloading: func() {}, stopping: func() {},
		stdout: os.Stdout, stderr: os.Stderr})
}

// startedAsService reports whether the service manager may have started us: it says so,
// or there is nobody who could read what we print. The latter is for Wine, whose
// services are in the session of the user and look like programs of theirs.
func startedAsService() bool {
	if inService, err := svc.IsWindowsService(); err == nil && inService {
		return true
	}
	_, err := os.Stderr.Stat()
	return err != nil
}

type service struct {
	run    func(context.Context, manager) int
	status int
}

// Execute is called by the service manager's dispatcher; see svc.Handler.
func (s *service) Execute(_ []string, requests <-chan svc.ChangeRequest, changes chan<- svc.Status) (bool, uint32) {
	const accepted = svc.AcceptStop | svc.AcceptShutdown
	changes <- svc.Status{State: svc.StartPending}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ready := make(chan struct{})
	ended := make(chan int, 1)
	go func() {
		log := logFile()
		sampleSettings()
		ended <- s.run(ctx, manager{
			ready: sync.OnceFunc(func() { close(ready) }), reloading: func() {}, stopping: func() {},
			stdout: log, stderr: log,
		})
	}()
	for {
		select {
		case <-ready:
			ready = nil
			changes <- svc.Status{State: svc.Running, Accepts: accepted}
		case s.status = <-ended:
			changes <- svc.Status{State: svc.StopPending}
			return s.status != exitDone, uint32(s.status)
		case request := <-requests:
			switch request.Cmd {
			case svc.Interrogate:
				changes <- request.CurrentStatus
			case svc.Stop, svc.Shutdown:
				changes <- svc.Status{State: svc.StopPending}
				stop()
			}
		}
	}
}

// logFile is what a service has instead of stderr: a file beside the settings
// that is rotated.
func logFile() io.Writer {
	paths, err := config.DefaultPaths(os.Getenv)
	if err != nil {
		return io.Discard // no profile folder: there is nowhere to say so
	}
	return &lumberjack.Logger{Filename: filepath.Join(paths.Settings, logName), MaxSize: 10 /* MB */, MaxBackups: 5}
}

// sampleSettings leaves a pns4ones.toml that is all comments for whoever wants to
// set something, as the packages for Linux do. Nothing depends on it: if it cannot
// be written, the database beside it cannot either, and that is told.
func sampleSettings() {
	paths, err := config.DefaultPaths(os.Getenv)
	if err != nil {
		return
	}
	old, err := os.Stat(filepath.Join(paths.Settings, "pns4ones.ini"))
	if old != nil || !errors.Is(err, fs.ErrNotExist) {
		return // the old product's settings are in force
	}
	defaults, err := config.Load(config.LoadOptions{Getenv: func(string) string { return "" },
		Paths: config.Paths{Data: paths.Data, Control: paths.Control}})
	if err != nil {
		return
	}
	if err := os.MkdirAll(paths.Settings, 0o700); err != nil {
		return
	}
	var sample bytes.Buffer
	config.WriteTOML(&sample, defaults, locale.New(locale.Detect(os.Getenv, "")))
	files.WriteNew(filepath.Join(paths.Settings, "pns4ones.toml"), sample.Bytes())
}
