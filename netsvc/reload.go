package netsvc

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/certificate"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

// Reload reads the settings again and applies those that can change while the daemon
// runs; sessions and requests go on. What is wrong with them, or with the certificate
// that they name, is the error, and then nothing has changed. It logs what came
// of it.
func (s *Server) Reload() error {
	_, err := s.reload(locale.English)
	return err
}

// reloadForControl is Reload for an administrator who speaks that language.
func (s *Server) reloadForControl(lang locale.Lang) (control.ReloadReport, error) {
	report, err := s.reload(lang)
	if refused, ok := errors.AsType[*reloadError](err); ok {
		return control.ReloadReport{}, &control.Error{
			Status: http.StatusConflict, Code: control.CodeBadSettings,
			Message: s.options.ErrorText(lang, refused.settings, refused.err),
		}
	}
	return report, err
}

// reloadError says why nothing was reloaded.
type reloadError struct {
	settings *config.Result // nil: they could not be read
	err      error
}

func (e *reloadError) Error() string { return "reloading the settings: " + e.err.Error() }
func (e *reloadError) Unwrap() error { return e.err }

func (s *Server) reload(lang locale.Lang) (control.ReloadReport, error) {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	report, err := s.readSettings(lang)
	if refused, ok := errors.AsType[*reloadError](err); ok {
		s.logger.Error("settings not reloaded, those before stay in force",
			slog.String("error", s.options.ErrorText(locale.English, refused.settings, refused.err)))
		return report, err
	}
	level := slog.LevelInfo
	if len(report.RestartNeeded) > 0 {
		level = slog.LevelWarn
	}
	s.logger.Log(context.Background(), level, "settings reloaded",
		slog.String("applied", strings.Join(report.Applied, " ")),
		slog.String("restart_needed", strings.Join(report.RestartNeeded, " ")))
	return report, err
}

// readSettings reads the settings, checks all that can be wrong, and only then
// changes anything.
func (s *Server) readSettings(lang locale.Lang) (control.ReloadReport, error) {
	result, err := s.options.Load()
	if err != nil {
		return control.ReloadReport{}, &reloadError{nil, err}
	}
	changes, applied := config.Changes(s.settings.Load(), &result.Config)
	next := &nextSettings{Config: applied}
	if next.certificate, err = s.readCertificate(changes, &next.Config); err != nil {
		return control.ReloadReport{}, &reloadError{result, err}
	}
	if s.membership != nil {
		if next.clusterKeys, err = clusterKeys(&next.Config); err != nil {
			return control.ReloadReport{}, &reloadError{result, err}
		}
	}

	otherKeys := s.membership != nil && !slices.Equal(next.clusterKeys.IDs(), s.membership.keys.Load().IDs())
	s.applyChanges(changes, next)
	report := control.ReloadReport{Applied: []string{}, RestartNeeded: []string{}, Warnings: []string{}}
	for _, c := range changes {
		if c.Live {
			report.Applied = append(report.Applied, c.Setting)
		} else {
			report.RestartNeeded = append(report.RestartNeeded, c.Setting)
		}
	}
	if otherKeys && !slices.Contains(report.Applied, "cluster_key") { // the same file has others
		report.Applied = append(report.Applied, "cluster_key")
	}
	s.restartNeeded.Store(&report.RestartNeeded)
	s.notRead.Store(&result.NotRead)
	text := locale.New(lang)
	for _, w := range result.Warnings {
		report.Warnings = append(report.Warnings, text.Error(w))
	}
	return report, nil
}

// readCertificate reads the certificate again: the same, or another one if the
// settings say so. Of the parts of a reload it is the one that can fail.
func (s *Server) readCertificate(changes []config.Change, applied *config.Config) (*certificate.Certificate, error) {
	inUse := s.certificate.Load()
	if inUse == nil {
		return nil, nil // plain HTTP, until a restart
	}
	for _, c := range changes {
		if c.Live && strings.HasPrefix(c.Setting, "ssl_") {
			return OpenCertificate(applied, s.logger)
		}
	}
	return inUse, inUse.Reload()
}

// setLogLevel changes the level until the next reload or restart.
func (s *Server) setLogLevel(level config.Level) {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	c := *s.settings.Load()
	c.LogLevel = level
	s.level.Set(level.Slog())
	s.settings.Store(&c)
}
