package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc"
	"github.com/pns4ones/pns4ones/netsvc/certificate"
	"github.com/pns4ones/pns4ones/netsvc/cluster"
	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
	"github.com/pns4ones/pns4ones/netsvc/control/socket"
)

// errorText turns an error that keeps the daemon from starting into what a person
// needs: what failed, on what, why, and what to do. Errors of the settings bring
// their own texts; the others get theirs here.
//
// A certificate's error stands at the line of the setting that named it; settings
// may be nil.
func errorText(text *locale.Localizer, settings *config.Result, err error) string {
	var (
		certificate *certificate.Error
		joining     *netsvc.ClusterError
		address     *netsvc.ListenError
		database    *netsvc.DatabaseError
		oldKeys     *netsvc.OldKeysError
		channel     *netsvc.ControlError
	)
	switch {
	case errors.As(err, &certificate):
		what := locale.NewText("daemon.certificate", "path", certificate.Path,
			"why", locale.NewText("daemon.certificate_"+string(certificate.Problem),
				"error", certificate.Err, "tried", strings.Join(certificate.Tried, ", ")))
		if settings == nil {
			return text.Error(what)
		}
		return text.Error(settings.Blame(certificateSetting(&settings.Config, certificate), what))
	case errors.As(err, &joining):
		what := clusterProblem(joining)
		if settings == nil {
			return text.Error(what)
		}
		return text.Error(settings.Blame(joining.Setting, what))
	case errors.As(err, &address):
		return text.T("daemon.listen", "setting", address.Setting, "address", address.Address.String(),
			"why", text.T(addressProblem(address), "error", address.Err, "port", address.Address.Port, "command",
				addressCommand(address),
				"held", strings.Join(address.HeldBy(), ", "), "name", address.Address.Host))
	case errors.As(err, &database):
		return text.T("daemon.database_error", "path", database.Path,
			"why", text.T(databaseProblem(database), "error", database.Err))
	case errors.As(err, &oldKeys):
		return text.T("daemon.old_keys", "path", oldKeys.Path, "error", oldKeys.Err)
	case errors.As(err, &channel):
		return text.T("daemon.channel", "path", channel.Path,
			"why", text.T(channelProblem(channel), "error", channel.Err))
	}
	return text.Error(err)
}

// certificateSetting is the setting to correct.
func certificateSetting(c *config.Config, e *certificate.Error) string {
	switch {
	case e.Problem == certificate.ProblemUnknownMode:
		return "ssl_mode"
	case e.Problem == certificate.ProblemWrongPassword:
		return "ssl_certificate_password"
	case e.Path != "" && e.Path == c.SSLCertificateKey:
		return "ssl_certificate_key"
	}
	return "ssl_certificate"
}

// clusterProblem says what keeps the daemon from being a node of a cluster.
func clusterProblem(err *netsvc.ClusterError) *locale.Text {
	var (
		key  *seal.KeyError
		file *cluster.FileError
		host *netsvc.HostNameError
	)
	switch {
	case errors.As(err, &key):
		where := key.Path
		if key.Line > 0 {
			where = fmt.Sprintf("%s:%d", key.Path, key.Line)
		}
		return locale.NewText("daemon.cluster", "what", where,
			"why", locale.NewText("daemon.cluster_key_"+string(key.Problem), "error", key.Err))
	case errors.As(err, &file):
		return locale.NewText("daemon.cluster", "what", file.Path,
			"why", locale.NewText("daemon.cluster_file_"+string(file.Problem), "error", file.Err))
	case errors.As(err, &host):
		return locale.NewText("daemon.cluster_host_name", "name", host.Name)
	}
	return locale.NewText("config.unexpected", "error", err.Error())
}

func addressProblem(e *netsvc.ListenError) string {
	switch {
	case len(e.HeldBy()) > 0:
		return "daemon.listen_held"
	case e.Unresolved():
		return "daemon.listen_unresolved"
	case e.InUse():
		return "daemon.listen_in_use"
	case e.NotOurs():
		return "daemon.listen_not_ours"
	case e.Denied():
		return portDenied
	}
	return "daemon.listen_other"
}

// addressCommand is what shows the cause.
func addressCommand(e *netsvc.ListenError) string {
	switch {
	case e.NotOurs():
		return showAddresses
	case len(e.HeldBy()) > 0:
		return fmt.Sprintf(showConnection, e.Address.Port)
	}
	return fmt.Sprintf(showPort, e.Address.Port)
}

func databaseProblem(err error) string {
	switch {
	case errors.Is(err, app.ErrLocked):
		return "daemon.database_locked"
	case errors.Is(err, app.ErrNewer):
		return "daemon.database_newer"
	case errors.Is(err, app.ErrDamaged):
		return "daemon.database_damaged"
	case errors.Is(err, app.ErrAnother):
		return "daemon.database_another"
	case errors.Is(err, netsvc.ErrExposed):
		return "daemon.database_exposed"
	case errors.Is(err, fs.ErrPermission):
		return "daemon.database_denied"
	}
	return "daemon.database_other"
}

func channelProblem(err error) string {
	switch {
	case errors.Is(err, socket.ErrInUse):
		return "daemon.channel_in_use"
	case errors.Is(err, socket.ErrOpenFolder):
		return "daemon.channel_open_folder"
	case errors.Is(err, fs.ErrPermission):
		return "daemon.channel_denied"
	}
	return "daemon.channel_other"
}
