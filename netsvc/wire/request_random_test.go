package wire_test

import (
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// Fuzzing seldom finds its way through the quotes and braces of a request; this
// writes requests that are nearly right and compares with the slow reference.
func TestParseRequestAgreesWithTheReference(t *testing.T) {
	t.Parallel()
	w := requestWriter{rand.New(rand.NewPCG(1, 2))}
	accepted := 0
	const n = 5_000
	for range n {
		body := w.body()
		wantTo, wantMessage, ok := referenceRequest([]byte(body))
		to, m, err := wire.ParseRequest([]byte(body))
		if (err == nil) != ok || to != wantTo || !reflect.DeepEqual(m, wantMessage) {
			t.Fatalf("%s\ngot %+v, %+v, %v\nwant %+v, %+v, accepted: %v", body, to, m, err, wantTo, wantMessage, ok)
		}
		if ok {
			accepted++
		}
	}
	if accepted < n/10 || accepted > n*9/10 {
		t.Errorf("%d of %d were accepted: the comparison is lopsided", accepted, n)
	}
}

type requestWriter struct{ *rand.Rand }

func (w requestWriter) pick(from ...string) string { return from[w.IntN(len(from))] }

// sometimes is true once in n times.
func (w requestWriter) sometimes(n int) bool { return w.IntN(n) == 0 }

func (w requestWriter) body() string {
	body := w.pick("", "\uFEFF", " \n") + w.object(2,
		w.member("Recipient", w.recipient), w.member("Message", w.message))
	if w.sometimes(20) {
		body += w.pick("{}", "x", ",", "\x00", " \r\n", "null", "\uFEFF")
	}
	if w.sometimes(20) {
		at := w.IntN(len(body))
		body = body[:at] + body[at+1:]
	}
	return body
}

func (w requestWriter) recipient() string {
	return w.object(4,
		w.member("Type", func() string { return w.pick(`"all"`, `"user"`, `"group"`, `"us\u0065r"`) }),
		w.member("IbId", w.text), w.member("UserId", w.text), w.member("UserGroup", w.text))
}

func (w requestWriter) message() string {
	return w.object(5, w.member("Topic", w.text), w.member("Notification", w.notification), w.member("Data", w.data))
}

func (w requestWriter) notification() string {
	return w.object(7,
		w.member("Title", w.text), w.member("Body", w.text), w.member("Icon", w.text), w.member("Action", w.text),
		w.member("Important", func() string { return w.pick("true", "false", `""`, "null") }))
}

func (w requestWriter) data() string {
	var members []func() string
	for range w.IntN(40) {
		members = append(members, func() string { return w.text() + ":" + w.pick(w.text(), "null") })
	}
	return w.object(len(members)+1, members...)
}

// member writes a member of ours, now and then under a name spelled in another
// way, or with a value of another kind.
func (w requestWriter) member(name string, value func() string) func() string {
	return func() string {
		written := name
		switch w.IntN(8) {
		case 0:
			written = strings.ToUpper(name)
		case 1:
			written = strings.Join(strings.Split(strings.ToLower(name), ""), w.pick("_", "", "\\u005F"))
		case 2:
			written = w.pick(name, name, name, name, name+"s", strings.ReplaceAll(name, "s", "ſ"), "")
		}
		v := value()
		if w.sometimes(60) {
			v = w.pick(`1`, `-0.5e10`, `true`, `null`, `""`, `" "`, `[]`, `[{"a":[1,"x"]}]`, `{}`, `{"Type":1}`, `01`,
				`nul`, `"`, ``)
		}
		return `"` + written + `"` + w.pick("", " ") + ":" + w.pick("", "\t") + v
	}
}

// object writes all of the members in any order, and now and then one twice.
func (w requestWriter) object(repeat int, members ...func() string) string {
	var list []string
	for _, i := range w.Perm(len(members)) {
		list = append(list, members[i]())
	}
	if len(members) != 0 && w.sometimes(repeat) {
		list = append(list, members[w.IntN(len(members))]())
	}
	return "{" + strings.Join(list, w.pick(",", " , ")) + "}"
}

func (w requestWriter) text() string {
	var b strings.Builder
	for range w.IntN(4) {
		b.WriteString(w.pick("a", "b", "Ж", "😀", "\u2028", "\x7f", `\"`, `\\`, `\/`, `\b`, `\f`, `\n`, `\r`, `\t`,
			`\u0000`, `\u0416`, `\ud83d`, `\uDE00`, `\uFFFD`))
	}
	return `"` + b.String() + `"`
}
