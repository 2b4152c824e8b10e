package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/mgr"

	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/config/locale"
)

// managesService reports whether the word is a command that manages the service.
func managesService(word string) bool {
	switch word {
	case "install", "uninstall", "start", "stop", "where":
		return true
	}
	return false
}

// manageService carries out one of the commands that manage the service, and
// returns the exit status.
func manageService(word string, args []string, text *locale.Localizer, stdout, stderr io.Writer) int {
	settings, err := config.Load(config.LoadOptions{Args: args, Getenv: func(string) string { return "" }})
	if err == nil && settings.Mode == config.ModeHelp {
		config.WriteHelp(stdout, text, programName())
		return exitDone
	}
	c := &serviceCommand{text: text, stdout: stdout, stderr: stderr}
	if word == "uninstall" && len(args) > 0 && isSwitch(args[0], "purge") {
		c.purge, args = true, args[1:]
	}
	if extra := withoutLang(args); word != "install" && len(extra) > 0 {
		fmt.Fprintln(stderr, text.T("service.stray_word", "word", word, "extra", extra[0]))
		return exitUsage
	}
	manager, err := mgr.Connect()
	if err == nil {
		defer manager.Disconnect()
		c.manager = manager
		switch word {
		case "install":
			err = c.install(args)
		case "uninstall":
			err = c.uninstall()
		case "start":
			err = c.start()
		case "stop":
			err = c.stop()
		case "where":
			err = c.where()
		}
	}
	if errors.Is(err, errSaid) {
		return exitFailed
	}
	if err != nil {
		fmt.Fprintln(stderr, text.Error(c.errorText(err)))
		return exitFailed
	}
	return exitDone
}

// isSwitch reports whether the word is that switch in one of its spellings.
func isSwitch(word, name string) bool {
	return word == "-"+name || word == "--"+name || word == "/"+name
}

// withoutLang leaves out -lang, which any command takes.
func withoutLang(args []string) []string {
	switch {
	case len(args) >= 2 && isSwitch(args[0], "lang"):
		return args[2:]
	case len(args) >= 1 && config.LangFlag(args[:1]) != "":
		return args[1:]
	}
	return args
}

// errSaid: the person has been told already.
var errSaid = errors.New("said already")

// serviceCommand is one command that manages the service.
type serviceCommand struct {
	text           *locale.Localizer
	stdout, stderr io.Writer
	manager        *mgr.Mgr
	purge          bool
}

// say prints a text about the service.
func (c *serviceCommand) say(id string, args ...any) {
	fmt.Fprintln(c.stdout, c.text.T(id, append(args, "name", serviceName)...))
}

// open opens the installed service. The caller closes it.
func (c *serviceCommand) open() (*mgr.Service, error) { return c.manager.OpenService(serviceName) }

// errorText turns an error of the service manager into what a person needs.
func (c *serviceCommand) errorText(err error) error {
	var said locale.Localized
	switch {
	case errors.As(err, &said):
		return err
	case errors.Is(err, windows.ERROR_ACCESS_DENIED):
		return locale.NewText("service.denied")
	case errors.Is(err, windows.ERROR_SERVICE_DOES_NOT_EXIST):
		return locale.NewText("service.no_service", "name", serviceName)
	case errors.Is(err, windows.ERROR_SERVICE_MARKED_FOR_DELETE):
		return locale.NewText("service.being_removed", "name", serviceName)
	case errors.Is(err, windows.ERROR_SERVICE_DISABLED):
		return locale.NewText("service.disabled", "name", serviceName)
	case errors.Is(err, windows.ERROR_SERVICE_LOGON_FAILED):
		return locale.NewText("service.logon_failed", "name", serviceName, "account", serviceAccount())
	}
	return locale.NewText("service.failed", "name", serviceName, "error", err)
}

// Waiting for the service manager, which lets nobody know when it is done.
const (
	serviceTime = 30 * time.Second
	servicePoll = 100 * time.Millisecond
)

// start starts the service and waits until it serves. If it does not, what it
// wrote into its log is said.
func (c *serviceCommand) start() error {
	s, err := c.open()
	if err != nil {
		return err
	}
	defer s.Close()
	status, err := s.Query()
	if err != nil {
		return err
	}
	if status.State == svc.Running {
		c.say("service.running")
		return nil
	}
	deadline := time.Now().Add(serviceTime)
	// One that is ending must have ended before it can start.
	for status.State == svc.StopPending && time.Now().Before(deadline) {
		time.Sleep(servicePoll)
		if status, err = s.Query(); err != nil {
			return err
		}
	}
	before, written := logSize()
	if status.State == svc.Stopped {
		err := s.Start()
		if errors.Is(err, windows.ERROR_ACCESS_DENIED) {
			// Not ours, for the service is open with all rights: those of its account.
			image, _ := serviceImage()
			program, _ := splitImage(image)
			return locale.NewText("service.program_denied", "name", serviceName, "account", serviceAccount(),
				"program", program)
		}
		if err != nil && !errors.Is(err, windows.ERROR_SERVICE_ALREADY_RUNNING) {
			return err
		}
	}
	for {
		status, err := s.Query()
		switch {
		case err != nil:
			return err
		case status.State == svc.Running:
			c.say("service.started")
			c.sayPlaces()
			return nil
		case status.State == svc.Stopped:
			return c.didNotStart(before, written)
		case time.Now().After(deadline):
			file, _ := logPath()
			return locale.NewText("service.too_slow_start", "name", serviceName, "seconds", int(serviceTime.Seconds()),
				"file", file)
		}
		time.Sleep(servicePoll)
	}
}

// logLines is how much of the log is said at most.
const logLines = 4 << 10 // bytes

// didNotStart says what the service has added to its log since it was that long.
func (c *serviceCommand) didNotStart(size int64, existed bool) error {
	path, err := logPath()
	if err != nil {
		return locale.NewText("service.did_not_start", "name", serviceName)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return locale.NewText("service.did_not_start", "name", serviceName)
	}
	if existed && int64(len(content)) >= size { // else it was rotated
		content = content[size:]
	}
	if len(content) > logLines {
		content = content[len(content)-logLines:]
	}
	lines := strings.TrimSpace(string(content))
	if lines == "" {
		return locale.NewText("service.did_not_start", "name", serviceName)
	}
	return locale.NewText("service.did_not_start_why", "name", serviceName, "file", path, "lines", lines)
}

// stop stops the service and waits until it has ended.
func (c *serviceCommand) stop() error {
	s, err := c.open()
	if err != nil {
		return err
	}
	defer s.Close()
	return c.stopService(s)
}

func (c *serviceCommand) stopService(s *mgr.Service) error {
	status, err := s.Query()
	if err != nil {
		return err
	}
	if status.State == svc.Stopped {
		c.say("service.not_running")
		return nil
	}
	deadline := time.Now().Add(serviceTime)
	for {
		// One that is just starting takes no orders yet, one that is ending none any more.
		if status.State != svc.StopPending {
			_, err := s.Control(svc.Stop)
			if err != nil && !errors.Is(err, windows.ERROR_SERVICE_CANNOT_ACCEPT_CTRL) &&
				!errors.Is(err, windows.ERROR_SERVICE_NOT_ACTIVE) {
				return err
			}
		}
		if status, err = s.Query(); err != nil {
			return err
		}
		if status.State == svc.Stopped {
			c.say("service.stopped")
			return nil
		}
		if time.Now().After(deadline) {
			return locale.NewText("service.too_slow_stop", "name", serviceName, "seconds", int(serviceTime.Seconds()))
		}
		time.Sleep(servicePoll)
	}
}

// where prints the folder of the service's settings, alone, for scripts.
func (c *serviceCommand) where() error {
	paths, err := servicePaths()
	if errors.Is(err, fs.ErrNotExist) {
		return locale.NewText("service.no_folder_yet", "account", serviceAccount())
	}
	if err != nil {
		return err
	}
	fmt.Fprintln(c.stdout, paths.Settings)
	return nil
}

// servicePaths returns the places of the service, which are those of its account.
func servicePaths() (config.Paths, error) {
	local, err := localAppData(serviceAccount())
	if err != nil {
		return config.Paths{}, err
	}
	return config.DefaultPaths(serviceEnvironment(local))
}

// logPath is where the service has its log.
func logPath() (string, error) {
	paths, err := servicePaths()
	return filepath.Join(paths.Settings, logName), err
}

// logSize returns how long the log is, and whether there is one.
func logSize() (size int64, exists bool) {
	path, err := logPath()
	if err != nil {
		return 0, false
	}
	info, err := os.Stat(path)
	if err != nil {
		return 0, false
	}
	return info.Size(), true
}

// sayPlaces says where the service keeps its files, or will.
func (c *serviceCommand) sayPlaces() {
	c.say("service.account", "account", serviceAccount())
	paths, err := servicePaths()
	if err != nil {
		paths, err = config.DefaultPaths(serviceEnvironment(usualLocalAppData(serviceAccount())))
		if err == nil {
			c.say("service.folder_later", "folder", paths.Settings)
		}
		return
	}
	c.say("service.folder", "folder", paths.Settings)
	c.say("service.log", "file", filepath.Join(paths.Settings, logName))
}
