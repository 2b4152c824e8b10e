package wire

import (
	"bytes"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// RecipientType says which sessions of an infobase a message is for
// (protocol.md section 3.2).
type RecipientType string

// The recipient types, spelled as senders spell them.
const (
	ToUser  RecipientType = "user"
	ToGroup RecipientType = "group"
	ToAll   RecipientType = "all"
)

// Recipient is whom a message is for, within the sender's app (section 3.2).
// Matching is exact and case-sensitive; what Type does not ask for is ignored.
type Recipient struct {
	Type                    RecipientType
	IbID, UserID, UserGroup string
}

// FieldError is what is wrong with one field. It names the field and says what
// was expected, and never shows what the field holds.
type FieldError struct{ Field, Problem string }

// Error returns «field: problem».
func (e *FieldError) Error() string { return e.Field + ": " + e.Problem }

// Validate reports as a *FieldError what Type demands and the rest lacks.
func (r Recipient) Validate() error {
	switch {
	case r.Type == "":
		return &FieldError{"Recipient.Type", "is required: user, group or all"}
	case r.Type != ToUser && r.Type != ToGroup && r.Type != ToAll:
		return &FieldError{"Recipient.Type", "is none of user, group and all"}
	case r.IbID == "":
		return &FieldError{"Recipient.IbId", "is required"}
	case r.Type == ToUser && r.UserID == "":
		return &FieldError{"Recipient.UserId", "is required when Type is user"}
	case r.Type == ToGroup && r.UserGroup == "":
		return &FieldError{"Recipient.UserGroup", "is required when Type is group"}
	}
	return nil
}

// ParseRequest reads the body of a request to send a message (section 3.2). Its
// rules where JSON leaves a choice:
//
//   - a byte order mark may lead; what is not UTF-8 is refused;
//   - our names are known in any letter case and with any underscores (IbId is
//     also ib_id); others are skipped, whatever they hold;
//   - of members with the same name the last counts, as if the others were not
//     there, though all must be well-formed; a key in Data keeps its first place;
//   - half of a surrogate pair, written as an escape, becomes U+FFFD: 1C cuts
//     strings by UTF-16 units and means no harm;
//   - more than 10 000 levels of nesting are refused.
//
// The strings share memory of at most the size of body, and none with it. In all,
// parsing allocates about twice the size of a usual body, and at worst (a Data of
// very many very short keys) some thirty times. Errors are *FieldError, with the
// field "body" for what is wrong with the JSON.
func ParseRequest(body []byte) (Recipient, Message, error) {
	text := bytes.TrimPrefix(body, []byte("\uFEFF"))
	if !utf8.Valid(text) {
		return Recipient{}, Message{}, &FieldError{"body", "is not valid UTF-8"}
	}
	p := parsers.Get().(*requestParser)
	defer p.release()
	p.in, p.offset = *bytes.NewBuffer(text), int64(len(body)-len(text))
	p.dec.Reset(&p.in, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	p.text.Grow(len(text))
	return p.request()
}

type requestParser struct {
	in      bytes.Buffer // the decoder reads straight from it, without a copy
	dec     jsontext.Decoder
	offset  int64           // of the decoder's first byte in the body
	text    strings.Builder // every string of the result, one after another
	scratch []byte          // a string while its escapes are resolved
}

// parsers are those not in use. With them a request takes 2 allocations, not 11.
var parsers = sync.Pool{New: func() any { return new(requestParser) }}

// maxKeptScratch bounds the memory that a parser keeps.
const maxKeptScratch = 64 << 10

// release keeps the parser for another request, without the contents of this one.
func (p *requestParser) release() {
	p.in = bytes.Buffer{}
	p.dec.Reset(&p.in)
	p.text = strings.Builder{}
	if clear(p.scratch[:cap(p.scratch)]); cap(p.scratch) > maxKeptScratch {
		p.scratch = nil
	}
	parsers.Put(p)
}

func (p *requestParser) request() (to Recipient, m Message, err error) {
	var hasRecipient, hasMessage bool
	present, err := p.object("body", func(name string) (err error) {
		switch name {
		case "recipient":
			to, hasRecipient, err = p.recipient()
		case "message":
			m, hasMessage, err = p.message()
		default:
			err = p.skip()
		}
		return err
	})
	switch {
	case err != nil:
	case !present:
		err = &FieldError{"body", "expected an object"}
	default:
		if err = p.end(); err != nil {
			break
		}
		switch {
		case !hasRecipient:
			err = &FieldError{"Recipient", "is required"}
		case !hasMessage:
			err = &FieldError{"Message", "is required"}
		default:
			err = to.Validate()
		}
	}
	if err != nil {
		return Recipient{}, Message{}, err
	}
	return to, m, nil
}

func (p *requestParser) recipient() (to Recipient, present bool, err error) {
	present, err = p.object("Recipient", func(name string) (err error) {
		switch name {
		case "type":
			var s string
			s, err = p.string("Recipient.Type")
			to.Type = RecipientType(s)
		case "ibid":
			to.IbID, err = p.string("Recipient.IbId")
		case "userid":
			to.UserID, err = p.string("Recipient.UserId")
		case "usergroup":
			to.UserGroup, err = p.string("Recipient.UserGroup")
		default:
			err = p.skip()
		}
		return err
	})
	return to, present, err
}

func (p *requestParser) message() (m Message, present bool, err error) {
	present, err = p.object("Message", func(name string) (err error) {
		switch name {
		case "topic":
			m.Topic, err = p.string("Message.Topic")
		case "notification":
			m.Notification, err = p.notification()
		case "data":
			m.Data, err = p.data()
		default:
			err = p.skip()
		}
		return err
	})
	return m, present, err
}

func (p *requestParser) notification() (n Notification, err error) {
	_, err = p.object("Message.Notification", func(name string) (err error) {
		switch name {
		case "title":
			n.Title, err = p.string("Message.Notification.Title")
		case "body":
			n.Body, err = p.string("Message.Notification.Body")
		case "icon":
			n.Icon, err = p.string("Message.Notification.Icon")
		case "action":
			n.Action, err = p.string("Message.Notification.Action")
		case "important":
			n.Important, err = p.bool("Message.Notification.Important")
		default:
			err = p.skip()
		}
		return err
	})
	return n, err
}
