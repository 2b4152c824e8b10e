// Package httpapi is the senders' side of the service: /auth, which gives a
// token for a server key, and /sendmessage, which takes a message and has it
// delivered (protocol.md section 3), over HTTP or HTTPS.
//
// netsvc assembles it: an [app.Registry] says which keys and tokens are good, a
// [hub.Hub] delivers, a [certificate.Certificate] makes the listeners speak TLS. The package
// knows neither the settings file nor the wire format of the sessions, and it
// never shows a key, a token, a query string or the content of a message to
// anyone: not in an answer, not in an error, not in the log.
package httpapi
