package netsvc

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"unsafe"

	"github.com/pns4ones/pns4ones/netsvc/internal/history"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// recordKeeper keeps the attributes of records, as the log in memory does.
type recordKeeper struct {
	slog.Handler
	kept []slog.Attr
}

func (k *recordKeeper) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		k.kept = append(k.kept, a)
		return true
	})
	return nil
}

// TestTheLogKeepsNoMessage: who a message was for is a part of the request, which as a whole is
// as large as the message. The record in the log must not be what keeps it.
func TestTheLogKeepsNoMessage(t *testing.T) {
	t.Parallel()
	for _, kind := range []wire.RecipientType{wire.ToUser, wire.ToGroup} {
		request := "ib" + "ann" + strings.Repeat("x", 1000)
		to := wire.Recipient{Type: kind, IbID: request[:2], UserID: request[2:5], UserGroup: request[2:5]}
		keeper := &recordKeeper{Handler: slog.DiscardHandler}
		s := &Server{logger: slog.New(enabled{keeper}), history: history.New()}
		s.unmet("app", to)
		if len(keeper.kept) == 0 {
			t.Fatalf("a message %s that reached nobody is not logged", kind)
		}
		first, last := unsafe.StringData(request), unsafe.StringData(request[len(request)-1:])
		for _, a := range keeper.kept {
			if a.Value.Kind() != slog.KindString {
				continue
			}
			at := uintptr(unsafe.Pointer(unsafe.StringData(a.Value.String())))
			if at >= uintptr(unsafe.Pointer(first)) && at <= uintptr(unsafe.Pointer(last)) {
				t.Errorf("the record's %q is a part of the request", a.Key)
			}
		}
	}
}

// enabled has a handler get records of all levels.
type enabled struct{ *recordKeeper }

func (enabled) Enabled(context.Context, slog.Level) bool { return true }
