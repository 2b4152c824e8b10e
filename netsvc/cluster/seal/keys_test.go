package seal_test

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
)

const goodLine = "pns4ones-cluster-1 01020304 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

func TestReadsKeyFiles(t *testing.T) {
	t.Parallel()
	const other = "pns4ones-cluster-1 A0B1C2D3 //jx6uPc1c7HwLmyq6Sdlo+IgXpzbGVeV1BJQjs0LSY="
	for _, test := range []struct{ name, text, want string }{
		{"one", goodLine, "[01020304]"},
		{"with a comment", "# ours\n\n" + goodLine + " # since May\n", "[01020304]"},
		{"from Windows", "\ufeff" + strings.ReplaceAll("# ours\n"+goodLine+"\n", "\n", "\r\n"), "[01020304]"},
		{"with tabs", "\t" + strings.ReplaceAll(goodLine, " ", "\t "), "[01020304]"},
		{"two", goodLine + "\n" + other, "[01020304 a0b1c2d3]"},
		{"two, the other way round", other + "\n" + goodLine, "[a0b1c2d3 01020304]"},
	} {
		keys, err := seal.ParseKeys("cluster.key", []byte(test.text))
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if got := fmt.Sprint(keys.IDs()); got != test.want || keys.ID() != keys.IDs()[0] {
			t.Errorf("%s: keys %s, the first %s, want %s", test.name, got, keys.ID(), test.want)
		}
	}
}

func TestAWrongKeyFileNamesItsLineAndTheWayOut(t *testing.T) {
	t.Parallel()
	const secret = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	for _, test := range []struct {
		name, text string
		line       int
		problem    seal.KeyProblem
		says       string
	}{
		{"empty", "", 0, seal.KeyFileEmpty, "pns4onesadmin cluster key new"},
		{"comments", "# a\n#b\n", 0, seal.KeyFileEmpty, "no key"},
		{"a second line", goodLine + "\nsecret\n", 2, seal.KeyLineVersion, "pns4ones-cluster-1"},
		{"newer", "pns4ones-cluster-2 01020304 " + secret, 1, seal.KeyLineVersion, "newer release"},
		{"a word less", "pns4ones-cluster-1 " + secret, 1, seal.KeyLineForm, "ID KEY"},
		{"a word more", goodLine + " " + secret, 1, seal.KeyLineForm, "comment after #"},
		{"short id", "pns4ones-cluster-1 010203 " + secret, 1, seal.KeyLineID, "8 hexadecimal digits"},
		{"odd id", "pns4ones-cluster-1 010203045 " + secret, 1, seal.KeyLineID, "8 hexadecimal digits"},
		{"wrong id", "pns4ones-cluster-1 0102030g " + secret, 1, seal.KeyLineID, "8 hexadecimal digits"},
		{"short key", "pns4ones-cluster-1 01020304 " + secret[4:], 1, seal.KeyLineKey, "32 bytes"},
		{"cut key", "pns4ones-cluster-1 01020304 " + secret[:43], 1, seal.KeyLineKey, "32 bytes"},
		{"long key", "pns4ones-cluster-1 01020304 " + secret[:43] + "A", 1, seal.KeyLineKey, "32 bytes"},
		{"key of 31 bytes", "pns4ones-cluster-1 01020304 " + secret[:42] + "==", 1, seal.KeyLineKey, "32 bytes"},
		{"stray bits", "pns4ones-cluster-1 01020304 " + secret[:42] + "9=", 1, seal.KeyLineKey, "32 bytes"},
		{"not base64", "pns4ones-cluster-1 01020304 " + strings.Repeat("!", 44), 1, seal.KeyLineKey, "base64"},
		{"twice", "\n" + goodLine + "\n" + goodLine, 3, seal.KeyLineTwice, "remove one"},
	} {
		_, err := seal.ParseKeys("/etc/pns4ones/cluster.key", []byte(test.text))
		wrong, ok := errors.AsType[*seal.KeyError](err)
		if !ok || wrong.Line != test.line || wrong.Problem != test.problem {
			t.Errorf("%s: %v, want %s in line %d", test.name, err, test.problem, test.line)
			continue
		}
		text := err.Error()
		if !strings.Contains(text, "/etc/pns4ones/cluster.key") || !strings.Contains(text, test.says) {
			t.Errorf("%s: %q names neither file nor %q", test.name, text, test.says)
		}
		if test.line > 0 && !strings.Contains(text, fmt.Sprintf("line %d", test.line)) {
			t.Errorf("%s: %q does not name line %d", test.name, text, test.line)
		}
		if strings.Contains(text, secret[4:20]) {
			t.Errorf("%s: %q shows the key", test.name, text)
		}
	}
}

func TestWhatIsNoKeyFile(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	large := filepath.Join(folder, "large")
	if err := os.WriteFile(large, []byte(strings.Repeat("# long\n", 20_000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]seal.KeyProblem{
		filepath.Join(folder, "missing"): seal.KeyFileNotFound,
		folder:                           seal.KeyFileUnreadable,
		large:                            seal.KeyFileTooLarge,
	} {
		_, err := seal.ReadKeys(path)
		if wrong, ok := errors.AsType[*seal.KeyError](err); !ok || wrong.Problem != want || wrong.Path != path {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
		if err != nil && strings.Count(err.Error(), path) != 1 {
			t.Errorf("%q does not name the file once", err)
		}
	}
}

func TestANewKeyFileIsReadAndNeverReplaced(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "cluster.key")
	id, err := seal.WriteNewKey(path)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := seal.ReadKeys(path)
	if err != nil || keys.ID() != id || len(keys.IDs()) != 1 {
		t.Fatalf("read %v (%v), want the key %s", keys.IDs(), err, id)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := seal.WriteNewKey(path); !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("over a file: %v", err)
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Errorf("the file was changed (%v)", err)
	}
}

func TestKeysNeverShowThemselves(t *testing.T) {
	t.Parallel()
	keys := mustKeys(t, goodLine)
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("", "a", keys, "b", *keys)
	for _, text := range []string{log.String(), fmt.Sprint(keys), fmt.Sprint([]*seal.Keys{keys}),
		fmt.Sprintf("%v %+v %#v %x %s", *keys, *keys, *keys, *keys, *keys), fmt.Sprintf("%+v %#v %x", keys, keys, keys)} {
		if strings.Contains(text, "010203") || strings.Contains(text, "1 2 3") || !strings.Contains(text, "[cluster keys]") {
			t.Errorf("printed as %q", text)
		}
	}
}

func FuzzParseKeys(f *testing.F) {
	f.Add([]byte(keyFile))
	f.Add([]byte("# none\n" + goodLine + " # one\r\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := seal.ParseKeys("file", text)
		if err != nil {
			if _, ok := errors.AsType[*seal.KeyError](err); !ok {
				t.Errorf("%T: %v", err, err)
			}
			return
		}
		body, err := keys.OpenRecord("main", "meta", keys.SealRecord("main", "meta", []byte("body")))
		if err != nil || string(body) != "body" {
			t.Errorf("the keys open %q (%v)", body, err)
		}
	})
}
