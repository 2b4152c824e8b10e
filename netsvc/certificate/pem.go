package certificate

import (
	"bytes"
	"encoding/asn1"
	"encoding/pem"
	"regexp"
)

// Marks of a PEM block (RFC 7468, 2).
var (
	beginMark = []byte("-----BEGIN ")
	endMark   = regexp.MustCompile(`-----END [^\n-]*-----`)
)

// pemBlocks returns all blocks in a file; none if it is not PEM. damaged: there is a
// block more, which cannot be read. encoding/pem passes over it in silence, and a
// chain would be served without it.
func pemBlocks(data []byte) (blocks []*pem.Block, damaged bool) {
	data = tidyPEM(data)
	marks := bytes.Count(data, beginMark)
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return blocks, len(blocks) < marks
		}
		blocks = append(blocks, block)
	}
}

// tidyPEM makes what editors and tools leave readable for encoding/pem, which wants
// each block to begin a line and to end one: Notepad puts a byte order mark before the first one,
// and `cat` and `copy a+b` of files without a line break at their end glue the
// others together.
func tidyPEM(data []byte) []byte {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
	data = bytes.ReplaceAll(data, []byte("\r"), []byte("\n"))
	data = endMark.ReplaceAll(data, []byte("$0\n"))
	return bytes.ReplaceAll(data, beginMark, append([]byte("\n"), beginMark...))
}

// isUTF16 recognises text in UTF-16, which Notepad calls «Unicode» and PowerShell
// writes when output is redirected. No other text has zero bytes at its beginning.
func isUTF16(data []byte) bool {
	head := data[:min(len(data), 256)]
	return bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) ||
		bytes.Contains(head, []byte("-\x00-\x00-")) || bytes.Contains(head, []byte("\x00-\x00-\x00-"))
}

// certificateBytes returns the certificate in a block, nil if it holds none. openssl
// puts more behind that of a TRUSTED CERTIFICATE.
func certificateBytes(block *pem.Block) []byte {
	switch block.Type {
	case "CERTIFICATE", "X509 CERTIFICATE":
		return block.Bytes
	case "TRUSTED CERTIFICATE":
		var first asn1.RawValue
		if _, err := asn1.Unmarshal(block.Bytes, &first); err == nil {
			return first.FullBytes
		}
		return block.Bytes
	}
	return nil
}
