package main

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc"
)

func TestADatabaseThatCannotBeOpenedIsExplained(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err    error
		ru, en string // parts of the messages
	}{
		{app.ErrLocked, "занята другим процессом", "another process holds it"},
		{app.ErrNewer, "более новой версией", "a newer version"},
		{app.ErrDamaged, "повреждена", "it is damaged"},
		{app.ErrAnother, "это другая база", "it is another database"},
		{netsvc.ErrExposed, "любой пользователь", "every user"},
		{fs.ErrPermission, "нет прав", "no right"},
		{fs.ErrInvalid, "свободное место", "free space"},
	} {
		err := fmt.Errorf("starting: %w",
			&netsvc.DatabaseError{Path: "/var/lib/x.db", Err: fmt.Errorf("opening: %w", test.err)})
		for lang, part := range map[locale.Lang]string{locale.Russian: test.ru, locale.English: test.en} {
			if got := errorText(locale.New(lang), nil, err); !strings.Contains(got, part) ||
				!strings.Contains(got, "/var/lib/x.db") {
				t.Errorf("%v in %s: it says %q, want %q in it", test.err, lang, got, part)
			}
		}
	}
}
