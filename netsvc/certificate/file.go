package certificate

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

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
		if block.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
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
	blocks := pemBlocks(data)
	if len(blocks) == 0 {
		return nil, &Error{Path: path, Problem: ProblemNotPEM}
	}
	return blocks, nil
}

// pemBlocks returns all blocks in a file; none if it is not PEM.
func pemBlocks(data []byte) []*pem.Block {
	// Notepad puts a byte order mark before the first block, and encoding/pem
	// then does not see that block.
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	var blocks []*pem.Block
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return blocks
		}
		blocks = append(blocks, block)
	}
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
	case err != nil && len(pemBlocks(data)) > 0:
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
	data, err := readAtMost(path, maxCertificateFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &Error{Path: path, Problem: ProblemNotFound}
	}
	if err != nil {
		return nil, &Error{Path: path, Problem: ProblemUnreadable, Err: files.WithoutPath(err)}
	}
	return data, nil
}

func readAtMost(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("larger than %d bytes", limit)
	}
	return data, nil
}

// pair puts the certificate the key belongs to first, whatever the order they
// came in (a PFX file exported by Windows may begin with the root), the others
// after it as its chain, and proves that the key can sign. path is where the
// key came from.
func pair(certificates []*x509.Certificate, key crypto.PrivateKey, path string) (*tls.Certificate, error) {
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, &Error{Path: path, Problem: ProblemBadKey, Err: fmt.Errorf("a key of type %T", key)}
	}
	leaf := leafOf(certificates, signer)
	if leaf == nil {
		return nil, &Error{Path: path, Problem: ProblemMismatch}
	}
	if err := proveSigner(signer); err != nil {
		return nil, &Error{Path: path, Problem: ProblemBadKey, Err: err}
	}
	result := &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: signer, Leaf: leaf}
	for _, c := range certificates {
		if c != leaf {
			result.Certificate = append(result.Certificate, c.Raw)
		}
	}
	return result, nil
}

func leafOf(certificates []*x509.Certificate, signer crypto.Signer) *x509.Certificate {
	public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok {
		return nil
	}
	for _, c := range certificates {
		if public.Equal(c.PublicKey) {
			return c
		}
	}
	return nil
}

// proveSigner makes one signature the way TLS will, so that a key that cannot
// sign is found at start and not by the first sender.
func proveSigner(signer crypto.Signer) error {
	digest := sha256.Sum256([]byte("pns4ones"))
	if _, ok := signer.Public().(ed25519.PublicKey); ok {
		_, err := signer.Sign(rand.Reader, digest[:], crypto.Hash(0))
		return err
	}
	_, err := signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	return err
}
