package main

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc"
	"github.com/pns4ones/pns4ones/netsvc/cluster"
	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
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

func TestWhatKeepsADaemonFromItsClusterIsExplained(t *testing.T) {
	t.Parallel()
	keys := []seal.KeyProblem{seal.KeyFileNotFound, seal.KeyFileUnreadable, seal.KeyFileExposed, seal.KeyFileTooLarge,
		seal.KeyFileEmpty, seal.KeyLineForm, seal.KeyLineVersion, seal.KeyLineID, seal.KeyLineKey, seal.KeyLineTwice}
	files := []cluster.FileProblem{cluster.FileNotFound, cluster.FileUnreadable, cluster.FileNoCredentials,
		cluster.FileNoCertificate, cluster.FileBadPair}
	var all []error
	for _, problem := range keys {
		all = append(all, &seal.KeyError{Path: "/etc/x", Line: 7, Problem: problem, Err: fs.ErrPermission})
	}
	for _, problem := range files {
		all = append(all, &cluster.FileError{Path: "/etc/x", Problem: problem, Err: fs.ErrPermission})
	}
	for _, err := range append(all, &netsvc.HostNameError{Name: "/etc/x"}) {
		for _, lang := range []locale.Lang{locale.Russian, locale.English} {
			got := errorText(locale.New(lang), nil, &netsvc.ClusterError{Setting: "cluster_key", Err: err})
			if !strings.Contains(got, "/etc/x") || strings.Contains(got, "daemon.") || strings.Contains(got, "<no value>") {
				t.Errorf("%v in %s: it says %q", err, lang, got)
			}
		}
	}
}
