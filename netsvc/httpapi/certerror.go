package httpapi

import "strings"

// CertificateProblem says what is wrong with a certificate: a stable slug, by
// which a command can find its text in the user's language.
type CertificateProblem string

// What can be wrong with a certificate.
const (
	ProblemUnknownMode    CertificateProblem = "unknown_mode"          // TLSOptions.Mode is none of the four
	ProblemNotNamed       CertificateProblem = "not_named"             // no certificate, or no key, was named
	ProblemNotFound       CertificateProblem = "not_found"             // the file does not exist
	ProblemUnreadable     CertificateProblem = "unreadable"            // the file, or the key in the store, cannot be read
	ProblemExposed        CertificateProblem = "exposed"               // every user of the machine can read the private key
	ProblemNotPEM         CertificateProblem = "not_pem"               // the file holds no PEM blocks at all
	ProblemUTF16          CertificateProblem = "utf16"                 // a PEM file in UTF-16
	ProblemDamagedPEM     CertificateProblem = "damaged_pem"           // a PEM block that cannot be read
	ProblemHandshake      CertificateProblem = "handshake"             // no handshake can succeed with it
	ProblemNoCertificate  CertificateProblem = "no_certificate"        // PEM blocks, but no certificate
	ProblemBadCertificate CertificateProblem = "bad_certificate"       // a certificate that cannot be parsed
	ProblemNoKey          CertificateProblem = "no_private_key"        // PEM blocks, but no private key
	ProblemEncryptedKey   CertificateProblem = "encrypted_private_key" // the private key wants a password
	ProblemBadKey         CertificateProblem = "bad_private_key"       // a private key that cannot be parsed or used
	ProblemMismatch       CertificateProblem = "key_mismatch"          // the key belongs to another certificate
	ProblemBadPFX         CertificateProblem = "bad_pfx"               // not a PFX file, or an unsupported kind
	ProblemPEMAsPFX       CertificateProblem = "pem_as_pfx"            // a PEM file where a PFX file belongs
	ProblemWrongPassword  CertificateProblem = "wrong_password"        // the password does not open the PFX file
	ProblemStorageName    CertificateProblem = "not_a_storage_name"    // a path where the name of a stored certificate belongs
	ProblemNotInStorage   CertificateProblem = "not_in_storage"        // the store has no such certificate with a key
)

// advice says in English what happened and what to do about it.
func (p CertificateProblem) advice() string {
	switch p {
	case ProblemUnknownMode:
		return "unknown ssl_mode: use None, FromStorage, FromFileWithPrivateKey or FromFileWithPassword"
	case ProblemNotNamed:
		return "no file named: set ssl_certificate, and ssl_certificate_key with FromFileWithPrivateKey"
	case ProblemNotFound:
		return "no such file: correct the path, or put the file there"
	case ProblemUnreadable:
		return "cannot be read: let the user the service runs as read it"
	case ProblemExposed:
		return "every user of this machine can read the private key: take it from others with chmod o="
	case ProblemNotPEM:
		return "not a PEM file: convert it with «openssl x509 -inform DER» or «openssl pkey -inform DER»," +
			" or use FromFileWithPassword for a PFX file"
	case ProblemUTF16:
		return "the file is in UTF-16, which Notepad calls «Unicode» and PowerShell writes: save it as ASCII or UTF-8"
	case ProblemDamagedPEM:
		return "one of its PEM blocks is damaged: put certificate and chain together anew"
	case ProblemHandshake:
		return "no sender could connect with it: TLS takes RSA keys from 1024 bits, the curves P-256, P-384 and P-521, and Ed25519"
	case ProblemNoCertificate:
		return "no certificate in the file: ssl_certificate must name the PEM file with the certificate"
	case ProblemBadCertificate:
		return "the certificate is damaged: export or issue it again"
	case ProblemNoKey:
		return "no private key in the file: ssl_certificate_key must name the PEM file with the private key"
	case ProblemEncryptedKey:
		return "the private key is protected by a password: write it without one («openssl pkey -in FILE -out NEW»)," +
			" or make a PFX file and use FromFileWithPassword"
	case ProblemBadKey:
		return "the private key is damaged or of a kind TLS cannot use: RSA, ECDSA and Ed25519 are"
	case ProblemMismatch:
		return "the private key belongs to another certificate: name the key the certificate was issued for"
	case ProblemBadPFX:
		return "not a PFX (PKCS #12) file with one private key and its certificate: export it again," +
			" or use FromFileWithPrivateKey for PEM files"
	case ProblemPEMAsPFX:
		return "a PEM file, not a PFX (PKCS #12) one: convert it with «openssl pkcs12 -export -inkey KEY -in CERTIFICATE -out FILE.pfx»," +
			" or use FromFileWithPrivateKey"
	case ProblemWrongPassword:
		return "ssl_certificate_password does not open the file"
	case ProblemStorageName:
		return "FromStorage takes the name of a stored certificate, not a path: use FromFileWithPrivateKey or FromFileWithPassword"
	case ProblemNotInStorage:
		return "no such certificate with a private key in the system's certificate store:" +
			" put them there, or use FromFileWithPrivateKey"
	}
	return string(p)
}

// CertificateError says which certificate cannot be used and why. It holds no
// secret.
type CertificateError struct {
	Path    string             // the file, or the name in the store
	Problem CertificateProblem // what is wrong, for a program
	Tried   []string           // with ProblemNotInStorage: where it was looked for
	Err     error              // the cause, if there is one
}

// Error tells in English what is wrong, with which file, and what to do.
func (e *CertificateError) Error() string {
	var b strings.Builder
	b.WriteString("certificate")
	if e.Path != "" {
		b.WriteString(": ")
		b.WriteString(e.Path)
	}
	b.WriteString(": ")
	b.WriteString(e.Problem.advice())
	if len(e.Tried) > 0 {
		b.WriteString("; tried ")
		b.WriteString(strings.Join(e.Tried, ", "))
	}
	if e.Err != nil {
		b.WriteString(": ")
		b.WriteString(e.Err.Error())
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *CertificateError) Unwrap() error { return e.Err }
