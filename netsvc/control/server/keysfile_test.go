package server_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

func TestAKeysFileGoesOutAndComesBack(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	ctx := t.Context()
	a, b := d.newApp("Первое"), d.newApp("Второе")
	var file bytes.Buffer
	if err := d.Export(ctx, &file); err != nil {
		t.Fatal(err)
	}
	report, err := d.Import(ctx, bytes.NewReader(file.Bytes()))
	if err != nil || len(report.Imported) != 0 || len(report.Present) != 2 || len(report.Problems) != 0 {
		t.Errorf("importing what is there: %+v, %v", report, err)
	}
	for _, id := range []string{a.ID, b.ID} {
		if _, err := d.RemoveApp(ctx, id); err != nil {
			t.Fatal(err)
		}
	}
	damaged := "\uFEFF" + strings.ReplaceAll(file.String(), "\n", "\r\n") + "#Третье\r\nno id\r\nno key\r\nno key\r\n"
	report, err = d.Import(ctx, strings.NewReader(damaged))
	if err != nil || len(report.Imported) != 2 || len(report.Present) != 0 || len(report.Problems) == 0 {
		t.Fatalf("importing: %+v, %v", report, err)
	}
	p := report.Problems[0]
	if p.Code != string(app.ProblemBadID) || !p.Skipped || p.Title != "Третье" ||
		p.Line != strings.Count(file.String(), "\n")+2 || p.Detail == "" {
		t.Errorf("the problem is %+v", p)
	}
	for _, want := range []control.App{a, b} {
		got, err := d.App(ctx, want.ID)
		if err != nil || got.ServerKey != want.ServerKey || got.ClientKey != want.ClientKey || got.Title != want.Title {
			t.Errorf("came back as %+v (%v), want %+v", got, err, want)
		}
		d.connect(got, "ib", "ann", "") // the hub knows it
	}
}

func TestExportIsPlainText(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	a := d.newApp("Первое")
	got := d.do("GET", "/v1/export", "")
	if got.status != http.StatusOK || got.header.Get("Content-Type") != "text/plain; charset=utf-8" ||
		got.header.Get("Cache-Control") != "no-store" {
		t.Errorf("answered %d with %v", got.status, got.header)
	}
	if want := "#Первое\n" + a.ID + "\n" + a.ServerKey + "\n" + a.ClientKey + "\n"; !strings.HasPrefix(got.body, want) {
		t.Errorf("got %q, want %q", got.body, want)
	}
}

func TestAnEmptyImportAnswersEmptyArrays(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	if got := d.do("POST", "/v1/import",
		"").body; got != "{\"imported\":[],\"present\":[],\"problems\":[],\"omitted\":0}\n" {
		t.Errorf("answered %s", got)
	}
}

func TestAnImportMayBeLargerThanOtherRequests(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	a := d.newApp("one")
	var file bytes.Buffer
	if err := d.Export(t.Context(), &file); err != nil {
		t.Fatal(err)
	}
	if _, err := d.RemoveApp(t.Context(), a.ID); err != nil {
		t.Fatal(err)
	}
	blank := app.MaxImportBytes - file.Len()
	whole := append(bytes.Repeat([]byte("\n"), blank), file.Bytes()...)
	report, err := d.Import(t.Context(), bytes.NewReader(whole))
	if err != nil || len(report.Imported) != 1 {
		t.Errorf("importing %d bytes: %+v, %v", len(whole), report, err)
	}
	// An io.Reader without a length, as a pipe is, and one with: the same refusal.
	for name, file := range map[string]io.Reader{
		"stream": io.MultiReader(strings.NewReader("\n"), bytes.NewReader(whole)),
		"file":   bytes.NewReader(append(whole, '\n')),
	} {
		_, err = d.Import(t.Context(), file)
		refusal := refused(t, err, http.StatusRequestEntityTooLarge, control.CodeTooLarge)
		if !strings.Contains(refusal.Message, "16777216") {
			t.Errorf("%s: refused with %q, want the limit", name, refusal.Message)
		}
	}
}

// brokenFile is a file that cannot be read to its end, and remembers being closed.
type brokenFile struct{ closed bool }

var errBroken = errors.New("input/output error")

func (f *brokenFile) Read([]byte) (int, error) { return 0, errBroken }
func (f *brokenFile) Close() error             { f.closed = true; return nil }

func TestAFileThatCannotBeReadIsNotImported(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	file := new(brokenFile)
	if _, err := d.Import(t.Context(), file); !errors.Is(err, errBroken) {
		t.Errorf("got %v, want the file's error", err)
	}
	if file.closed {
		t.Error("the caller's file was closed")
	}
	d.stop()
	if log := d.log.String(); strings.Contains(log, "level=ERROR") {
		t.Errorf("the daemon takes it for its own fault:\n%s", log)
	}
}
