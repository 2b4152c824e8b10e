package certificate

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"net"
	"time"
)

// proofTime bounds the handshake with itself where the key is in the system's hands,
// perhaps in hardware, which may take a second, or hang.
const proofTime = 5 * time.Second

// canHang reports whether somebody else has to answer for the key to sign. To compute a
// signature takes milliseconds, but on a busy machine any time: then there is no bound.
func canHang(key crypto.PrivateKey) bool {
	switch key.(type) {
	case *rsa.PrivateKey, *ecdsa.PrivateKey, ed25519.PrivateKey:
		return false
	}
	return true
}

// prove makes a handshake with the certificate, as any sender will: a key that cannot
// sign, a curve or a size that TLS does not know is found here, and not by the first
// sender.
func prove(certificate *tls.Certificate) error {
	ctx := context.Background()
	if canHang(certificate.PrivateKey) {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, proofTime)
		defer cancel()
	}
	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	server := tls.Server(here, &tls.Config{Certificates: []tls.Certificate{*certificate}, MinVersion: tls.VersionTLS12})
	// whom to trust is the senders' business
	client := tls.Client(there, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12})
	served := make(chan error, 1)
	go func() {
		err := server.HandshakeContext(ctx)
		if err != nil {
			here.Close()
		}
		served <- err
	}()
	err := client.HandshakeContext(ctx)
	if err != nil {
		there.Close()
	}
	// What the server says is the cause; the client sees a connection that ended.
	if serverErr := <-served; serverErr != nil {
		return serverErr
	}
	return err
}

// leafOf returns the certificate that the key belongs to. Of several, as when a
// renewed one was put into the file beside the former one, it is the one that is good
// now, and of those the newest.
func leafOf(certificates []*x509.Certificate, signer crypto.Signer, now time.Time) *x509.Certificate {
	var best *x509.Certificate
	for _, c := range certificates {
		if fits(c, signer) && (best == nil || better(c, best, now)) {
			best = c
		}
	}
	return best
}

// fits reports whether the key belongs to the certificate.
func fits(c *x509.Certificate, signer crypto.Signer) bool {
	public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(c.PublicKey)
}

// better reports whether a is to be served rather than b.
func better(a, b *x509.Certificate, now time.Time) bool {
	good := func(c *x509.Certificate) bool { return !now.Before(c.NotBefore) && now.Before(c.NotAfter) }
	if good(a) != good(b) {
		return good(a)
	}
	if !a.NotBefore.Equal(b.NotBefore) {
		return a.NotBefore.After(b.NotBefore)
	}
	return a.NotAfter.After(b.NotAfter)
}
