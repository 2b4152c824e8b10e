package main

import (
	"slices"
	"strings"
	"testing"
)

// TestServiceSID has the identifier that Windows itself uses.
func TestServiceSID(t *testing.T) {
	t.Parallel()
	const want = "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"
	if got := serviceSID("TrustedInstaller"); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestServiceCommandLines(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		image, program string
		flags          []string
	}{
		{`"C:\Program Files\PNS4OneS\PNS4OneS.exe"`, `C:\Program Files\PNS4OneS\PNS4OneS.exe`, nil},
		{`C:\Program Files\PNS4OneS\PNS4OneS.exe`, `C:\Program Files\PNS4OneS\PNS4OneS.exe`, nil},
		{`C:\Program Files\PNS4OneS\PNS4OneS.EXE -listen localhost`, `C:\Program Files\PNS4OneS\PNS4OneS.EXE`,
			[]string{"-listen", "localhost"}},
		{`"C:\a.exe b\p.exe"  -config "C:\x y\p.toml"`, `C:\a.exe b\p.exe`, []string{"-config", `C:\x y\p.toml`}},
		{`C:\pns\PNS4OneS /listen=*`, `C:\pns\PNS4OneS`, []string{"/listen=*"}},
	} {
		if program, _ := splitImage(tt.image); program != tt.program {
			t.Errorf("%s: program %s, want %s", tt.image, program, tt.program)
		}
		if flags := imageFlags(tt.image); !slices.Equal(flags, tt.flags) {
			t.Errorf("%s: flags %q, want %q", tt.image, flags, tt.flags)
		}
	}
}

func TestServicePasswordsAreNotShown(t *testing.T) {
	t.Parallel()
	for _, flags := range [][]string{
		{"-ssl_certificate_password=two secrets", "-listen=*"},
		{"/SSL-Certificate-Password", "secret", "-listen=*"},
	} {
		got := shownCommand(`C:\a b\p.exe`, flags)
		if strings.Contains(got, "secret") || !strings.HasPrefix(got, `"C:\a b\p.exe" `) ||
			!strings.HasSuffix(got, "******** -listen=*") {
			t.Errorf("%q is shown as %s", flags, got)
		}
	}
}
