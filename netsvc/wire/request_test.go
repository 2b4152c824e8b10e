package wire_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/pns4ones/pns4ones/netsvc/wire"
)

const (
	toAll     = `"Recipient":{"Type":"all","IbId":"ib"}`
	noMessage = `"Message":{}`
)

// request is a body with this message, to all.
func request(message string) string { return `{` + toAll + `,"Message":` + message + `}` }

// recipient is a body with this recipient and an empty message.
func recipient(to string) string { return `{"Recipient":` + to + `,` + noMessage + `}` }

func mustParse(t *testing.T, body string) (wire.Recipient, wire.Message) {
	t.Helper()
	to, m, err := wire.ParseRequest([]byte(body))
	if err != nil {
		t.Fatalf("ParseRequest(%s): %v", body, err)
	}
	return to, m
}

func TestParseRequestReadsEveryField(t *testing.T) {
	t.Parallel()
	body := "\uFEFF" + `{
	  "Recipient": {"Type": "user", "IbId": "ib", "UserId": "u", "UserGroup": "g"},
	  "Message": {
	    "Topic": "Тема",
	    "Notification": {"Title": "«Заголовок»", "Body": "\"строка\"\r\nещё\tодна \u0416 \ud83d\ude00 \/", "Icon": "i", "Action": "a", "Important": true},
	    "Data": {"ключ": "значение", "b": "2", "a": "1", "": "empty key"}
	  }
	}` + "\r\n"
	to, m := mustParse(t, body)
	if want := (wire.Recipient{Type: wire.ToUser, IbID: "ib", UserID: "u", UserGroup: "g"}); to != want {
		t.Errorf("recipient %+v, want %+v", to, want)
	}
	want := wire.Message{
		Topic: "Тема",
		Notification: wire.Notification{
			Title: "«Заголовок»", Body: "\"строка\"\r\nещё\tодна Ж 😀 /", Icon: "i", Action: "a", Important: true,
		},
		Data: []wire.Pair{{Key: "ключ", Value: "значение"}, {Key: "b", Value: "2"}, {Key: "a", Value: "1"},
			{Key: "", Value: "empty key"}},
	}
	if !reflect.DeepEqual(m, want) {
		t.Errorf("message %+v, want %+v", m, want)
	}
}

func TestParseRequestKnowsNamesInAnyCase(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{"recipient":{"type":"user","ibid":"ib","userid":"u"},"message":{"topic":"t","notification":{"title":"T","important":true}}}`,
		`{"RECIPIENT":{"TYPE":"user","IBID":"ib","USERID":"u"},"MESSAGE":{"TOPIC":"t","NOTIFICATION":{"TITLE":"T","IMPORTANT":true}}}`,
		`{"recipient":{"type":"user","ib_id":"ib","user_id":"u"},"message":{"topic":"t","notification":{"title":"T","important":true}}}`,
		`{"app_id":"a","recipient":{"type":"user","ib_id":"ib","user_id":"u"},"message":{"topic":"t","notification":{"title":"T","important":true}}}`,
		`{"\u0052ecipient":{"T\u0079pe":"user","Ib\u0049d":"ib","UserId":"u"},"Message":{"Topic":"t","Notification":{"Title":"T","Important":true}}}`,
	} {
		to, m := mustParse(t, body)
		if to.Type != wire.ToUser || to.IbID != "ib" || to.UserID != "u" || m.Topic != "t" ||
			m.Notification.Title != "T" ||
			!m.Notification.Important {
			t.Errorf("%s: got %+v, %+v", body, to, m)
		}
	}
	// The keys of Data are the sender's, not ours.
	_, m := mustParse(t, request(`{"Data":{"Key":"1","key":"2","k_ey":"3"}}`))
	if len(m.Data) != 3 {
		t.Errorf("data %+v", m.Data)
	}
}

func TestParseRequestTakesAbsentNullAndEmptyAlike(t *testing.T) {
	t.Parallel()
	for _, empty := range []string{`null`, `""`} {
		for _, message := range []string{
			`{"Topic":%s}`,
			`{"Notification":%s}`,
			`{"Notification":{"Title":%s}}`,
			`{"Notification":{"Body":%s}}`,
			`{"Notification":{"Icon":%s}}`,
			`{"Notification":{"Action":%s}}`,
			`{"Notification":{"Important":%s}}`,
			`{"Data":%s}`,
			`{"Data":{"k":%s}}`,
		} {
			_, m := mustParse(t, request(fmt.Sprintf(message, empty)))
			if got := string(m.AppendJSON(nil)); got != "{}" {
				t.Errorf("%s with %s: %s", message, empty, got)
			}
		}
		to, _ := mustParse(t, recipient(fmt.Sprintf(`{"Type":"all","IbId":"ib","UserId":%s,"UserGroup":%s}`, empty,
			empty)))
		if want := (wire.Recipient{Type: wire.ToAll, IbID: "ib"}); to != want {
			t.Errorf("recipient with %s: %+v", empty, to)
		}
	}
}

func TestParseRequestSkipsUnknownFieldsWhateverTheyHold(t *testing.T) {
	t.Parallel()
	unknown := `"Unknown":{"Type":1,"Data":[[],{"Topic":{}}],"n":-1.5e300,"t":true}`
	body := `{` + unknown + `,"Recipient":{` + unknown + `,"Type":"all","IbId":"ib"},"Message":{` + unknown +
		`,"Notification":{` + unknown + `,"Title":"T"},"NotificationS":1,"` + strings.Repeat("_", 100) +
		`Topi":1,"":[]}}`
	_, m := mustParse(t, body)
	if want := (wire.Message{Notification: wire.Notification{Title: "T"}}); !reflect.DeepEqual(m, want) {
		t.Errorf("got %+v", m)
	}
}

func TestParseRequestTakesTheLastOfEqualNames(t *testing.T) {
	t.Parallel()
	to, m := mustParse(t, `{"Recipient":{"Type":"group"},"Message":{"Topic":"1","Data":{"k":"v"}},`+
		`"recipient":{"Type":"user","Type":"all","IbId":"1","ib_id":"2"},"MESSAGE":{"Topic":"1","Topic":null}}`)
	if want := (wire.Recipient{Type: wire.ToAll, IbID: "2"}); to != want {
		t.Errorf("recipient %+v", to)
	}
	if !reflect.DeepEqual(m, wire.Message{}) {
		t.Errorf("message %+v: the first one shows through", m)
	}

	_, m = mustParse(t, request(`{"Data":{"a":"1","b":null,"a":"2","c":"3","b":"4","c":null}}`))
	if want := []wire.Pair{{Key: "a", Value: "2"}, {Key: "b", Value: "4"},
		{Key: "c", Value: ""}}; !reflect.DeepEqual(m.Data, want) {
		t.Errorf("data %+v, want %+v", m.Data, want)
	}

	if _, _, err := wire.ParseRequest([]byte(`{` + toAll + `,` + noMessage + `,"Message":null}`)); err == nil {
		t.Error("a message that was taken back counts as there")
	}
}

func TestParseRequestKeepsManyKeysApart(t *testing.T) {
	t.Parallel()
	const n = 1000
	var entries []string
	for _, round := range []string{"first", "last"} {
		for i := range n {
			entries = append(entries, fmt.Sprintf(`"k%d":"%s %d"`, i, round, i))
		}
	}
	_, m := mustParse(t, request(`{"Data":{`+strings.Join(entries, ",")+`}}`))
	if len(m.Data) != n {
		t.Fatalf("%d entries, want %d", len(m.Data), n)
	}
	for i, p := range m.Data {
		if want := (wire.Pair{Key: fmt.Sprintf("k%d", i), Value: fmt.Sprintf("last %d", i)}); p != want {
			t.Fatalf("entry %d is %+v, want %+v", i, p, want)
		}
	}
}

func TestParseRequestReplacesHalfASurrogatePair(t *testing.T) {
	t.Parallel()
	for written, want := range map[string]string{
		`\ud83d`:             "\uFFFD",
		`\ude00!`:            "\uFFFD!",
		`\ud83d\u0416`:       "\uFFFDЖ",
		`\ud83d\ud83d\ude00`: "\uFFFD😀",
		`\ud83dЖ`:            "\uFFFDЖ",
	} {
		_, m := mustParse(t, request(`{"Topic":"`+written+`","Data":{"`+written+`":"`+written+`"}}`))
		if m.Topic != want || m.Data[0] != (wire.Pair{Key: want, Value: want}) {
			t.Errorf("%s became %q, %q", written, m.Topic, m.Data)
		}
	}
}

func TestParseRequestNamesTheFieldThatIsWrong(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, body, want string }{
		// not JSON
		{"nothing", ``, `body: is not JSON: it ends too early`},
		{"a byte order mark alone", "\uFEFF", `body: is not JSON: it ends too early`},
		{"white space", " \r\n", `body: is not JSON: it ends too early`},
		{"text", `hello`, `body: is not JSON: wrong at byte 0`},
		{"two byte order marks", "\uFEFF\uFEFF{}", `body: is not JSON: wrong at byte 3`},
		{"UTF-16", "\xff\xfe{\x00}\x00", `body: is not valid UTF-8`},
		{"Windows-1251", "{\"\xd2\xe5\xec\xe0\":1}", `body: is not valid UTF-8`},
		{"invalid UTF-8 in a string", request("{\"Topic\":\"\xff\"}"), `body: is not valid UTF-8`},
		{"cut off", `{"Recipient":{"Type":"a`, `body: is not JSON: it ends too early`},
		{"a brace missing", request(`{"Topic":"t"`), `body: is not JSON: it ends too early`},
		{"a comma too many", request(`{"Topic":"t",}`), `body: is not JSON: wrong at byte 62`},
		{"no colon", request(`{"Topic" "t"}`), `body: is not JSON: wrong at byte 59`},
		{"no value", request(`{"Topic":}`), `body: is not JSON: wrong at byte 59`},
		{"a bad literal", request(`{"Topic":nil}`), `body: is not JSON: wrong at byte 60`},
		{"single quotes", `{'Recipient':1}`, `body: is not JSON: wrong at byte 1`},
		{"a name without quotes", `{Recipient:1}`, `body: is not JSON: wrong at byte 1`},
		{"a line break in a string", request("{\"Topic\":\"a\nb\"}"), `body: is not JSON: wrong at byte 61`},
		{"an unknown escape", request(`{"Topic":"\x"}`), `body: is not JSON: wrong at byte 60`},
		{"a comment", `{/**/}`, `body: is not JSON: wrong at byte 1`},
		{"bad JSON in an unknown field", `{"x":[1,}`, `body: is not JSON: wrong at byte 7`},
		{"a number with a leading zero, in an unknown field", `{"x":01}`, `body: is not JSON: wrong at byte 6`},
		// trailing garbage
		{"a second object", request(`{}`) + `{}`, `body: has something after the JSON, which ends at byte 53`},
		{"a second object with a byte order mark before the first", "\uFEFF" + request(`{}`) + `{}`,
			`body: has something after the JSON, which ends at byte 56`},
		{"text after the object", request(`{}`) + ` x`, `body: has something after the JSON, which ends at byte 53`},
		{"a NUL after the object", request(`{}`) + "\x00", `body: has something after the JSON, which ends at byte 53`},
		{"a brace too many", request(`{}`) + `}`, `body: has something after the JSON, which ends at byte 53`},
		// the outermost value
		{"an array", `[]`, `body: expected an object, got an array`},
		{"a number", `1`, `body: expected an object, got a number`},
		{"a string", `"x"`, `body: expected an object, got a string`},
		{"an empty string", `""`, `body: expected an object`},
		{"null", `null`, `body: expected an object`},
		{"true", `true`, `body: expected an object, got a boolean`},
		// no Recipient, no Message
		{"neither", `{}`, `Recipient: is required`},
		{"no Recipient", `{` + noMessage + `}`, `Recipient: is required`},
		{"a null Recipient", recipient(`null`), `Recipient: is required`},
		{"an empty Recipient", recipient(`""`), `Recipient: is required`},
		{"no Message", `{` + toAll + `}`, `Message: is required`},
		{"a null Message", request(`null`), `Message: is required`},
		{"an empty Message", request(`""`), `Message: is required`},
		// what a recipient must say
		{"no Type", recipient(`{"IbId":"ib"}`), `Recipient.Type: is required: user, group or all`},
		{"a null Type", recipient(`{"Type":null,"IbId":"ib"}`), `Recipient.Type: is required: user, group or all`},
		{"an unknown Type", recipient(`{"Type":"users","IbId":"ib"}`),
			`Recipient.Type: is none of user, group and all`},
		{"a Type in another case", recipient(`{"Type":"User","IbId":"ib","UserId":"u"}`),
			`Recipient.Type: is none of user, group and all`},
		{"a Type with a space", recipient(`{"Type":"all ","IbId":"ib"}`),
			`Recipient.Type: is none of user, group and all`},
		{"no IbId", recipient(`{"Type":"all"}`), `Recipient.IbId: is required`},
		{"an empty IbId", recipient(`{"Type":"all","IbId":""}`), `Recipient.IbId: is required`},
		{"a null IbId", recipient(`{"Type":"all","IbId":null}`), `Recipient.IbId: is required`},
		{"no UserId", recipient(`{"Type":"user","IbId":"ib","UserGroup":"g"}`),
			`Recipient.UserId: is required when Type is user`},
		{"an empty UserId", recipient(`{"Type":"user","IbId":"ib","UserId":""}`),
			`Recipient.UserId: is required when Type is user`},
		{"no UserGroup", recipient(`{"Type":"group","IbId":"ib","UserId":"u"}`),
			`Recipient.UserGroup: is required when Type is group`},
		{"an empty UserGroup", recipient(`{"Type":"group","IbId":"ib","UserGroup":""}`),
			`Recipient.UserGroup: is required when Type is group`},
		// Data
		{"a number in Data", request(`{"Data":{"a":"1","b":2}}`),
			`Message.Data: value 2: expected a string, got a number`},
		{"a boolean in Data", request(`{"Data":{"a":false}}`),
			`Message.Data: value 1: expected a string, got a boolean`},
		{"an object in Data", request(`{"Data":{"a":{}}}`), `Message.Data: value 1: expected a string, got an object`},
		{"an array in Data", request(`{"Data":{"a":null,"b":"","c":[]}}`),
			`Message.Data: value 3: expected a string, got an array`},
		{"a wrong value that a later one replaces", request(`{"Data":{"a":1,"a":"1"}}`),
			`Message.Data: value 1: expected a string, got a number`},
	} {
		t.Run(c.name, func(t *testing.T) {
			to, m, err := wire.ParseRequest([]byte(c.body))
			if _, ok := errors.AsType[*wire.FieldError](err); !ok || err.Error() != c.want {
				t.Errorf("got %v\nwant a FieldError %s", err, c.want)
			}
			if to != (wire.Recipient{}) || !reflect.DeepEqual(m, wire.Message{}) {
				t.Errorf("an error came with %+v, %+v", to, m)
			}
		})
	}
}

func TestParseRequestRefusesAWrongTypeAnywhere(t *testing.T) {
	t.Parallel()
	kinds := []struct{ value, got string }{
		{`1`, "a number"}, {`true`, "a boolean"}, {`false`, "a boolean"}, {`"SECRET"`, "a string"},
		{`{"SECRET":1}`, "an object"}, {`["SECRET"]`, "an array"},
	}
	for _, f := range []struct{ field, body, expected string }{
		{"Recipient", `{"Recipient":%s,` + noMessage + `}`, "an object"},
		{"Recipient.Type", `{"Recipient":{"Type":%s,"IbId":"ib"},` + noMessage + `}`, "a string"},
		{"Recipient.IbId", `{"Recipient":{"Type":"all","IbId":%s},` + noMessage + `}`, "a string"},
		{"Recipient.UserId", `{"Recipient":{"Type":"all","IbId":"ib","user_id":%s},` + noMessage + `}`, "a string"},
		{"Recipient.UserGroup", `{"Recipient":{"Type":"all","IbId":"ib","USERGROUP":%s},` + noMessage + `}`,
			"a string"},
		{"Message", `{` + toAll + `,"Message":%s}`, "an object"},
		{"Message.Topic", `{` + toAll + `,"Message":{"Topic":%s}}`, "a string"},
		{"Message.Notification", `{` + toAll + `,"Message":{"Notification":%s}}`, "an object"},
		{"Message.Notification.Title", `{` + toAll + `,"Message":{"Notification":{"Title":%s}}}`, "a string"},
		{"Message.Notification.Body", `{` + toAll + `,"Message":{"Notification":{"Body":%s}}}`, "a string"},
		{"Message.Notification.Icon", `{` + toAll + `,"Message":{"Notification":{"Icon":%s}}}`, "a string"},
		{"Message.Notification.Action", `{` + toAll + `,"Message":{"Notification":{"Action":%s}}}`, "a string"},
		{"Message.Notification.Important", `{` + toAll + `,"Message":{"Notification":{"Important":%s}}}`,
			"true or false"},
		{"Message.Data", `{` + toAll + `,"Message":{"Data":%s}}`, "an object"},
	} {
		for _, k := range kinds {
			fits := f.expected == k.got || f.expected == "true or false" && k.got == "a boolean" ||
				f.field == "Message.Data" &&
					k.got == "an object"
			if fits {
				continue
			}
			body := fmt.Sprintf(f.body, k.value)
			want := fmt.Sprintf("%s: expected %s, got %s", f.field, f.expected, k.got)
			if _, _, err := wire.ParseRequest([]byte(body)); err == nil || err.Error() != want {
				t.Errorf("%s: got %v, want %s", body, err, want)
			}
		}
	}
}

func TestParseRequestNeverEchoesContents(t *testing.T) {
	t.Parallel()
	const secret = "TOPSECRET"
	for _, body := range []string{
		secret,
		`"` + secret + `"`,
		`{"` + secret + `"`,
		`{"` + secret + `":nil}`,
		`{"` + secret + `":"\x` + secret + `"}`,
		`{"` + secret + `":{"` + secret + `":[` + secret + `]}}`,
		recipient(`{"Type":"` + secret + `"}`),
		recipient(`{"Type":"all","IbId":"","UserId":"` + secret + `"}`),
		request(`"` + secret + `"`),
		request(`{"Topic":"` + secret + `}}`),
		request(`{"Data":{"` + secret + `":1}}`),
		request(`{"Data":{"` + secret + `":"\ud800` + secret + `\u"}}`),
		request(`{"Topic":["` + secret + `"]}`),
		request(`{"Notification":{"Important":"` + secret + `"}}`),
		request("{\"Topic\":\"" + secret + "\xff\"}"),
		request(`{}`) + secret,
	} {
		_, _, err := wire.ParseRequest([]byte(body))
		if err == nil {
			t.Errorf("%s: accepted", body)
		} else if strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestParseRequestBoundsItsDepth(t *testing.T) {
	t.Parallel()
	nested := func(n int) string {
		return `{"x":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `,` + toAll + `,` + noMessage + `}`
	}
	mustParse(t, nested(9_999))
	for _, body := range []string{nested(10_000), `{"x":` + strings.Repeat(`{"":`, 500_000),
		strings.Repeat("[", 1<<20)} {
		if _, _, err := wire.ParseRequest([]byte(body)); err == nil {
			t.Errorf("%.20s… of %d bytes: accepted", body, len(body))
		}
	}
	_, _, err := wire.ParseRequest([]byte(nested(10_000)))
	if err == nil || err.Error() != "body: is nested too deeply at byte 10004" {
		t.Errorf("got %v", err)
	}
}

func TestParseRequestSharesNoMemoryWithTheBody(t *testing.T) {
	t.Parallel()
	body := []byte(request(`{"Topic":"topic","Data":{"key":"value"}}`))
	original := string(body)
	to, m, err := wire.ParseRequest(body)
	if err != nil {
		t.Fatal(err)
	}
	if string(body) != original {
		t.Errorf("the body became %s", body)
	}
	clear(body)
	if to.IbID != "ib" || m.Topic != "topic" || m.Data[0] != (wire.Pair{Key: "key", Value: "value"}) {
		t.Errorf("after the body was cleared: %+v, %+v", to, m)
	}
}

func TestParseRequestAllocatesInProportion(t *testing.T) {
	const size = 1 << 20
	var keys strings.Builder
	for i := 0; keys.Len() < size; i++ {
		fmt.Fprintf(&keys, `"%x":"",`, i)
	}
	manyKeys := request(`{"Data":{` + keys.String() + `"":""}}`)
	if got := allocated(func() { mustParse(t, manyKeys) }); got > 32*size {
		t.Errorf("many short keys: %d bytes allocated for %d", got, len(manyKeys))
	}
	for name, body := range map[string]string{
		"one long string":            request(`{"Topic":"` + strings.Repeat("x", size) + `"}`),
		"one long escaped string":    request(`{"Topic":"` + strings.Repeat(`\u0416`, size/6) + `"}`),
		"many strings for one field": request(`{"Topic":"x"` + strings.Repeat(`,"Topic":"xxxxxxxx"`, size/19) + `}`),
		"many entries of one key":    request(`{"Data":{"":"x"` + strings.Repeat(`,"":"x"`, size/7) + `}}`),
		"deep nesting":               `{"x":` + strings.Repeat("[", size),
	} {
		if got := allocated(func() { _, _, _ = wire.ParseRequest([]byte(body)) }); got > 6*size {
			t.Errorf("%s: %d bytes allocated for %d", name, got, len(body))
		}
	}
}
