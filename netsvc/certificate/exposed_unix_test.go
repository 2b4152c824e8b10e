//go:build unix

package certificate_test

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/config/files/filestest"
	"github.com/pns4ones/pns4ones/netsvc/certificate"
	"github.com/pns4ones/pns4ones/netsvc/certificate/certificatetest"
)

func TestRefusesAPrivateKeyThatEverybodyCanRead(t *testing.T) {
	t.Parallel()
	folder := filestest.OpenFolder(t)
	o := certificatetest.NewAuthority(t).WritePair(t, folder, "site", time.Now().Add(year))
	for _, test := range []struct {
		mode    os.FileMode
		problem certificate.Problem
	}{{0o644, certificate.ProblemExposed}, {0o604, certificate.ProblemExposed}, {0o640, ""}, {0o600, ""}} {
		if err := os.Chmod(o.Key, test.mode); err != nil {
			t.Fatal(err)
		}
		_, err := certificate.Open(o, nil)
		var problem *certificate.Error
		switch errors.As(err, &problem); {
		case test.problem == "" && err != nil:
			t.Errorf("mode %o: %v", test.mode, err)
		case test.problem != "" && (problem == nil || problem.Problem != test.problem || problem.Path != o.Key):
			t.Errorf("mode %o: %v", test.mode, err)
		}
	}
}
