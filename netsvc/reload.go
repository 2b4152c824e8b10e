package netsvc

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/httpapi"
	"github.com/pns4ones/pns4ones/netsvc/hub"
)

// Reload reads the settings again and follows those that a running daemon can;
// sessions and requests go on. What is wrong with them, or with the certificate
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
			Status: http.StatusConflict, Code: control.CodeBadSettings, Message: s.options.Explain(lang, refused.settings, refused.err),
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
	report, err := s.follow(lang)
	if refused, ok := errors.AsType[*reloadError](err); ok {
		s.logger.Error("settings not reloaded, those before stay in force",
			slog.String("error", s.options.Explain(locale.English, refused.settings, refused.err)))
		return report, err
	}
	level := slog.LevelInfo
	if len(report.RestartNeeded) > 0 {
		level = slog.LevelWarn
	}
	s.logger.Log(context.Background(), level, "settings reloaded", slog.String("applied", strings.Join(report.Applied, " ")),
		slog.String("restart_needed", strings.Join(report.RestartNeeded, " ")))
	return report, err
}

// follow reads the settings, checks all that can be wrong, and only then changes
// anything.
func (s *Server) follow(lang locale.Lang) (control.ReloadReport, error) {
	result, err := s.options.Load()
	if err != nil {
		return control.ReloadReport{}, &reloadError{nil, err}
	}
	running := s.settings.Load()
	changes, applied := config.Changes(running, &result.Config)
	if err := s.reloadCertificate(changes, &applied); err != nil {
		return control.ReloadReport{}, &reloadError{result, err}
	}

	s.apply(&applied)
	report := control.ReloadReport{Applied: []string{}, RestartNeeded: []string{}, Warnings: []string{}}
	for _, c := range changes {
		if c.Live {
			report.Applied = append(report.Applied, c.Setting)
		} else {
			report.RestartNeeded = append(report.RestartNeeded, c.Setting)
		}
	}
	s.restartNeeded.Store(&report.RestartNeeded)
	s.notRead.Store(&result.NotRead)
	text := locale.New(lang)
	for _, w := range result.Warnings {
		report.Warnings = append(report.Warnings, text.Error(w))
	}
	return report, nil
}

// reloadCertificate reads the certificate again: the same, or another one if the
// settings say so. Of the parts of a reload it is the one that can fail.
func (s *Server) reloadCertificate(changes []config.Change, applied *config.Config) error {
	if s.certificate.Load() == nil {
		return nil // plain HTTP, until a restart
	}
	for _, c := range changes {
		if c.Live && strings.HasPrefix(c.Setting, "ssl_") {
			certificate, err := OpenCertificate(applied, s.logger)
			if err != nil {
				return err
			}
			s.certificate.Store(certificate)
			s.http.SetCertificate(certificate)
			return nil
		}
	}
	return s.certificate.Load().Reload()
}

// apply puts settings into force. It cannot fail.
func (s *Server) apply(c *config.Config) {
	s.level.Set(c.LogLevel.Slog())
	s.hub.SetLimits(hubLimits(c))
	s.http.SetLimits(httpLimits(c))
	s.senders.SetNetwork(c.Listen.Network)
	s.sessions.SetNetwork(c.Service.Network)
	if s.metrics != nil {
		s.metrics.SetNetwork(c.MetricsListen.Network)
	}
	s.settings.Store(c)
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

func hubLimits(c *config.Config) hub.Limits {
	return hub.Limits{
		QueueBytes: int(c.SessionQueueSize), WriteTimeout: c.WriteTimeout, RegistrationTimeout: c.RegistrationTimeout,
		KeepAlive: c.KeepAlive, MaxUnregistered: c.MaxUnregistered, MaxSessionsPerUser: orNone(c.MaxSessionsPerUser),
	}
}

// orNone turns the 0 of a setting, which means no bound, into that of a limit.
func orNone(n int) int {
	if n == 0 {
		return -1
	}
	return n
}

func httpLimits(c *config.Config) httpapi.Limits {
	return httpapi.Limits{
		TokenLifetime: c.TokenLifetime, ExpiresIn: httpapi.Epoch(c.ExpiresInEpoch),
		MaxSenders:      maxSenders(c.MaxSenders),
		MaxMessageBytes: c.MaxMessageSize, TrustedProxies: c.TrustedProxies,
	}
}
