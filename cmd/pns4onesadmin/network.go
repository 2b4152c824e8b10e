package main

import (
	"errors"
	"net"

	"github.com/pns4ones/pns4ones/config/locale"
)

// networkError is why an address could not be reached, as an argument of a text. The
// resolver speaks English only.
func networkError(err error) any {
	if unknown, ok := errors.AsType[*net.DNSError](err); ok {
		return locale.NewText("admin.unknown_host", "name", locale.Clean(unknown.Name))
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op // without our own words before it, which are in English too
	}
	return err
}
