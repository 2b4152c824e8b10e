package certificate

import (
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// machineStore is the store «Personal» of the machine, where certlm.msc puts
// the certificates of services.
const (
	machineStore     = "MY"
	machineStoreName = `Cert:\LocalMachine\My`
)

// storageSource finds a certificate of the machine by subject, friendly name
// or thumbprint, as certlm.msc shows them.
func storageSource(name string) (source, error) {
	if name == "" {
		return source{}, &Error{Problem: ProblemNotNamed}
	}
	if strings.ContainsAny(name, `/\`) {
		return source{}, &Error{Path: name, Problem: ProblemStorageName}
	}
	return source{
		storageGap: time.Minute, // a store has no time of change to compare
		read:       func() (*tls.Certificate, error) { return readStored(name) },
	}, nil
}

func readStored(name string) (*tls.Certificate, error) {
	unreadable := func(err error) error {
		return &Error{Path: machineStoreName, Problem: ProblemUnreadable, Err: err}
	}
	storeName, err := windows.UTF16PtrFromString(machineStore)
	if err != nil {
		return nil, unreadable(err)
	}
	store, err := windows.CertOpenStore(windows.CERT_STORE_PROV_SYSTEM, 0, 0,
		windows.CERT_SYSTEM_STORE_LOCAL_MACHINE|windows.CERT_STORE_READONLY_FLAG|windows.CERT_STORE_OPEN_EXISTING_FLAG,
		uintptr(unsafe.Pointer(storeName)))
	if err != nil {
		return nil, unreadable(err)
	}
	defer windows.CertCloseStore(store, 0)

	stored, leaf, err := findStored(store, name)
	if err != nil {
		return nil, unreadable(err)
	}
	if stored == nil {
		return nil, &Error{Path: name, Problem: ProblemNotInStorage, Tried: []string{machineStoreName}}
	}
	defer windows.CertFreeCertificateContext(stored)

	key, err := openStoredKey(stored, leaf.PublicKey)
	if err != nil {
		return nil, &Error{Path: name, Problem: ProblemUnreadable, Err: err}
	}
	certificate, err := pair(append([]*x509.Certificate{leaf}, intermediates(stored)...), key, name)
	if err != nil {
		return nil, err
	}
	if key.rsaWithoutPSS() {
		// Keys of the old CryptoAPI providers cannot do PSS, and TLS 1.3 has
		// nothing else for RSA: such a certificate is served over TLS 1.2.
		certificate.SupportedSignatureAlgorithms = []tls.SignatureScheme{
			tls.PKCS1WithSHA256, tls.PKCS1WithSHA384, tls.PKCS1WithSHA512,
		}
	}
	return certificate, nil
}

// findStored picks, among the certificates with a private key that match the
// name, the one that is valid the longest: a renewed certificate lies beside
// the one it replaces. The caller frees the context.
func findStored(store windows.Handle, name string) (*windows.CertContext, *x509.Certificate, error) {
	var best *windows.CertContext
	var bestLeaf *x509.Certificate
	var at *windows.CertContext
	for {
		var err error
		// It frees the context it is given, and returns the next one.
		at, err = windows.CertFindCertificateInStore(store, windows.X509_ASN_ENCODING|windows.PKCS_7_ASN_ENCODING,
			0, windows.CERT_FIND_HAS_PRIVATE_KEY, nil, at)
		if at == nil {
			if errors.Is(err, windows.Errno(windows.CRYPT_E_NOT_FOUND)) {
				err = nil
			}
			if err != nil && best != nil {
				windows.CertFreeCertificateContext(best)
				best = nil
			}
			return best, bestLeaf, err
		}
		leaf, err := x509.ParseCertificate(encoded(at))
		if err != nil || !matchesStored(name, at, leaf) {
			continue
		}
		if best == nil || leaf.NotAfter.After(bestLeaf.NotAfter) {
			if best != nil {
				windows.CertFreeCertificateContext(best)
			}
			best, bestLeaf = windows.CertDuplicateCertificateContext(at), leaf
		}
	}
}

func matchesStored(name string, context *windows.CertContext, leaf *x509.Certificate) bool {
	thumbprint := sha1.Sum(leaf.Raw)
	// Copied from the certificate dialogue, a thumbprint has spaces and often
	// an invisible left-to-right mark in front.
	asHex := strings.NewReplacer(" ", "", ":", "", "\u200e", "").Replace(name)
	return strings.EqualFold(asHex, hex.EncodeToString(thumbprint[:])) ||
		strings.EqualFold(name, leaf.Subject.CommonName) ||
		strings.EqualFold(name, friendlyName(context)) ||
		strings.EqualFold(name, "CN="+leaf.Subject.CommonName)
}

// friendlyName returns the name certlm.msc shows, which is the subject's if
// nobody gave another.
func friendlyName(context *windows.CertContext) string {
	size := windows.CertGetNameString(context, windows.CERT_NAME_FRIENDLY_DISPLAY_TYPE, 0, nil, nil, 0)
	if size <= 1 {
		return ""
	}
	name := make([]uint16, size)
	windows.CertGetNameString(context, windows.CERT_NAME_FRIENDLY_DISPLAY_TYPE, 0, nil, &name[0], size)
	return windows.UTF16ToString(name)
}

// intermediates returns what the system knows between the certificate and its
// root. Without them the leaf is served alone, as the system itself would.
func intermediates(leaf *windows.CertContext) []*x509.Certificate {
	para := windows.CertChainPara{Size: uint32(unsafe.Sizeof(windows.CertChainPara{}))}
	const (
		localMachine      = windows.Handle(1) // HCCE_LOCAL_MACHINE
		cacheOnlyURL      = 0x4               // CERT_CHAIN_CACHE_ONLY_URL_RETRIEVAL: no network here
		revocationOffline = 0x80000000        // CERT_CHAIN_REVOCATION_CHECK_CACHE_ONLY
	)
	var chain *windows.CertChainContext
	if err := windows.CertGetCertificateChain(localMachine, leaf, nil, leaf.Store, &para,
		cacheOnlyURL|revocationOffline, 0, &chain); err != nil {
		return nil
	}
	defer windows.CertFreeCertificateChain(chain)
	if chain.ChainCount == 0 {
		return nil
	}
	simple := unsafe.Slice(chain.Chains, chain.ChainCount)[0]
	var result []*x509.Certificate
	for i, element := range unsafe.Slice(simple.Elements, simple.NumElements) {
		c, err := x509.ParseCertificate(encoded(element.CertContext))
		if err != nil {
			return nil
		}
		selfSigned := string(c.RawSubject) == string(c.RawIssuer)
		if i > 0 && !selfSigned {
			result = append(result, c)
		}
	}
	return result
}

// encoded returns a copy of the certificate's DER bytes, which outlives the
// context.
func encoded(context *windows.CertContext) []byte {
	return append([]byte(nil), unsafe.Slice(context.EncodedCert, context.Length)...)
}

// openStoredKey opens the private key of a stored certificate through CNG,
// which also reaches keys of the old CryptoAPI providers.
func openStoredKey(context *windows.CertContext, public any) (*storedKey, error) {
	var handle windows.Handle
	var spec uint32
	var mustFree bool
	err := windows.CryptAcquireCertificatePrivateKey(context,
		windows.CRYPT_ACQUIRE_SILENT_FLAG|windows.CRYPT_ACQUIRE_ONLY_NCRYPT_KEY_FLAG, nil, &handle, &spec, &mustFree)
	if err != nil {
		return nil, fmt.Errorf("opening the private key: %w", err)
	}
	return newStoredKey(handle, public, mustFree), nil
}
