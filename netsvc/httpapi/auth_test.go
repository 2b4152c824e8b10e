package httpapi_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/netsvc/httpapi"
)

// The tests of this file are the table of protocol.md section 3.1.

func TestGivesATokenForAServerKey(t *testing.T) {
	t.Parallel()
	s := start(t, httpapi.Options{}, nil)
	a := s.newApp("one")
	s.newApp("another")
	got := s.get("/auth?server_key=" + a.ServerKeys[0].Key)
	if got.status != http.StatusOK || got.header.Get("Content-Type") != "application/json" {
		t.Fatalf("got %d, %s: %s", got.status, got.header.Get("Content-Type"), got.body)
	}
	if got.header.Get("Cache-Control") != "no-store" {
		t.Error("a proxy may keep the token")
	}
	var fields map[string]any
	if err := json.Unmarshal([]byte(got.body), &fields); err != nil || len(fields) != 2 {
		t.Fatalf("body %s (%v), want access_token and expires_in", got.body, err)
	}
	if token, _ := fields["access_token"].(string); !regexp.MustCompile(`^[0-9a-zA-Z_-]{64}$`).MatchString(token) {
		t.Errorf("access_token %q, want 64 URL-safe characters", token)
	}
	if _, ok := fields["expires_in"].(float64); !ok {
		t.Errorf("expires_in is %T, want a number", fields["expires_in"])
	}
}

func TestRefusesAKeyOfNoApp(t *testing.T) {
	t.Parallel()
	s := start(t, httpapi.Options{}, nil)
	a := s.newApp("one")
	key := a.ServerKeys[0].Key
	for name, query := range map[string]string{
		"missing":             "",
		"missing, others not": "?key=" + key,
		"empty":               "?server_key=",
		"unknown":             "?server_key=" + strings.Repeat("a", 64),
		"half of it":          "?server_key=" + key[:32],
		"more than it":        "?server_key=" + key + "0",
		"another letter case": "?server_key=" + swapCase(key),
		"not URL-encoded":     "?server_key=%zz",
		"not UTF-8":           "?server_key=%ff%00",
	} {
		t.Run(name, func(t *testing.T) {
			s.get("/auth"+query).wantError(t, http.StatusUnauthorized, "server_key")
		})
	}
}

func swapCase(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z':
			return r - 'a' + 'A'
		case 'A' <= r && r <= 'Z':
			return r - 'A' + 'a'
		}
		return r
	}, s)
}

func TestTellsExpiryInTheEpochTheSenderCountsIn(t *testing.T) {
	t.Parallel()
	unix := time.Unix(0, 0)
	year1 := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	const (
		platform = "1C+Enterprise/8.3"
		curl     = "curl/8.5.0"
	)
	for _, test := range []struct {
		epoch     config.Epoch
		userAgent string
		want      time.Time
	}{
		{config.EpochAuto, platform, year1},
		{config.EpochAuto, "1C+Enterprise", year1},
		{config.EpochAuto, curl, unix},
		{config.EpochAuto, "", unix},
		{config.EpochAuto, "Mozilla (1C+Enterprise)", unix},
		{config.EpochUnix, platform, unix},
		{config.EpochUnix, curl, unix},
		{config.EpochYear1, platform, year1},
		{config.EpochYear1, curl, year1},
	} {
		t.Run(string(test.epoch)+" "+test.userAgent, func(t *testing.T) {
			s := start(t, httpapi.Options{Limits: httpapi.Limits{ExpiresIn: test.epoch}}, nil)
			got := s.authorize(s.newApp("one"), test.userAgent).ExpiresIn
			want := s.clock.Now().Add(time.Hour).Unix() - test.want.Unix()
			if got != want {
				t.Errorf("expires_in %d, want %d: an hour from now", got, want)
			}
		})
	}
}

func TestANewTokenLeavesTheEarlierOnesValid(t *testing.T) {
	t.Parallel()
	s := start(t, httpapi.Options{}, nil)
	a := s.newApp("one")
	var tokens []string
	for range 5 {
		tokens = append(tokens, s.token(a))
		s.clock.Advance(time.Minute)
	}
	for _, token := range tokens {
		s.send(token, toAll).wantSent(t, 0)
	}
}

func TestTheLifetimeOfTokensIsASetting(t *testing.T) {
	t.Parallel()
	s := start(t, httpapi.Options{Limits: httpapi.Limits{TokenLifetime: 10 * time.Minute}}, nil)
	a := s.newApp("one")
	if got, want := s.authorize(a, "").ExpiresIn, s.clock.Now().Add(10*time.Minute).Unix(); got != want {
		t.Errorf("expires_in %d, want %d", got, want)
	}
	s.http.SetLimits(complete(httpapi.Limits{TokenLifetime: 20 * time.Minute}))
	if got, want := s.authorize(a, "").ExpiresIn, s.clock.Now().Add(20*time.Minute).Unix(); got != want {
		t.Errorf("after SetLimits: expires_in %d, want %d", got, want)
	}
}

func TestAnOldServerKeyWorksUntilItsEnd(t *testing.T) {
	t.Parallel()
	s := start(t, httpapi.Options{}, nil)
	a := s.newApp("one")
	rotated, err := s.apps.RotateServerKey(a.ID, 10*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	old := s.authorize(a, "")
	if want := rotated.ServerKeys[1].Until.Unix(); old.ExpiresIn != want {
		t.Errorf("expires_in %d, want the end of the key, %d", old.ExpiresIn, want)
	}
	s.send(old.AccessToken, toAll).wantSent(t, 0)
	s.clock.Advance(11 * time.Minute)
	s.get("/auth?server_key="+a.ServerKeys[0].Key).wantError(t, http.StatusUnauthorized, "server_key")
}

func TestReadsAKeyThatIsURLEncoded(t *testing.T) {
	t.Parallel()
	s := start(t, httpapi.Options{}, nil)
	key := s.newApp("one").ServerKeys[0].Key
	encoded := "%" + strings.ToUpper(hexOf(key[0])) + url.QueryEscape(key[1:])
	if got := s.get("/auth?x=1&server_key=" + encoded); got.status != http.StatusOK {
		t.Errorf("got %d %s, want 200", got.status, got.body)
	}
}

func hexOf(b byte) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[b>>4], digits[b&15]})
}
