package prove

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The byte-exact cases of the protocol, both ways: registrations that the add-in
// makes, frames that it decrypts, keys that it takes. They are those that the
// service's own tests run.

// codecProgram answers requests about the add-in's parsers.
type codecProgram struct {
	t   *testing.T
	in  io.Writer
	out *bufio.Reader
}

func startCodec(t *testing.T) *codecProgram {
	t.Helper()
	if codec == "" {
		t.Skip("no add-in: packaging/test/addin.sh builds it and runs this")
	}
	c := command(codec)
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := c.Wait(); err != nil {
			t.Errorf("the codec ended with %v", err)
		}
	})
	return &codecProgram{t: t, in: in, out: bufio.NewReaderSize(out, 1<<20)}
}

func (c *codecProgram) ask(words ...string) string {
	c.t.Helper()
	if _, err := io.WriteString(c.in, strings.Join(words, "\t")+"\n"); err != nil {
		c.t.Fatal(err)
	}
	line, err := c.out.ReadString('\n')
	if err != nil {
		c.t.Fatal(err)
	}
	return strings.TrimRight(line, "\r\n")
}

func toHex(s string) string { return hex.EncodeToString([]byte(s)) }

func readVectors(t *testing.T, name string, into any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("../../../../netsvc/wire/testdata/vectors", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
}

func TestClientKeyVectors(t *testing.T) {
	c := startCodec(t)
	var vectors struct {
		Valid []struct {
			Name, Base64 string
			AESKey       string `json:"aes_key_hex"`
			IV           string `json:"iv_hex"`
		}
		Invalid []struct{ Name, Base64 string }
	}
	readVectors(t, "clientkey.json", &vectors)
	if len(vectors.Valid) == 0 || len(vectors.Invalid) == 0 {
		t.Fatal("no vectors")
	}
	for _, v := range vectors.Valid {
		want := v.AESKey + "\t" + v.IV
		if got := c.ask("key", toHex(v.Base64)); got != want {
			t.Errorf("%s: %s, want %s", v.Name, got, want)
		}
		if got := c.ask("key", toHex(" "+v.Base64+"\r\n")); got != want {
			t.Errorf("%s, with blanks around it: %s", v.Name, got)
		}
	}
	for _, v := range vectors.Invalid {
		if got := c.ask("key", toHex(v.Base64)); got != "refused" {
			t.Errorf("%s: %s", v.Name, got)
		}
	}
}

func TestFrameVectors(t *testing.T) {
	c := startCodec(t)
	var vectors struct {
		Valid []struct {
			Name      string
			Key       string `json:"client_key"`
			Plaintext string
			Frame     string `json:"frame_hex"`
		}
	}
	readVectors(t, "frames.json", &vectors)
	tried := 0
	for _, v := range vectors.Valid {
		frame := v.Frame
		if frame == "" { // the large one is described
			v.Plaintext = `{"topic":"x","data":{"big":"` + strings.Repeat("Ж", 32700) + `"}}`
			frame = hex.EncodeToString(mustKey(t, v.Key).AppendFrame(nil, []byte(v.Plaintext)))
		}
		for _, piece := range []string{"1", "5", "8", "16", "1000000"} {
			if got := c.ask("frame", toHex(v.Key), frame+frame, piece); got != toHex(v.Plaintext)+"\t"+toHex(v.Plaintext)+
				"\tmore" {
				t.Errorf("%s in pieces of %s: %.200s", v.Name, piece, got)
			}
		}
		tried++
	}
	if tried == 0 {
		t.Fatal("no vectors")
	}
}

// packetWords are the request for a packet.
type packetWords struct {
	key, app, ib, user, group string
	session                   string
	turn, received, from      string
	end                       bool
	agent                     string
	groups                    []string
	userName, ibName, host    string
}

func (c *codecProgram) packet(p packetWords) (body []byte, leftOut string) {
	c.t.Helper()
	var groups []string
	for _, g := range p.groups {
		groups = append(groups, toHex(g))
	}
	end := map[bool]string{true: "1", false: "0"}[p.end]
	got := c.ask("packet", toHex(p.key), toHex(p.app), toHex(p.ib), toHex(p.user), toHex(p.group), p.session, p.turn,
		p.received, p.from, end,
		toHex(p.agent), strings.Join(groups, ","), toHex(p.userName), toHex(p.ibName), toHex(p.host))
	text, leftOut, found := strings.Cut(got, "\t")
	if !found {
		c.t.Fatalf("packet: %s", got)
	}
	body, err := hex.DecodeString(text)
	if err != nil {
		c.t.Fatal(err)
	}
	return body, leftOut
}

func TestRegistrationVectors(t *testing.T) {
	c := startCodec(t)
	var vectors struct {
		Valid []struct {
			Name  string
			App   string `json:"app_id"`
			IB    string `json:"ib_id"`
			User  string `json:"user_id"`
			Group string `json:"user_group"`
			Key   string `json:"client_key"`
			Hex   string `json:"packet_hex"`
		}
	}
	readVectors(t, "registration.json", &vectors)
	if len(vectors.Valid) == 0 {
		t.Fatal("no vectors")
	}
	for _, v := range vectors.Valid {
		got, _ := c.packet(packetWords{key: v.Key, app: v.App, ib: v.IB, user: v.User, group: v.Group})
		if hex.EncodeToString(got) != v.Hex {
			t.Errorf("%s: %x", v.Name, got)
		}
	}
}

func TestAttributeVectors(t *testing.T) {
	c := startCodec(t)
	var vectors struct {
		App   string `json:"app_id"`
		IB    string `json:"ib_id"`
		User  string `json:"user_id"`
		Group string `json:"user_group"`
		Key   string `json:"client_key"`
		Cases []struct {
			Name string
			Hex  string `json:"packet_hex"`
			Read struct {
				Groups                                                     []string
				Session, Turn, Received, From, Mode, Agent, User, IB, Host string
			}
		}
	}
	readVectors(t, "attributes.json", &vectors)
	// Those that an add-in would send: the others are what it must be read from.
	made := map[string]bool{"none": true, "all": true, "only names": true, "mode end": true, "emoji": true,
		"control characters": true, "255 bytes": true}
	tried := 0
	for _, v := range vectors.Cases {
		if !made[v.Name] {
			continue
		}
		tried++
		r := v.Read
		got, left := c.packet(packetWords{key: vectors.Key, app: vectors.App, ib: vectors.IB, user: vectors.User,
			group:   vectors.Group,
			session: r.Session, turn: r.Turn, received: r.Received, from: r.From, end: r.Mode == "end", agent: r.Agent,
			groups:   r.Groups,
			userName: r.User, ibName: r.IB, host: r.Host})
		if hex.EncodeToString(got) != v.Hex || left != "0" {
			t.Errorf("%s: %q, %s groups left out", v.Name, got, left)
		}
	}
	if tried != len(made) {
		t.Errorf("%d of %d vectors were there", tried, len(made))
	}
}

// What is left out of a packet that would be too long, and in which order.
func TestPacketStaysSmall(t *testing.T) {
	c := startCodec(t)
	p := packetWords{key: testKey, app: app, ib: ib, user: user, group: "Отдел", session: strings.Repeat("s", 22),
		turn: "1", received: "0", from: "0",
		agent: "pns4ones-addin/2.0.0 windows-x86_64", userName: "user", ibName: "infobase", host: "host"}
	has := func(body []byte, name string) bool { return bytes.Contains(body, []byte("\x00"+name+"=")) }
	for size := range 400 {
		p.groups = []string{strings.Repeat("a", min(size, 255)), strings.Repeat("b", max(0, size-255)), "c"}
		for _, number := range []string{"1", "18446744073709551615"} {
			p.turn, p.received, p.from = number, number, number
			body, left := c.packet(p)
			if len(body) >= 1000 {
				t.Fatalf("size %d: %d bytes", size, len(body))
			}
			if !has(body, "session") || !has(body, "agent") {
				t.Fatalf("size %d: session or agent is left out", size)
			}
			// Each is left out only after those before it.
			if has(body, "host") && !has(body, "ib") || has(body, "ib") && !has(body, "user") || has(body, "user") &&
				left != "0" {
				t.Fatalf("size %d: %q, %s groups left out", size, body[2:], left)
			}
		}
	}
	// 33 groups, doubled ones, the main one again, and one that is too long.
	p.groups = nil
	for i := range 33 {
		p.groups = append(p.groups, fmt.Sprint(i))
	}
	p.groups = append(p.groups, "1", "Отдел", strings.Repeat("g", 256))
	if _, left := c.packet(p); left != "2" {
		t.Errorf("%s groups left out, want 2", left)
	}
	// A name is cut between characters.
	p.groups, p.userName = nil, strings.Repeat("я", 200)
	if body, _ := c.packet(p); !bytes.Contains(body, []byte("user="+strings.Repeat("я", 127)+"\x00")) {
		t.Errorf("%q", body)
	}
}

func TestAddresses(t *testing.T) {
	c := startCodec(t)
	for _, v := range [][3]string{
		{"srv", "36695", "srv:36695"},
		{"srv", "", "srv:36695"},
		{"srv:1", "2", "srv:1"},
		{"a", "36695,b:36696", "a:36695 b:36696"},
		{"a,b;c d\te", "1", "a:1 b:1 c:1 d:1 e:1"},
		{" a ,, b ", " 7 ", "a:7 b:7"},
		{"[", ":1]:36695", "[::1]:36695"},
		{"[2001:db8::1]", "5", "[2001:db8::1]:5"},
		{"2001:db8::1", "5", "[2001:db8::1]:5"},
		{"", ":1", "[::1]:36695"},
		{"fe80::1%eth0", "5", "[fe80::1%eth0]:5"},
		{"сервер.рф", "5", "сервер.рф:5"},
		{"", "36695", "refused"},
		{"", "", "refused"},
		{"a", "0", "refused"},
		{"a:0", "1", "refused"},
		{"a:65536", "1", "refused"},
		{"a:", "1", "refused"},
		{"[::1", "1", "refused"},
		{"[a]", "1", "refused"},
		{"srv:b:c", "1", "refused"},
		{"http://a", "1", "refused"},
		{"a/b", "1", "refused"},
		{"srv:1:", "1", "refused"},
		{strings.Repeat("a,", 32), "1", strings.TrimSpace(strings.Repeat("a:1 ", 32))},
		{strings.Repeat("a,", 33), "1", "refused"},
		{strings.Repeat("a", 256), "1", "refused"},
	} {
		if got := c.ask("addresses", toHex(v[0]), toHex(v[1])); got != v[2] {
			t.Errorf("host %q, port %q: %s, want %s", v[0], v[1], got, v[2])
		}
	}
}

func TestText(t *testing.T) {
	c := startCodec(t)
	for _, v := range [][2]string{
		{"", ""},
		{"Aж", "00410436"},
		{"😀", "d83dde00"},
		{"\xff", "fffd"},
		{"\xed\xa0\x80", "fffd"},     // a half of a surrogate pair
		{"\xc0\x80", "fffdfffd"},     // overlong
		{"\xf4\x90\x80\x80", "fffd"}, // beyond Unicode
		{"\xe2\x82", "fffd"},         // cut
		{"\xe2\x82A", "fffd0041"},    // what follows is not swallowed
	} {
		if got := c.ask("utf16", toHex(v[0])); got != v[1] {
			t.Errorf("%q: %s, want %s", v[0], got, v[1])
		}
	}
	for _, v := range [][2]string{{"d83dde00", "😀"}, {"d83d0041", "\uFFFDA"}, {"dc00", "\uFFFD"}, {"d83d", "\uFFFD"}} {
		if got := c.ask("utf8", v[0]); got != toHex(v[1]) {
			t.Errorf("%s: %s, want %q", v[0], got, v[1])
		}
	}
}
