//go:build unix

package control_test

import (
	"testing"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/control/socket/sockettest"
)

func TestASocketThatNobodyServesIsToldApart(t *testing.T) {
	t.Parallel()
	path := sockettest.Path(t)
	sockettest.Stale(t, path)
	_, err := control.NewClient(path).Status(t.Context())
	unreachable(t, err, path, control.ConnectRefused)
}
