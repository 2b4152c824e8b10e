package certificate

import "strings"

// Problem says what is wrong with a certificate: a stable slug, by
// which a command can find its text in the user's language.
type Problem string

// What can be wrong with a certificate.
const (
	ProblemUnknownMode    Problem = "unknown_mode"          // Options.Mode is none of the four
	ProblemNotNamed       Problem = "not_named"             // no certificate, or no key, was named
	ProblemNotFound       Problem = "not_found"             // the file does not exist
	ProblemUnreadable     Problem = "unreadable"            // the file, or the key in the storage, cannot be read
	ProblemNoAnswer       Problem = "no_answer"             // the disk that the file is on does not answer
	ProblemExposed        Problem = "exposed"               // every user of the machine can read the private key
	ProblemNotPEM         Problem = "not_pem"               // the file holds no PEM blocks at all
	ProblemUTF16          Problem = "utf16"                 // a PEM file in UTF-16
	ProblemDamagedPEM     Problem = "damaged_pem"           // a PEM block that cannot be read
	ProblemHandshake      Problem = "handshake"             // no handshake can succeed with it
	ProblemNoCertificate  Problem = "no_certificate"        // PEM blocks, but no certificate
	ProblemBadCertificate Problem = "bad_certificate"       // a certificate that cannot be parsed
	ProblemNoKey          Problem = "no_private_key"        // PEM blocks, but no private key
	ProblemEncryptedKey   Problem = "encrypted_private_key" // the private key wants a password
	ProblemBadKey         Problem = "bad_private_key"       // a private key that cannot be parsed or used
	ProblemMismatch       Problem = "key_mismatch"          // the key belongs to another certificate
	ProblemBadPFX         Problem = "bad_pfx"               // not a PFX file, or an unsupported kind
	ProblemPEMAsPFX       Problem = "pem_as_pfx"            // a PEM file where a PFX file belongs
	ProblemWrongPassword  Problem = "wrong_password"        // the password does not open the PFX file
	ProblemStorageName    Problem = "not_a_storage_name"    // a path where the name of a stored certificate belongs
	ProblemNotInStorage   Problem = "not_in_storage"        // the storage has no such certificate with a key
)

// advice says in English what happened and what to do about it.
func (p Problem) advice() string {
	switch p {
	case ProblemUnknownMode:
		return "unknown ssl_mode: use None, FromStorage, FromFileWithPrivateKey or FromFileWithPassword"
	case ProblemNotNamed:
		return "no file named: set ssl_certificate, and ssl_certificate_key with FromFileWithPrivateKey"
	case ProblemNotFound:
		return "no such file: correct the path, or put the file there"
	case ProblemUnreadable:
		return "cannot be read: let the user the service runs as read it"
	case ProblemNoAnswer:
		return "the disk that the file lies on does not answer: put the file onto a disk of this machine"
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

// Error says which certificate cannot be used and why. It holds no secret.
type Error struct {
	Path    string   // the file, or the name in the storage
	Problem Problem  // what is wrong, for a program
	Tried   []string // with ProblemNotInStorage: where it was looked for
	Err     error    // the cause, if there is one
}

// Error says in English what is wrong, with which file, and what to do.
func (e *Error) Error() string {
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
func (e *Error) Unwrap() error { return e.Err }
