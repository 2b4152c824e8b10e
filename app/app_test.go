package app_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/app"
)

func TestMatch(t *testing.T) {
	t.Parallel()
	const (
		shop   = "0b7a1111-0000-4000-8000-000000000001"
		stock  = "0b7a2222-0000-4000-8000-000000000002"
		office = "ffff0000-0000-4000-8000-000000000003"
		double = "11110000-0000-4000-8000-000000000004"
		second = "22220000-0000-4000-8000-000000000005"
		loud   = "33330000-0000-4000-8000-000000000006"
		prefix = "44440000-0000-4000-8000-000000000007"
	)
	apps := []*app.App{
		{ID: shop, Title: "Магазин"}, {ID: stock, Title: "ffff"}, {ID: office, Title: "Контора"},
		{ID: double, Title: "Два"}, {ID: second, Title: "Два"}, {ID: loud, Title: "КОНТОРА"},
		{ID: prefix, Title: "ffff0"},
	}
	for _, c := range []struct {
		name, ref string
		want      []string // one: found; several: ambiguous; none: not found
	}{
		{"whole id", shop, []string{shop}},
		{"whole id in upper case", strings.ToUpper(office), []string{office}},
		{"title", "Магазин", []string{shop}},
		{"title in another letter case", "магазин", []string{shop}},
		{"title in another letter case of two apps", "два", []string{double, second}},
		{"the very title goes before others of another letter case", "КОНТОРА", []string{loud}},
		{"title of which two differ in letter case only", "конторА", []string{office, loud}},
		{"beginning of an id goes before a title in another letter case", "FFFF0", []string{office}},
		{"title goes before a beginning of an id", "ffff", []string{stock}},
		{"beginning of an id", "0b7a1", []string{shop}},
		{"beginning of an id in upper case", "0B7A2", []string{stock}},
		{"one letter", "1", []string{double}},
		{"beginning of two ids", "0b7a", []string{shop, stock}},
		{"title of two apps", "Два", []string{double, second}},
		{"unknown", "склад", nil},
		{"empty", "", nil},
		{"a letter more than an id", shop + "0", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := app.Match(apps, c.ref)
			var ambiguous *app.AmbiguousError
			switch {
			case len(c.want) == 1:
				if err != nil || got.ID != c.want[0] {
					t.Errorf("got %v, %v; want %s", got, err, c.want[0])
				}
			case len(c.want) == 0:
				if !errors.Is(err, app.ErrNotFound) {
					t.Errorf("got %v, %v; want ErrNotFound", got, err)
				}
			case !errors.As(err, &ambiguous):
				t.Errorf("got %v, %v; want an AmbiguousError", got, err)
			case ambiguous.Ref != c.ref || !reflect.DeepEqual(ambiguous.IDs, c.want):
				t.Errorf("got %+v; want %s", ambiguous, c.want)
			}
		})
	}
}

func TestMatchErrorDoesNotRepeatWhatIsLong(t *testing.T) {
	t.Parallel()
	_, err := app.Match(nil, strings.Repeat("ы", 10_000))
	if len(err.Error()) > 300 {
		t.Errorf("the error has %d bytes", len(err.Error()))
	}
}

func TestTitles(t *testing.T) {
	t.Parallel()
	r, _ := newRegistry(t)
	there := create(t, r, "there")
	long := strings.Repeat("ы", app.MaxTitleRunes)
	for _, c := range []struct{ name, title, want string }{ // want "": refused
		{"plain", "Склад", "Склад"},
		{"blanks around are taken off", "  Склад № 2\t\r\n", "Склад № 2"},
		{"same title as another app", "there", "there"},
		{"looks like a title line", "#1", "#1"},
		{"emoji", "👩‍💻", "👩‍💻"},
		{"200 characters", long, long},
		{"201 characters", long + "ы", ""},
		{"empty", "", ""},
		{"blank", " \t\u00a0", ""},
		{"line feed", "a\nb", ""},
		{"carriage return", "a\rb", ""},
		{"tab", "a\tb", ""},
		{"NUL", "a\x00b", ""},
		{"escape sequence", "\x1b[31mred", ""},
		{"next line", "a\u0085b", ""},
		{"line separator", "a\u2028b", ""},
		{"paragraph separator", "a\u2029b", ""},
		{"invalid UTF-8", "a\xffb", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			for what, call := range map[string]func() (*app.App, error){
				"create": func() (*app.App, error) { return r.Create(c.title) },
				"rename": func() (*app.App, error) { return r.Rename(there.ID, c.title) },
			} {
				a, err := call()
				switch {
				case c.want == "" && !errors.Is(err, app.ErrBadTitle):
					t.Errorf("%s: got %v, %v; want ErrBadTitle", what, a, err)
				case c.want != "" && (err != nil || a.Title != c.want):
					t.Errorf("%s: got %v, %v; want %q", what, a, err, c.want)
				}
			}
		})
	}
}

func TestKeysHaveTheFormOfTheProtocol(t *testing.T) {
	t.Parallel()
	r, _ := newRegistry(t)
	seen := make(map[string]bool)
	for range 3 {
		a := create(t, r, "a")
		if len(a.ID) != 36 || a.ID != strings.ToLower(a.ID) {
			t.Errorf("id %q", a.ID)
		}
		key := a.ServerKeys[0].Key
		if len(key) != 64 || strings.Trim(key, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
			t.Errorf("server key of a wrong form, %d characters", len(key))
		}
		client := must[[]byte](t)(base64.StdEncoding.DecodeString(a.ClientKeys[0].Key))
		if len(client) != 56 || !bytes.HasPrefix(client, []byte{32, 0, 0, 0, 16, 0, 0, 0}) {
			t.Errorf("client key of a wrong form, %d bytes", len(client))
		}
		if g := a.ClientKeys[0].Generation; g != 1 {
			t.Errorf("generation %d", g)
		}
		for _, s := range []string{a.ID, key, a.ClientKeys[0].Key} {
			if seen[s] {
				t.Error("the same id or key twice")
			}
			seen[s] = true
		}
	}
}

// Whatever way an app gets into a log or an error, its keys do not; and the token
// secret does not even get into its JSON.
func TestNothingPrintsSecrets(t *testing.T) {
	t.Parallel()
	r, _ := newRegistry(t)
	a := create(t, r, "Склад")
	a = must[*app.App](t)(r.RotateServerKey(a.ID, time.Hour))
	a = must[*app.App](t)(r.RotateClientKey(a.ID, time.Hour))
	token := must[app.Token](t)(r.Authorize(a.ServerKeys[0].Key, time.Hour))

	var logged bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&logged, nil))
	logger.Info("event", "app", a, "server", a.ServerKeys[0], "client", a.ClientKeys[1], "token", token)
	texts := []string{logged.String()}
	for _, v := range []any{a, *a, a.ServerKeys, a.ClientKeys, a.ServerKeys[1], a.ClientKeys[1], token} {
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			texts = append(texts, fmt.Sprintf(format, v))
		}
	}
	secrets := []string{token.Value}
	for _, k := range a.ServerKeys {
		secrets = append(secrets, k.Key)
	}
	for _, k := range a.ClientKeys {
		secrets = append(secrets, k.Key)
	}
	for _, text := range texts {
		for _, secret := range secrets {
			if strings.Contains(text, secret) || strings.Contains(text, fmt.Sprintf("%x", secret)) {
				t.Errorf("a secret shows in %s", text)
			}
		}
	}
	if !strings.Contains(texts[0], a.ID) {
		t.Errorf("the log does not say which app: %s", texts[0])
	}
	if text := must[[]byte](t)(json.Marshal(a)); strings.Contains(strings.ToLower(string(text)), "secret") {
		t.Error("the JSON of an app has its token secret")
	}
}
