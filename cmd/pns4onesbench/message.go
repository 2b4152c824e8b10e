//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/pns4ones/pns4ones/netsvc/wire"
)

const (
	frameHead = 8  // bytes before the ciphertext (protocol.md section 4.2)
	aesBlock  = 16 // the ciphertext is whole blocks
)

// infobaseID is where the sessions of the program are, so that people's sessions
// of the same app are left in peace.
const infobaseID = "pns4onesbench"

// messageOf makes a message whose frame has size bytes, rounded up to what the
// encryption can make.
func messageOf(size int) (*wire.Message, error) {
	m := &wire.Message{Notification: wire.Notification{Title: "Новая задача", Body: "."}}
	blocks := (size - frameHead + aesBlock - 1) / aesBlock
	plaintext := blocks*aesBlock - 1 // one byte of padding at least
	room := plaintext - len(m.AppendJSON(nil)) + len(m.Notification.Body)
	if room < 1 {
		return nil, fmt.Errorf("a frame of %d bytes is too small; the smallest has %d", size, size+1-room)
	}
	const sentence = "Согласовать договор. "
	body := strings.Repeat(sentence, room/len(sentence))
	m.Notification.Body = body + strings.Repeat(".", room-len(body))
	return m, nil
}

// frameBytesOf is the length of the frame that carries m.
func frameBytesOf(m *wire.Message) int {
	return frameHead + (len(m.AppendJSON(nil))/aesBlock+1)*aesBlock
}

// bodyOf is the body of a request that sends m.
func bodyOf(to wire.Recipient, m *wire.Message) ([]byte, error) {
	body, err := json.Marshal(map[string]any{
		"Recipient": map[string]string{
			"Type":      string(to.Type),
			"IbId":      to.IbID,
			"UserId":    to.UserID,
			"UserGroup": to.UserGroup,
		},
		"Message": json.RawMessage(m.AppendJSON(nil)),
	})
	if err != nil {
		return nil, fmt.Errorf("making a request: %w", err)
	}
	return body, nil
}

// userID is the user of a session.
func userID(number int) string { return fmt.Sprintf("user-%d", number) }

// attributesOf is what a session says of itself; nothing, as the released add-ins do,
// unless it is to be like a newer one.
func (b *bench) attributesOf(number int) []wire.Attribute {
	if !b.attributes {
		return nil
	}
	said := wire.Attributes{
		Session: wire.NewSessionID(), Turn: 1,
		Groups: []string{"group-" + strconv.Itoa(number%20)},
		User:   "Иванов Иван Иванович " + strconv.Itoa(number),
		Ib:     "Управление торговлей",
		Host:   "ws-" + strconv.Itoa(number),
		Agent:  "pns4ones-addin/2.0.0 windows-x86_64",
	}
	return said.List()
}
