package netsvc

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/config/files"
	"github.com/pns4ones/pns4ones/netsvc/certificate"
	"github.com/pns4ones/pns4ones/netsvc/control/socket"
	"github.com/pns4ones/pns4ones/netsvc/internal/listen"
)

// OpenCertificate reads and checks the certificate that the settings name; it is
// nil if they ask for plain HTTP.
func OpenCertificate(c *config.Config, logger *slog.Logger) (*certificate.Certificate, error) {
	if c.SSLMode == config.SSLNone {
		return nil, nil
	}
	return certificate.Open(certificate.Options{
		Mode: c.SSLMode, Certificate: c.SSLCertificate, Key: c.SSLCertificateKey, Password: c.SSLCertificatePassword,
	}, logger)
}

// openAlone opens a server that takes nothing over, in an order that leaves nothing
// changed on disk if an address is wrong.
func (s *Server) openAlone(ctx context.Context) error {
	if err := s.listenAll(ctx, nil); err != nil {
		return err
	}
	if err := s.openApps(); err != nil {
		return err
	}
	return s.openControl()
}

// listenAll has all addresses of the settings listened on that are not yet, with the
// sockets that came from another process where they fit; t may be nil.
func (s *Server) listenAll(ctx context.Context, t *takeover) error {
	c := &s.options.Config
	addresses := []struct {
		setting string
		address *config.Address
		service **listen.Service
	}{{"listen", &c.Listen, &s.senders}, {"service", &c.Service, &s.sessions},
		{"metrics_listen", c.MetricsListen, &s.metrics}}
	for _, a := range addresses {
		if a.address == nil {
			continue
		}
		options := listen.Options{Service: a.setting, Exhausted: s.evict, Logger: s.logger}
		if t == nil { // else sessions are waiting
			options.Patience = portPatience
		}
		sockets := t.take(a.setting, func(before config.Address) bool { return before.SameSocket(*a.address) })
		if len(sockets) > 0 {
			*a.service = listen.Adopt(sockets, *a.address, options)
			continue
		}
		service, err := listen.Open(ctx, *a.address, options)
		if err != nil {
			return &ListenError{Setting: a.setting, Address: *a.address, Err: err}
		}
		*a.service = service
	}
	return nil
}

// openControl opens the control channel.
func (s *Server) openControl() error {
	path := s.options.Config.Control
	ln, err := socket.Listen(path)
	if err != nil {
		return &ControlError{Path: path, Err: err}
	}
	s.setControl(ln)
	return nil
}

func (s *Server) setControl(ln net.Listener) {
	s.controlMu.Lock()
	defer s.controlMu.Unlock()
	s.controlLn = ln
}

// currentControl is the control channel; nil: it is not open.
func (s *Server) currentControl() net.Listener {
	s.controlMu.Lock()
	defer s.controlMu.Unlock()
	return s.controlLn
}

// openApps opens the database, imports the old keys into a new one, and gives
// every app to the hub.
func (s *Server) openApps() error {
	if err := s.readOldKeys(s.DatabasePath()); err != nil {
		return err
	}
	_, err := os.Lstat(s.options.Config.DataDir)
	s.newFolder = errors.Is(err, fs.ErrNotExist)
	apps, err := s.openDatabase(app.Options{})
	if err != nil {
		return err
	}
	s.setApps(apps)
	if !apps.Created() {
		return nil
	}
	return s.importOldKeys()
}

// openDatabase opens the file of the database.
func (s *Server) openDatabase(o app.Options) (*app.Registry, error) {
	path := s.DatabasePath()
	if files.Exposed(path) {
		return nil, &DatabaseError{Path: path, Err: ErrExposed}
	}
	o.Changed = s.appChanged
	apps, err := app.Open(path, o)
	if err != nil {
		return nil, &DatabaseError{Path: path, Err: errors.Unwrap(err)} // the path is said once
	}
	s.warnOfDoubt(apps)
	return apps, nil
}

// warnOfDoubt says that the file that was just opened may lack its last change.
func (s *Server) warnOfDoubt(apps *app.Registry) {
	if apps.LastChangeInDoubt() {
		s.logger.Warn("the database may lack its last change, for one of its two meta pages is damaged: "+
			"a key that was revoked last may work again",
			slog.String("path", s.DatabasePath()))
	}
}

// setApps has the server serve these apps: the hub is told of all of them.
func (s *Server) setApps(apps *app.Registry) {
	s.telling.Lock()
	defer s.telling.Unlock()
	s.apps = apps
	for _, a := range apps.List() {
		s.known[a.ID] = a
		s.tellHub(a.ID, a)
	}
}

// closeAll undoes an Open that failed half-way.
func (s *Server) closeAll() {
	s.membership.dismiss()
	if ln := s.currentControl(); ln != nil {
		ln.Close()
	}
	if s.apps != nil {
		s.apps.Close()
	}
	if s.senders != nil {
		s.senders.Close()
	}
	if s.sessions != nil {
		s.sessions.Close()
	}
	if s.metrics != nil {
		s.metrics.Close()
	}
	if s.hub != nil {
		s.hub.Shutdown(context.Background())
	}
}

// removeNewDatabase takes back the database that a failed Open made: with it
// there, the next start would not import the old keys.
func (s *Server) removeNewDatabase() {
	if s.apps == nil || !s.apps.Created() {
		return
	}
	if err := os.Remove(s.DatabasePath()); err != nil {
		s.logger.Error("the new database could not be removed again", slog.Any("error", err))
	}
	if s.newFolder {
		os.Remove(s.options.Config.DataDir) // fails if something else is in it by now
	}
}
