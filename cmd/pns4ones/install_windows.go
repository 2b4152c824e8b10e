package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc/mgr"

	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/config/locale"
)

// install makes the service, or has the one of that name start this program: that
// of the old product, or an earlier one of ours. Its account and start type are
// kept then, and its flags if no others are given. Nothing is changed if the
// service could not start with its settings.
func (c *serviceCommand) install(args []string) error {
	onlyCheck := len(args) > 0 && isSwitch(args[0], "check")
	if onlyCheck {
		args = args[1:]
	}
	s, err := c.open()
	if err != nil && !errors.Is(err, windows.ERROR_SERVICE_DOES_NOT_EXIST) {
		return err
	}
	image, inherited := "", false
	if s != nil {
		defer s.Close()
		if image, err = serviceImage(); err != nil {
			return err
		}
		if flags := imageFlags(image); len(args) == 0 && len(flags) > 0 {
			args, inherited = flags, true
		}
	}
	if err := c.checkSettings(args, inherited); err != nil || onlyCheck {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	shown := shownCommand(program, args)
	if s == nil {
		s, err = c.create(program, args)
		if err != nil {
			return err
		}
		defer s.Close()
		c.say("service.created", "command", shown)
	} else {
		if err := c.change(s, windows.ComposeCommandLine(append([]string{program}, args...))); err != nil {
			return err
		}
		if before, _ := splitImage(image); sameProgram(before, program) {
			c.say("service.updated", "command", shown)
		} else {
			c.say("service.taken_over", "before", shownCommand(before, imageFlags(image)), "command", shown)
		}
	}
	if err := setRecovery(s); err != nil {
		return err
	}
	c.sayPlaces()
	if status, err := s.Query(); err == nil && status.ProcessId != 0 {
		c.say("service.restart_it")
	} else {
		c.say("service.start_it")
	}
	return nil
}

// checkSettings checks what the service will read: the flags, the file in the
// folder of its account, the variables, the certificate.
func (c *serviceCommand) checkSettings(flags []string, inherited bool) error {
	// A service starts in the folder of the system. What relative paths in flags
	// would mean there, they are to mean here.
	if system, err := windows.GetSystemDirectory(); err == nil {
		if err := os.Chdir(system); err != nil {
			return err
		}
	}
	var paths config.Paths // an account without a folder has no settings yet
	local, err := localAppData(serviceAccount())
	if err == nil {
		paths, err = config.DefaultPaths(serviceEnvironment(local))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	d := &daemonRun{getenv: serviceEnvironment(local), manager: manager{stdout: c.stdout, stderr: c.stderr}}
	settings, err := config.Load(config.LoadOptions{Args: flags, Getenv: d.getenv, Paths: paths})
	if err != nil {
		d.fail(c.text, nil, err)
		if wrong, ok := errors.AsType[*config.Error](err); ok && wrong.Usage && inherited {
			return locale.NewText("service.inherited_flags", "flags", shownCommand("", flags))
		}
		return errSaid
	}
	switch settings.Mode {
	case config.ModeVersion:
		return locale.NewText("service.switch_not_a_flag", "flag", "version")
	case config.ModePrintConfig:
		return locale.NewText("service.switch_not_a_flag", "flag", "print_config")
	case config.ModeCheck:
		return locale.NewText("service.switch_not_a_flag", "flag", "check")
	}
	if d.check(c.text, settings) != exitDone {
		return errSaid
	}
	return nil
}

// create makes the service. It starts with the system and not after a delay: the
// 1C sessions that find nobody there do not try again by themselves.
func (c *serviceCommand) create(program string, flags []string) (*mgr.Service, error) {
	return c.manager.CreateService(serviceName, program, mgr.Config{
		StartType:        mgr.StartAutomatic,
		ErrorControl:     mgr.ErrorNormal,
		ServiceStartName: virtualAccount,
		DisplayName:      c.text.T("service.display_name"),
		Description:      c.text.T("service.about"),
	}, flags...)
}

// change has an existing service start another command. Account, start type and
// dependencies stay.
func (c *serviceCommand) change(s *mgr.Service, command string) error {
	commandPtr, err := windows.UTF16PtrFromString(command)
	if err != nil {
		return err
	}
	displayPtr, err := windows.UTF16PtrFromString(c.text.T("service.display_name"))
	if err != nil {
		return err
	}
	return windows.ChangeServiceConfig(s.Handle, windows.SERVICE_NO_CHANGE, windows.SERVICE_NO_CHANGE,
		windows.SERVICE_NO_CHANGE,
		commandPtr, nil, nil, nil, nil, nil, displayPtr)
}

// setRecovery has the service manager start the service again when it fails, as its
// systemd unit does.
func setRecovery(s *mgr.Service) error {
	again := mgr.RecoveryAction{Type: mgr.ServiceRestart, Delay: 5 * time.Second}
	day := uint32((24 * time.Hour).Seconds())
	if err := s.SetRecoveryActions([]mgr.RecoveryAction{again, again, again}, day); err != nil {
		return err
	}
	// A start that fails, because the network is not up yet for one, counts as well.
	// Wine does not know that.
	if err := s.SetRecoveryActionsOnNonCrashFailures(true); err != nil && !errors.Is(err, windows.ERROR_INVALID_LEVEL) {
		return err
	}
	return nil
}

// uninstall stops and removes the service, and its data if told so. A service that
// starts another program is left alone.
func (c *serviceCommand) uninstall() error {
	paths, pathsErr := servicePaths()
	databases := c.databaseFolders(paths)
	s, err := c.open()
	switch {
	case errors.Is(err, windows.ERROR_SERVICE_DOES_NOT_EXIST):
		c.say("service.absent")
	case err != nil:
		return err
	default:
		defer s.Close()
		program, other := c.otherProgram()
		if other {
			// Somebody has gone back to the old product.
			c.say("service.not_ours", "program", program)
			return nil
		}
		if err := c.stopService(s); err != nil {
			return err
		}
		if err := s.Delete(); err != nil {
			return err
		}
		c.say("service.removed")
	}
	if errors.Is(pathsErr, fs.ErrNotExist) {
		return nil // it has never run: there is nothing to keep or to remove
	}
	if pathsErr != nil {
		return pathsErr
	}
	if !c.purge {
		c.say("service.kept", "folder", paths.Settings)
		return nil
	}
	return c.removeData(paths, databases)
}

// otherProgram returns the program that the service starts, and whether there is
// one that is not us.
func (c *serviceCommand) otherProgram() (program string, other bool) {
	image, err := serviceImage()
	if err != nil {
		return "", false
	}
	self, err := os.Executable()
	if err != nil {
		return "", false
	}
	program, _ = splitImage(image)
	_, err = os.Stat(program)
	return program, err == nil && !sameProgram(program, self)
}

// sameProgram reports whether two paths are those of one file.
func sameProgram(a, b string) bool {
	if strings.EqualFold(a, b) {
		return true
	}
	aInfo, aErr := os.Stat(a)
	bInfo, bErr := os.Stat(b)
	return aErr == nil && bErr == nil && os.SameFile(aInfo, bInfo)
}

// databaseFolders returns where the service may have its database.
func (c *serviceCommand) databaseFolders(paths config.Paths) []string {
	folders := []string{paths.Settings}
	image, err := serviceImage()
	if err != nil {
		return folders
	}
	settings, err := config.Load(config.LoadOptions{Args: imageFlags(image),
		Getenv: serviceEnvironment(filepath.Dir(paths.Settings)), Paths: paths})
	if err == nil && !slices.Contains(folders, settings.Config.DataDir) {
		folders = append(folders, settings.Config.DataDir)
	}
	return folders
}

// removeData removes what the service has made. Certificates, and the settings and
// keys of the old product, are not ours.
func (c *serviceCommand) removeData(paths config.Paths, databases []string) error {
	ours := []string{filepath.Join(paths.Settings, "pns4ones.toml"), filepath.Join(paths.Settings, logName)}
	rotated, err := filepath.Glob(filepath.Join(paths.Settings, "pns4ones-*.log"))
	if err != nil {
		return err
	}
	ours = append(ours, rotated...)
	for _, folder := range databases {
		ours = append(ours, filepath.Join(folder, "pns4ones.db"))
	}
	for _, path := range ours {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	left, err := os.ReadDir(paths.Settings)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case len(left) == 0:
		if err := os.Remove(paths.Settings); err != nil {
			return err
		}
	}
	c.say("service.purged", "folder", paths.Settings)
	if len(left) > 0 {
		names := make([]string, len(left))
		for i, entry := range left {
			names[i] = entry.Name()
		}
		c.say("service.left", "folder", paths.Settings, "files", strings.Join(names, ", "))
	}
	return nil
}

// serviceImage returns the command line of the installed service.
//
// It and the account are read where the service manager keeps them: its own
// function wants memory that Go calls unsafe.
func serviceImage() (string, error) { return expandedString(serviceKey, "ImagePath") }

// serviceAccount returns the account of the installed service, else that of a new
// one.
func serviceAccount() string {
	account, err := expandedString(serviceKey, "ObjectName")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := serviceImage(); err == nil {
			return "LocalSystem"
		}
		return virtualAccount
	case err != nil:
		return virtualAccount
	}
	return account
}

// splitImage takes the program off a service's command line. The name of the
// program need not be in quotes, even if it has blanks.
func splitImage(image string) (program, rest string) {
	image = strings.TrimSpace(image)
	if quoted, ok := strings.CutPrefix(image, `"`); ok {
		program, rest, _ = strings.Cut(quoted, `"`)
		return program, strings.TrimSpace(rest)
	}
	lower := strings.ToLower(image)
	if end := strings.Index(lower+" ", ".exe "); end >= 0 {
		return image[:end+len(".exe")], strings.TrimSpace(image[end+len(".exe"):])
	}
	program, rest, _ = strings.Cut(image, " ")
	return program, strings.TrimSpace(rest)
}

// imageFlags returns the flags of a service's command line.
func imageFlags(image string) []string {
	_, rest := splitImage(image)
	if rest == "" {
		return nil
	}
	// The first word of a command line has rules of its own.
	words, err := windows.DecomposeCommandLine("program.exe " + rest)
	if err != nil {
		return nil
	}
	return words[1:]
}

// shownCommand returns a command line for people, without the password that may be
// in it.
func shownCommand(program string, flags []string) string {
	words := slices.Clone(flags)
	for i, word := range words {
		flag, _, hasValue := strings.Cut(word, "=")
		name := strings.ReplaceAll(strings.ToLower(strings.TrimLeft(flag, "-/")), "-", "_")
		switch {
		case name != "ssl_certificate_password":
		case hasValue:
			words[i] = flag + "=********"
		case i+1 < len(words):
			words[i+1] = "********"
		}
	}
	if program != "" {
		words = append([]string{program}, words...)
	}
	return windows.ComposeCommandLine(words)
}
