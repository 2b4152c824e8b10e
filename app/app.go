package app

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/pns4ones/pns4ones/app/names"
)

// MaxTitleRunes is the longest title, in characters (protocol.md, section 2).
const MaxTitleRunes = 200

// Errors that callers decide by, with errors.Is.
var (
	// ErrNotFound: no app has this id, title or prefix.
	ErrNotFound = errors.New("no such app")
	// ErrBadTitle: the title is empty, too long, not one line, or not text.
	ErrBadTitle = errors.New("the title cannot be used")
	// ErrUnknownKey: no app has this server key, or its time is over.
	ErrUnknownKey = errors.New("unknown server key")
	// ErrTooManyKeys: so many old keys of the app still work that no more are kept.
	ErrTooManyKeys = errors.New("too many old keys still work")
	// ErrBadGrace: a grace is negative or longer than MaxGrace.
	ErrBadGrace = errors.New("the grace cannot be used")
	// ErrTokenInvalid: the token is malformed, forged, reset, or its app or key is gone.
	ErrTokenInvalid = errors.New("the token is not valid")
	// ErrTokenExpired: the token is genuine, but its time is over.
	ErrTokenExpired = errors.New("the token has expired")
	// ErrNotStored: the disk did not take a change, and nothing was changed. It
	// comes with the system's reason.
	ErrNotStored = errors.New("it could not be stored")
	// ErrOutcomeUnknown: the disk was given a change, and did not say that it has it.
	// What is in the file holds: look whether the change is there.
	ErrOutcomeUnknown = errors.New("whether it was stored is not known")
	// ErrUnavailable: the registry serves from memory, since its database cannot be
	// opened. Apps, keys and tokens work; nothing can be changed.
	ErrUnavailable = errors.New("the database is not available")
	// ErrHandingOver: the sessions are on their way to another process. Changes are
	// possible again in a moment.
	ErrHandingOver = errors.New("the service is being handed over to another process")
	// ErrAnother: the file at the path is a database, but not the one that was there
	// before.
	ErrAnother = errors.New("it is another database")
)

// App is a tenant of the service: «приложение сервиса». An App that was handed
// out is never modified, neither by the registry nor by those who got it; each
// change makes a new one. So it may be read from any goroutine.
//
// Its text form, for logs and errors, has the id and the title but no keys.
type App struct {
	ID        string // UUID, lower case
	Title     string // one line, 1 to MaxTitleRunes characters, no blanks around it
	CreatedAt time.Time
	// ServerKeys and ClientKeys have the current key first; the others are old
	// ones, latest first, that work until their Until.
	ServerKeys []ServerKey
	ClientKeys []ClientKey

	names   *names.Table
	namesAt int64
	later   *laterFields // never modified; nil: there is nothing
}

// Names is what the app's users and infobases are called; nil: nobody has said so.
func (a *App) Names() *names.Table { return a.names }

// NamesAt is when the names were changed last, on whichever node of a cluster, in
// milliseconds since 1970, and later than what they were made from; 0: they never were, or
// by a version that does not note it.
func (a *App) NamesAt() int64 { return a.namesAt }

// ServerKey is what a sender authorises with (protocol.md, section 2). Tokens
// obtained with a key carry a MAC under a secret that belongs to this very key,
// and so die with it.
type ServerKey struct {
	Key   string
	Since time.Time // when it was made, or earlier: an older version did not note it, and then it is CreatedAt; UTC
	Until time.Time // zero for the current key; whole seconds, UTC

	tokenSecret tokenSecret
}

// ClientKey is what a 1C session registers and decrypts with (protocol.md,
// section 2).
type ClientKey struct {
	Key        string    // base64
	Generation int       // 1 for the first key of the app, growing by one
	Since      time.Time // as in ServerKey
	Until      time.Time // zero for the current key; whole seconds, UTC
}

// String names the app without its keys.
func (a *App) String() string { return fmt.Sprintf("app %s %q", a.ID, a.Title) }

// GoString is String: %#v must not show keys.
func (a *App) GoString() string { return a.String() }

// LogValue is the id and the title.
func (a *App) LogValue() slog.Value {
	return slog.GroupValue(slog.String("id", a.ID), slog.String("title", a.Title))
}

// String hides the key.
func (k ServerKey) String() string { return describeKey("server key", k.Until) }

// GoString is String: %#v must not show the key.
func (k ServerKey) GoString() string { return k.String() }

// LogValue hides the key.
func (k ServerKey) LogValue() slog.Value { return slog.StringValue(k.String()) }

// String hides the key.
func (k ClientKey) String() string {
	return describeKey(fmt.Sprintf("client key %d", k.Generation), k.Until)
}

// GoString is String: %#v must not show the key.
func (k ClientKey) GoString() string { return k.String() }

// LogValue hides the key.
func (k ClientKey) LogValue() slog.Value { return slog.StringValue(k.String()) }

func describeKey(what string, until time.Time) string {
	if until.IsZero() {
		return what
	}
	return what + " until " + until.Format(time.RFC3339)
}

// works reports whether a key with this end is good at now.
func works(until, now time.Time) bool { return until.IsZero() || now.Before(until) }

// AmbiguousError says that a reference fits several apps.
type AmbiguousError struct {
	Ref string
	IDs []string // of the apps it fits, in the order of the list
}

func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("%q fits %d apps: %s", e.Ref, len(e.IDs), strings.Join(e.IDs, ", "))
}

// Match finds the app a person means by ref: its id in any letter case, its exact
// title, a beginning of its id that no other app shares, or its title in another letter
// case; tried in this order.
// The error is ErrNotFound or an *AmbiguousError.
func Match(apps []*App, ref string) (*App, error) {
	lower := strings.ToLower(ref)
	for _, fits := range []func(*App) bool{
		func(a *App) bool { return a.ID == lower },
		func(a *App) bool { return a.Title == ref },
		func(a *App) bool { return ref != "" && strings.HasPrefix(a.ID, lower) },
		func(a *App) bool { return strings.EqualFold(a.Title, ref) },
	} {
		var found []*App
		for _, a := range apps {
			if fits(a) {
				found = append(found, a)
			}
		}
		switch len(found) {
		case 0:
			continue
		case 1:
			return found[0], nil
		}
		ambiguous := &AmbiguousError{Ref: ref}
		for _, a := range found {
			ambiguous.IDs = append(ambiguous.IDs, a.ID)
		}
		return nil, ambiguous
	}
	return nil, fmt.Errorf("%w: %s", ErrNotFound, quoteShort(ref))
}

// quoteShort quotes what someone typed; a whole file pasted by mistake stays out
// of the message.
func quoteShort(s string) string {
	const longest = 64
	if utf8.RuneCountInString(s) > longest {
		s = string([]rune(s)[:longest]) + "…"
	}
	return fmt.Sprintf("%q", s)
}

func compareApps(a, b *App) int {
	return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), strings.Compare(a.ID, b.ID))
}

// CheckTitle returns nil if an app can have that title, or ErrBadTitle with the reason.
func CheckTitle(title string) error {
	_, err := cleanTitle(title)
	return err
}

// cleanTitle takes blanks off both ends and checks the rest. The error is
// ErrBadTitle with the reason.
func cleanTitle(title string) (string, error) {
	title = strings.TrimSpace(title)
	switch {
	case title == "":
		return "", fmt.Errorf("%w: it is empty", ErrBadTitle)
	case !utf8.ValidString(title):
		return "", fmt.Errorf("%w: it is not valid UTF-8", ErrBadTitle)
	case strings.ContainsFunc(title, breaksLine):
		return "", fmt.Errorf("%w: it has a line break or a control character", ErrBadTitle)
	case utf8.RuneCountInString(title) > MaxTitleRunes:
		return "", fmt.Errorf("%w: it has %d characters, at most %d are allowed",
			ErrBadTitle, utf8.RuneCountInString(title), MaxTitleRunes)
	}
	return title, nil
}

// breaksLine: control characters, and the separators Unicode counts as line ends.
func breaksLine(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }

// clone makes a copy that may be changed until it is published.
func (a *App) clone() *App {
	b := *a
	b.ServerKeys = slices.Clone(a.ServerKeys)
	b.ClientKeys = slices.Clone(a.ClientKeys)
	return &b
}
