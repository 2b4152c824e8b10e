package certificate

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/pns4ones/pns4ones/config/files"
)

// maxCertificateFile keeps a path that names something endless from filling
// the memory; real files are a few KiB.
const maxCertificateFile = 4 << 20

// pemSource reads a certificate with its chain and the private key from two
// PEM files, which may be one and the same.
func pemSource(certificate, key string) source {
	return source{
		paths: []string{certificate, key},
		read:  func() (*tls.Certificate, error) { return readPEM(certificate, key) },
	}
}

// pfxSource reads certificate, chain and private key from one PFX file.
func pfxSource(path, password string) source {
	return source{
		paths: []string{path},
		read:  func() (*tls.Certificate, error) { return readPFX(path, password) },
	}
}

func readPEM(certificatePath, keyPath string) (*tls.Certificate, error) {
	certificates, err := readPEMCertificates(certificatePath)
	if err != nil {
		return nil, err
	}
	key, err := readPEMKey(keyPath)
	if err != nil {
		return nil, err
	}
	return pair(certificates, key, keyPath)
}

func readPEMCertificates(path string) ([]*x509.Certificate, error) {
	blocks, err := readPEMBlocks(path)
	if err != nil {
		return nil, err
	}
	var certificates []*x509.Certificate
	for _, block := range blocks {
		der := certificateBytes(block)
		if der == nil {
			continue
		}
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, &Error{Path: path, Problem: ProblemBadCertificate, Err: err}
		}
		certificates = append(certificates, certificate)
	}
	if len(certificates) == 0 {
		return nil, &Error{Path: path, Problem: ProblemNoCertificate}
	}
	return certificates, nil
}

func readPEMKey(path string) (crypto.PrivateKey, error) {
	blocks, err := readPEMBlocks(path)
	if err != nil {
		return nil, err
	}
	for _, block := range blocks {
		if block.Type != "PRIVATE KEY" && !strings.HasSuffix(block.Type, " PRIVATE KEY") {
			continue
		}
		if block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
			return nil, &Error{Path: path, Problem: ProblemEncryptedKey}
		}
		if files.Exposed(path) {
			return nil, &Error{Path: path, Problem: ProblemExposed}
		}
		key, err := parseKey(block)
		if err != nil {
			return nil, &Error{Path: path, Problem: ProblemBadKey, Err: err}
		}
		return key, nil
	}
	return nil, &Error{Path: path, Problem: ProblemNoKey}
}

func parseKey(block *pem.Block) (crypto.PrivateKey, error) {
	switch block.Type {
	case "RSA PRIVATE KEY":
		return x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		return x509.ParseECPrivateKey(block.Bytes)
	case "PRIVATE KEY":
		return x509.ParsePKCS8PrivateKey(block.Bytes)
	}
	return nil, fmt.Errorf("a PEM block %q", block.Type)
}

func readPEMBlocks(path string) ([]*pem.Block, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	blocks, damaged := pemBlocks(data)
	switch {
	case damaged:
		return nil, &Error{Path: path, Problem: ProblemDamagedPEM}
	case len(blocks) == 0 && isUTF16(data):
		return nil, &Error{Path: path, Problem: ProblemUTF16}
	case len(blocks) == 0:
		return nil, &Error{Path: path, Problem: ProblemNotPEM}
	}
	return blocks, nil
}

func readPFX(path, password string) (*tls.Certificate, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	key, leaf, chain, err := pkcs12.DecodeChain(data, password)
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword), errors.Is(err, pkcs12.ErrDecryption):
		return nil, &Error{Path: path, Problem: ProblemWrongPassword}
	case err != nil && bytes.Contains(data, beginMark):
		return nil, &Error{Path: path, Problem: ProblemPEMAsPFX}
	case err != nil:
		return nil, &Error{Path: path, Problem: ProblemBadPFX, Err: err}
	}
	if files.Exposed(path) {
		return nil, &Error{Path: path, Problem: ProblemExposed}
	}
	return pair(append([]*x509.Certificate{leaf}, chain...), key, path)
}

func readFile(path string) ([]byte, error) {
	data, err := files.Read(path, maxCertificateFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &Error{Path: path, Problem: ProblemNotFound}
	case errors.Is(err, files.ErrNoAnswer):
		return nil, &Error{Path: path, Problem: ProblemNoAnswer, Err: err}
	case err != nil:
		return nil, &Error{Path: path, Problem: ProblemUnreadable, Err: files.WithoutPath(err)}
	}
	return data, nil
}

// pair puts the certificate the key belongs to first, whatever the order they
// came in (a PFX file exported by Windows may begin with the root), the others
// after it as its chain, and proves that it can be served. path is where the key
// came from.
func pair(certificates []*x509.Certificate, key crypto.PrivateKey, path string) (*tls.Certificate, error) {
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, &Error{Path: path, Problem: ProblemBadKey, Err: fmt.Errorf("a key of type %T", key)}
	}
	leaf := leafOf(certificates, signer, time.Now())
	if leaf == nil {
		return nil, &Error{Path: path, Problem: ProblemMismatch}
	}
	result := &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: signer, Leaf: leaf}
	for _, c := range certificates {
		if !fits(c, signer) { // neither the leaf nor one that it replaces
			result.Certificate = append(result.Certificate, c.Raw)
		}
	}
	if err := prove(result); err != nil {
		return nil, &Error{Path: path, Problem: ProblemHandshake, Err: err}
	}
	return result, nil
}
