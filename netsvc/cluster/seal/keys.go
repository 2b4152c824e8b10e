package seal

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"slices"

	"github.com/pns4ones/pns4ones/config/files"
)

const (
	keyMark  = "pns4ones-cluster-1" // the first word of each line with a key
	keyBytes = 32

	// maxKeyFileBytes is far more than a key file ever has: another file was named.
	maxKeyFileBytes = 64 << 10

	// redacted is all that keys ever show of themselves.
	redacted = "[cluster keys]"
)

// KeyID names a key. It is no secret: each envelope carries it.
type KeyID [4]byte

// String returns the id as it stands in the key file.
func (id KeyID) String() string { return hex.EncodeToString(id[:]) }

// Keys are those of a key file: the first one seals, all of them open. They are
// immutable, safe for concurrent use, and never show themselves.
type Keys struct{ all []clusterKey }

type clusterKey struct {
	id     KeyID
	secret [keyBytes]byte
}

// KeyProblem says what is wrong with a key file: a stable slug, by which a command can
// find its text in the user's language.
type KeyProblem string

// What can be wrong with a key file.
const (
	KeyFileNotFound   KeyProblem = "not_found"
	KeyFileUnreadable KeyProblem = "unreadable"
	KeyFileExposed    KeyProblem = "exposed" // every user of the machine can read it
	KeyFileTooLarge   KeyProblem = "too_large"
	KeyFileEmpty      KeyProblem = "empty"   // no line of it has a key
	KeyLineForm       KeyProblem = "form"    // not mark, id and key
	KeyLineVersion    KeyProblem = "version" // the mark is another one
	KeyLineID         KeyProblem = "bad_id"  // not 8 hexadecimal digits
	KeyLineKey        KeyProblem = "bad_key" // not base64 of 32 bytes
	KeyLineTwice      KeyProblem = "twice"   // a line above has the same id
)

// advice says in English what happened and what to do about it.
func (p KeyProblem) advice() string {
	const again = "copy the line anew from another node, or make a new file with «pns4onesadmin cluster key new FILE»"
	switch p {
	case KeyFileNotFound:
		return "no such file: copy it from another node, or make the first one with «pns4onesadmin cluster key new FILE»"
	case KeyFileUnreadable:
		return "cannot be read: let the user the service runs as read it"
	case KeyFileExposed:
		return "every user of this machine can read the keys: take them from others with chmod o="
	case KeyFileTooLarge:
		return "far too large for a key file: cluster_key must name the file with the cluster's keys"
	case KeyFileEmpty:
		return "no key in the file: " + again
	case KeyLineForm:
		return "expected «" + keyMark + " ID KEY» or a comment after #: " + again
	case KeyLineVersion:
		return "does not begin with " + keyMark + ": it is another file, or one of a newer release"
	case KeyLineID:
		return "the id is not 8 hexadecimal digits: " + again
	case KeyLineKey:
		return "the key is not 32 bytes in base64: " + again
	case KeyLineTwice:
		return "a line above has a key of the same id: remove one of the two"
	}
	return string(p)
}

// KeyError says which key file cannot be used and why. It holds nothing of a key.
type KeyError struct {
	Path    string
	Line    int // from 1; 0: the whole file
	Problem KeyProblem
	Err     error // the cause, if there is one
}

// Error says in English what is wrong, with which file and line, and what to do.
func (e *KeyError) Error() string {
	where := e.Path
	if e.Line > 0 {
		where = fmt.Sprintf("%s: line %d", e.Path, e.Line)
	}
	text := fmt.Sprintf("cluster key file: %s: %s", where, e.Problem.advice())
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *KeyError) Unwrap() error { return e.Err }

// ReadKeys reads a key file. It refuses one that every user of the machine can read.
// Errors are *KeyError.
func ReadKeys(path string) (*Keys, error) {
	fail := func(problem KeyProblem, err error) (*Keys, error) {
		return nil, &KeyError{Path: path, Problem: problem, Err: err}
	}
	text, err := files.Read(path, maxKeyFileBytes)
	defer clear(text)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fail(KeyFileNotFound, nil)
	case errors.Is(err, files.ErrTooLarge):
		return fail(KeyFileTooLarge, nil)
	case err != nil:
		return fail(KeyFileUnreadable, files.WithoutPath(err))
	case files.Exposed(path):
		return fail(KeyFileExposed, nil)
	}
	return ParseKeys(path, text)
}

// ParseKeys reads the text of a key file: a key a line, empty lines, and comments that
// begin with #. The path is for errors, which are *KeyError.
func ParseKeys(path string, text []byte) (*Keys, error) {
	keys := new(Keys)
	line := 0
	for content := range bytes.Lines(bytes.TrimPrefix(text, []byte("\ufeff"))) {
		line++
		content, _, _ = bytes.Cut(content, []byte("#")) // base64 has none
		words := bytes.Fields(content)
		if len(words) == 0 {
			continue
		}
		key, problem := parseKey(words)
		if problem == "" && keys.find(key.id) != nil {
			problem = KeyLineTwice
		}
		if problem != "" {
			return nil, &KeyError{Path: path, Line: line, Problem: problem}
		}
		keys.all = append(keys.all, key)
	}
	if len(keys.all) == 0 {
		return nil, &KeyError{Path: path, Problem: KeyFileEmpty}
	}
	return keys, nil
}

func parseKey(words [][]byte) (key clusterKey, problem KeyProblem) {
	switch {
	case string(words[0]) != keyMark:
		return key, KeyLineVersion
	case len(words) != 3:
		return key, KeyLineForm
	case hex.DecodedLen(len(words[1])) != len(key.id):
		return key, KeyLineID
	case base64.StdEncoding.EncodedLen(keyBytes) != len(words[2]):
		return key, KeyLineKey
	}
	if n, err := hex.Decode(key.id[:], words[1]); err != nil || n != len(key.id) {
		return key, KeyLineID
	}
	var secret [keyBytes + 2]byte // base64 may decode to one byte or two more than fit
	n, err := base64.StdEncoding.Strict().Decode(secret[:], words[2])
	if err != nil || n != keyBytes {
		return key, KeyLineKey
	}
	copy(key.secret[:], secret[:])
	return key, ""
}

// WriteNewKey makes a key file with one fresh key, readable for the owner and the
// group, and returns the key's id. It never replaces a file: the error then wraps
// fs.ErrExist.
func WriteNewKey(path string) (KeyID, error) {
	var key clusterKey
	rand.Read(key.id[:]) // never fails: crypto/rand ends the process instead
	rand.Read(key.secret[:])
	text := "# Keys of a pns4ones cluster, the same on every node. Whoever has them governs all nodes.\n" +
		fmt.Sprintf("%s %s %s\n", keyMark, key.id, base64.StdEncoding.EncodeToString(key.secret[:]))
	if err := files.WriteNew(path, []byte(text)); err != nil {
		return KeyID{}, fmt.Errorf("making a cluster key file: %w", err)
	}
	// The daemon, which belongs to the file's group, reads what an administrator made.
	if err := os.Chmod(path, 0o640); err != nil {
		os.Remove(path)
		return KeyID{}, fmt.Errorf("making a cluster key file: %w", err)
	}
	return key.id, nil
}

// ID names the key that seals.
func (k *Keys) ID() KeyID { return k.all[0].id }

// IDs are those of all keys, the one that seals first.
func (k *Keys) IDs() []KeyID {
	ids := make([]KeyID, len(k.all))
	for i := range k.all {
		ids[i] = k.all[i].id
	}
	return ids
}

// find returns the key with an id, nil if there is none.
func (k *Keys) find(id KeyID) *clusterKey {
	if i := slices.IndexFunc(k.all, func(key clusterKey) bool { return key.id == id }); i >= 0 {
		return &k.all[i]
	}
	return nil
}

// String returns a fixed text without the keys.
func (k Keys) String() string { return redacted }

// GoString returns a fixed text without the keys.
func (k Keys) GoString() string { return redacted }

// Format writes a fixed text without the keys, whatever the verb.
func (k Keys) Format(s fmt.State, _ rune) { io.WriteString(s, redacted) }

// LogValue returns a fixed text without the keys.
func (k Keys) LogValue() slog.Value { return slog.StringValue(redacted) }
