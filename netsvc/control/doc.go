// Package control is the control channel as its clients see it: the objects,
// events and errors, and the typed [Client], which is the only code of ours that
// asks. HTTP and JSON over a Unix socket or a named pipe; curl can ask too.
//
// The admin program, its panel and the tests import it, and with it nothing of the
// daemon behind the channel: control/server answers, control/socket connects the
// two.
package control
