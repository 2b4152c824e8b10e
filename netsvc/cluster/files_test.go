package cluster_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/certificate/certificatetest"
	"github.com/pns4ones/pns4ones/netsvc/cluster"
)

// TestFilesTowardsNATSAreChecked has one row for each thing that can be wrong, and for what is
// right.
func TestFilesTowardsNATSAreChecked(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	file := func(name string, content []byte) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	// Seeds of the bytes «pns4ones: the seed of a test, 32», of a user and of an account.
	const (
		seed        = "SUAHA3TTGRXW4ZLTHIQHI2DFEBZWKZLEEBXWMIDBEB2GK43UFQQDGMTUVM"
		accountSeed = "SAAHA3TTGRXW4ZLTHIQHI2DFEBZWKZLEEBXWMIDBEB2GK43UFQQDGMUHM4"
	)
	credentials := "-----BEGIN NATS USER JWT-----\na.b.c\n------END NATS USER JWT------\n\n" +
		"-----BEGIN USER NKEY SEED-----\n" + seed + "\n------END USER NKEY SEED------\n"
	key, otherKey := certificatetest.ECDSAKey(t), certificatetest.ECDSAKey(t)
	leaf := certificatetest.NewAuthority(t).Issue(t, "leaf", key, time.Now().Add(time.Hour))
	certificate := file("leaf.crt", certificatetest.CertificatePEM(leaf))
	nonsense, missing := file("nonsense", []byte("SUSECRET nonsense")), filepath.Join(folder, "missing")
	for name, tt := range map[string]struct {
		nats    cluster.NATS
		path    string
		problem cluster.FileProblem // empty: nothing is wrong
	}{
		"nothing is named": {},
		"an nkey":          {nats: cluster.NATS{Credentials: file("nk", []byte(seed))}},
		"credentials":      {nats: cluster.NATS{Credentials: file("creds", []byte(credentials))}},
		"an authority":     {nats: cluster.NATS{CA: certificate}},
		"a certificate and its key": {nats: cluster.NATS{Certificate: certificate,
			CertificateKey: file("leaf.key", certificatetest.KeyPEM(t, key))}},
		"no such credentials": {cluster.NATS{Credentials: missing}, missing, cluster.FileNotFound},
		"a folder":            {cluster.NATS{Credentials: folder}, folder, cluster.FileUnreadable},
		"other text":          {cluster.NATS{Credentials: nonsense}, nonsense, cluster.FileNoCredentials},
		"the nkey of an account": {cluster.NATS{Credentials: file("account", []byte(accountSeed))}, filepath.Join(folder, "account"),
			cluster.FileNoCredentials},
		"credentials without a seed": {cluster.NATS{Credentials: file("jwt", []byte(credentials[:60]))},
			filepath.Join(folder, "jwt"), cluster.FileNoCredentials},
		"no such authority": {cluster.NATS{CA: missing}, missing, cluster.FileNotFound},
		"no authority":      {cluster.NATS{CA: nonsense}, nonsense, cluster.FileNoCertificate},
		"no certificate":    {cluster.NATS{Certificate: missing, CertificateKey: nonsense}, missing, cluster.FileNotFound},
		"no key":            {cluster.NATS{Certificate: certificate, CertificateKey: missing}, missing, cluster.FileNotFound},
		"the key of another": {cluster.NATS{Certificate: certificate,
			CertificateKey: file("other.key", certificatetest.KeyPEM(t, otherKey))}, certificate, cluster.FileBadPair},
	} {
		err := tt.nats.Check()
		var refused *cluster.FileError
		switch {
		case tt.problem == "" && err != nil, tt.problem != "" && !errors.As(err, &refused):
			t.Errorf("%s: %v", name, err)
		case refused != nil && (refused.Problem != tt.problem || refused.Path != tt.path):
			t.Errorf("%s: %s of %s", name, refused.Problem, refused.Path)
		case err != nil && (strings.Contains(err.Error(), "SUSECRET") || !strings.Contains(err.Error(), tt.path)):
			t.Errorf("%s: %v", name, err)
		}
	}
}
