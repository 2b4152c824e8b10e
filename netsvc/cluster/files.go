package cluster

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"

	"github.com/nats-io/nats.go"

	"github.com/pns4ones/pns4ones/config/files"
)

// FileProblem says what is wrong with a file that the connection to NATS needs: a stable
// slug, by which a command can find its text in the user's language.
type FileProblem string

// What can be wrong with a file towards NATS.
const (
	FileNotFound      FileProblem = "not_found"
	FileUnreadable    FileProblem = "unreadable"
	FileNoCredentials FileProblem = "no_credentials" // neither .creds nor the seed of an nkey
	FileNoCertificate FileProblem = "no_certificate" // PEM with a certificate
	FileBadPair       FileProblem = "bad_pair"       // no certificate with its key
)

// reason says in English what is the matter.
func (p FileProblem) reason() string {
	switch p {
	case FileNotFound:
		return "there is no such file"
	case FileUnreadable:
		return "it cannot be read"
	case FileNoCredentials:
		return "it holds neither NATS credentials nor the seed of an nkey"
	case FileNoCertificate:
		return "it holds no certificate in PEM"
	case FileBadPair:
		return "it holds no certificate that fits the key"
	}
	return string(p)
}

// FileError says which file towards NATS cannot be used, and why. It holds nothing of the
// file.
type FileError struct {
	Path    string
	Problem FileProblem
	Err     error // the cause, if there is one
}

// Error says in English what is wrong with which file.
func (e *FileError) Error() string {
	text := fmt.Sprintf("%s cannot be used towards NATS: %s", e.Path, e.Problem.reason())
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *FileError) Unwrap() error { return e.Err }

// Check reads the files that a connection needs, and does not connect. The error is a
// *FileError.
func (s *NATS) Check() error {
	if s.Credentials != "" {
		if err := checkCredentials(s.Credentials); err != nil {
			return err
		}
	}
	if s.CA != "" {
		text, err := readFile(s.CA)
		if err != nil {
			return err
		}
		if !x509.NewCertPool().AppendCertsFromPEM(text) {
			return &FileError{Path: s.CA, Problem: FileNoCertificate}
		}
	}
	if s.Certificate == "" {
		return nil
	}
	certificate, err := readFile(s.Certificate)
	if err != nil {
		return err
	}
	key, err := readFile(s.CertificateKey)
	if err != nil {
		return err
	}
	defer clear(key)
	if _, err := tls.X509KeyPair(certificate, key); err != nil {
		return &FileError{Path: s.Certificate, Problem: FileBadPair, Err: err}
	}
	return nil
}

// checkCredentials has nats.go read the file as it does at each connection.
func checkCredentials(path string) error {
	text, err := readFile(path)
	if err != nil {
		return err
	}
	clear(text)
	var connection nats.Options
	option, err := credentials(path)
	if err == nil {
		err = option(&connection)
	}
	if err == nil && connection.UserJWT != nil {
		_, err = connection.UserJWT()
	}
	if err == nil {
		_, err = connection.SignatureCB([]byte("a challenge"))
	}
	if err != nil { // it may show a part of the file
		return &FileError{Path: path, Problem: FileNoCredentials}
	}
	return nil
}

// maxFileBytes is far more than any of these files has.
const maxFileBytes = 4 << 20

func readFile(path string) ([]byte, error) {
	text, err := files.Read(path, maxFileBytes)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &FileError{Path: path, Problem: FileNotFound}
	case err != nil:
		return nil, &FileError{Path: path, Problem: FileUnreadable, Err: files.WithoutPath(err)}
	}
	return text, nil
}
