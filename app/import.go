package app

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/google/uuid"
)

// MaxImportBytes is the largest keys file that is read; it has room for 90 000 apps.
const MaxImportBytes = 16 << 20

// maxProblems bounds the report on a file that is no keys file at all.
const maxProblems = 1000

// ErrImportTooLarge: the file is larger than MaxImportBytes.
var ErrImportTooLarge = errors.New("the file is too large for a keys file")

// ProblemCode is a kind of problem in a keys file; it is stable, for
// translation and scripts.
type ProblemCode string

// What can be wrong with an entry, so that it is skipped.
const (
	ProblemNoTitleLine  ProblemCode = "no_title_line" // text before the first title line
	ProblemIncomplete   ProblemCode = "incomplete"    // the entry has too few lines
	ProblemExtraLine    ProblemCode = "extra_line"    // the entry has too many lines
	ProblemBadText      ProblemCode = "bad_text"      // not UTF-8
	ProblemUTF16        ProblemCode = "utf16"         // the whole file is in UTF-16
	ProblemLineTooLong  ProblemCode = "line_too_long"
	ProblemBadID        ProblemCode = "bad_id"
	ProblemBadServerKey ProblemCode = "bad_server_key"
	ProblemBadClientKey ProblemCode = "bad_client_key"
	ProblemDuplicateID  ProblemCode = "duplicate_id" // an earlier entry of the file has the id
	ProblemIDTaken      ProblemCode = "id_taken"     // an app has the id, with other keys
	ProblemKeyTaken     ProblemCode = "key_taken"    // another app has the server key
)

// What is worth a note although the entry is imported.
const (
	ProblemTitleCut     ProblemCode = "title_cut"      // to MaxTitleRunes
	ProblemTitleCleaned ProblemCode = "title_cleaned"  // control characters became blanks
	ProblemBadToken     ProblemCode = "bad_token_line" // tokens are not taken over anyway
)

// ImportProblem is one thing wrong with a keys file. It has no secrets.
type ImportProblem struct {
	Line    int // from 1
	Code    ProblemCode
	Skipped bool   // the entry was not imported
	Title   string // of the entry, as far as it could be read
	Detail  string // in plain English
}

func (p ImportProblem) String() string {
	return fmt.Sprintf("line %d: %q: %s", p.Line, p.Title, p.Detail)
}

// ImportReport is what became of a keys file.
type ImportReport struct {
	Imported []*App // in the order of the file
	Present  []*App // those that were there already, with the same id and keys
	Problems []ImportProblem
	Omitted  int // problems beyond the first 1000, which are not listed
}

// Import takes over the apps of the old product's keys file, with their ids and
// keys, in one transaction. A damaged entry, and one that contradicts an app that is
// there, is reported and skipped; nothing that is there changes. The title of an
// entry without one is its id. The error is ErrImportTooLarge, that of reading rd, or
// why the apps could not be stored; then nothing was imported, unless it is
// ErrOutcomeUnknown.
//
// With [Options.Agree] each app is a change of its own. After an error the report has
// those that were imported nevertheless.
func (r *Registry) Import(rd io.Reader) (ImportReport, error) {
	content, err := io.ReadAll(io.LimitReader(rd, MaxImportBytes+1))
	if err != nil {
		return ImportReport{}, fmt.Errorf("importing keys: %w", err)
	}
	if len(content) > MaxImportBytes {
		return ImportReport{}, fmt.Errorf("importing keys: %w: at most %d bytes are read", ErrImportTooLarge,
			MaxImportBytes)
	}
	if r.agree != nil {
		report, err := r.importTogether(content)
		if err != nil {
			err = fmt.Errorf("importing keys: %w", err)
		}
		return report, err
	}
	report, err := withFile(r, ErrOutcomeUnknown, func() (ImportReport, error) {
		report := r.planImport(content)
		if len(report.Imported) == 0 {
			return report, nil
		}
		return report, r.commit(change{put: report.Imported})
	})
	if err != nil {
		return ImportReport{}, fmt.Errorf("importing keys: %w", err)
	}
	return report, nil
}

// importTogether is Import in a cluster.
func (r *Registry) importTogether(content []byte) (ImportReport, error) {
	return together(r, func(ctx context.Context) (ImportReport, error) {
		var imported []*App
		ours := make(map[string]bool)
		for range agreeTimes {
			report := r.planImport(content)
			made, met, err := r.proposeNew(ctx, report.Imported)
			err = errors.Join(err, r.storeAgreed(made...))
			for _, one := range made {
				imported = append(imported, one.App)
				ours[one.ID] = true
			}
			if err == nil && met {
				continue // somebody else imports as well: what there is now is looked at again
			}
			report.Imported = imported
			report.Present = slices.DeleteFunc(report.Present, func(a *App) bool { return ours[a.ID] })
			return report, besides(err, imported)
		}
		return ImportReport{Imported: imported}, ErrConflict
	})
}

// proposeNew has apps agreed on one after the other. It stops at the first error; met
// reports whether some are there by now, which somebody else has made.
func (r *Registry) proposeNew(ctx context.Context, apps []*App) (made []Change, met bool, err error) {
	for _, fresh := range apps {
		if err := r.gate.reason(); err != nil { // who pauses need not wait for thousands
			return made, met, err
		}
		_, proposed, err := r.propose(ctx, fresh.ID, func(old *App) (*App, error) {
			if old != nil {
				return old, nil
			}
			return fresh, nil
		})
		if err != nil {
			return made, met, fmt.Errorf("app %s: %w", fresh.ID, err)
		}
		if proposed == nil {
			met = true
			continue
		}
		made = append(made, *proposed)
	}
	return made, met, nil
}

// WouldImport reports whether a keys file holds apps that are not here, or that are
// here with other keys.
func (r *Registry) WouldImport(content []byte) bool {
	report := r.planImport(content)
	return len(report.Imported) > 0 || slices.ContainsFunc(report.Problems, func(p ImportProblem) bool {
		return p.Code == ProblemIDTaken || p.Code == ProblemKeyTaken
	})
}

// planImport works out what would become of a keys file.
func (r *Registry) planImport(content []byte) ImportReport {
	im := importer{
		there:    r.current.Load(),
		now:      r.now().UTC().Round(0),
		seenIDs:  make(map[uuid.UUID]int),
		seenKeys: make(map[string]int),
	}
	if isUTF16(content) {
		im.problem(ImportProblem{Line: 1, Code: ProblemUTF16, Skipped: true,
			Detail: "the file is in UTF-16, which Notepad calls «Unicode»: save it as UTF-8"})
		return im.report
	}
	for e := range splitOldKeys(content) {
		im.entry(e)
	}
	return im.report
}

// importer is one import under way.
type importer struct {
	there    *snapshot
	now      time.Time
	seenIDs  map[uuid.UUID]int // line of the entry that has it
	seenKeys map[string]int
	report   ImportReport
}

func (im *importer) entry(e *oldEntry) {
	keys, title, problems, ok := e.parse()
	if ok && title == "" {
		title = keys.id.String()
	}
	for _, p := range problems {
		p.Title = title
		im.problem(p)
	}
	if !ok {
		return
	}
	skip := func(line int, code ProblemCode, format string, args ...any) {
		im.problem(ImportProblem{Line: line, Code: code, Skipped: true, Title: title,
			Detail: fmt.Sprintf(format, args...)})
	}
	idLine, keyLine := e.rest[0].number, e.rest[1].number
	if line, seen := im.seenIDs[keys.id]; seen {
		skip(idLine, ProblemDuplicateID, "the entry at line %d has the same id", line)
		return
	}
	if a := im.there.byID[keys.id]; a != nil {
		if a.ServerKeys[0].Key != keys.serverKey || a.ClientKeys[0].Key != keys.clientKey {
			skip(idLine, ProblemIDTaken, "app %s is there already, with other keys", a.ID)
			return
		}
		im.seenIDs[keys.id] = e.line
		im.report.Present = append(im.report.Present, a)
		return
	}
	if held, taken := im.there.byServerKey[keys.serverKey]; taken {
		skip(keyLine, ProblemKeyTaken, "app %s has the same server key", held.app.ID)
		return
	}
	if line, seen := im.seenKeys[keys.serverKey]; seen {
		skip(keyLine, ProblemKeyTaken, "the entry at line %d has the same server key", line)
		return
	}
	im.seenIDs[keys.id] = e.line
	im.seenKeys[keys.serverKey] = e.line
	// A nanosecond apart, so that the list keeps the order of the file.
	now := im.now.Add(time.Duration(len(im.report.Imported)))
	im.report.Imported = append(im.report.Imported, &App{
		ID:         keys.id.String(),
		Title:      title,
		CreatedAt:  now,
		ServerKeys: []ServerKey{{Key: keys.serverKey, Since: now, tokenSecret: newTokenSecret()}},
		ClientKeys: []ClientKey{{Key: keys.clientKey, Generation: 1, Since: now}},
	})
}

func (im *importer) problem(p ImportProblem) {
	if len(im.report.Problems) == maxProblems {
		im.report.Omitted++
		return
	}
	im.report.Problems = append(im.report.Problems, p)
}

// Export writes all apps with their current keys as a keys file of the old product;
// [Registry.Import] reads it back as it was, but for old keys and tokens. What it
// writes is secret.
func (r *Registry) Export(w io.Writer) error {
	b := bufio.NewWriter(w)
	for _, a := range r.current.Load().list {
		fmt.Fprintf(b, "#%s\n%s\n%s\n%s\n\n", a.Title, a.ID, a.ServerKeys[0].Key, a.ClientKeys[0].Key)
	}
	if err := b.Flush(); err != nil {
		return fmt.Errorf("exporting keys: %w", err)
	}
	return nil
}
