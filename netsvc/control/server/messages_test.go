package server_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

func TestAMessageArrivesAsItWasSent(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	a := d.newApp("one")
	c := d.connect(a, "база", "Анна", "sales")
	message := wire.Message{
		Topic: "тема <b>&\u2028\u0001\"\\",
		Notification: wire.Notification{
			Title: "Счёт № 5", Body: "строка\r\nдругая\tи 🎉", Icon: "icon", Action: "e1cib/data", Important: true,
		},
		Data: []wire.Pair{{Key: "я", Value: "1"}, {Key: "а", Value: "</script>"}, {Key: "", Value: "без имени"},
			{Key: "b", Value: "\u2029"}},
	}
	want := string(message.AppendJSON(nil))
	for _, to := range []wire.Recipient{
		{Type: wire.ToUser, IbID: "база", UserID: "Анна"},
		{Type: wire.ToGroup, IbID: "база", UserGroup: "sales"},
		{Type: wire.ToAll, IbID: "база"},
	} {
		n, err := d.Send(t.Context(), a.ID, to, message)
		if n != 1 || err != nil {
			t.Fatalf("sent to %d sessions: %v", n, err)
		}
		expect(t, c, want)
	}
	for _, to := range []wire.Recipient{
		{Type: wire.ToUser, IbID: "база", UserID: "анна"},
		{Type: wire.ToGroup, IbID: "база", UserGroup: "sale"},
		{Type: wire.ToAll, IbID: "other"},
	} {
		if n, err := d.Send(t.Context(), a.ID, to, message); n != 0 || err != nil {
			t.Errorf("%v: sent to %d sessions, want none: %v", to, n, err)
		}
	}
}

func TestAMessageWithRepeatedDataKeysFollowsTheSendersRule(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	a := d.newApp("one")
	c := d.connect(a, "ib", "ann", "")
	message := wire.Message{Data: []wire.Pair{{Key: "z", Value: "1"}, {Key: "a", Value: "2"}, {Key: "z", Value: "3"}}}
	if _, err := d.Send(t.Context(), a.ID, wire.Recipient{Type: wire.ToAll, IbID: "ib"}, message); err != nil {
		t.Fatal(err)
	}
	expect(t, c, `{"data":{"z":"3","a":"2"}}`)
}

func TestNamesInAMessageHaveBothSpellings(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	a := d.newApp("one")
	c := d.connect(a, "ib", "ann", "")
	for _, body := range []string{
		`{"app_id":"HERE","recipient":{"type":"user","ib_id":"ib","user_id":"ann"},"message":{"notification":{"title":"T"}}}`,
		`{"AppId":"HERE","Recipient":{"Type":"user","IbId":"ib","UserId":"ann"},"Message":{"Notification":{"Title":"T"}}}`,
		"\uFEFF" +
			`{"APP_ID":"HERE","note":1,"recipient":{"type":"user","IbId":"ib","user_id":"ann","user_group":null},"message":{"Topic":null,"notification":{"title":"T"}}}`,
	} {
		got := d.do("POST", "/v1/messages", strings.Replace(body, "HERE", strings.ToUpper(a.ID), 1))
		if got.status != http.StatusOK || got.body != "{\"sessions\":1}\n" {
			t.Fatalf("%s: answered %d %s", body, got.status, got.body)
		}
		expect(t, c, `{"notification":{"title":"T","important":false}}`)
	}
}

func TestTheAnswerNamesNodesThatDidNotConfirm(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	a := d.newApp("one")
	d.publish = func(context.Context, string, wire.Recipient, wire.Message) hub.Delivery {
		return hub.Delivery{Reach: hub.Reach{Sessions: 5, Waiting: 1}, Unconfirmed: []string{"web3"}}
	}
	body := fmt.Sprintf(`{"app_id":%q,"recipient":{"type":"all","ib_id":"ib"},"message":{}}`, a.ID)
	const want = `{"sessions":5,"waiting":1,"unconfirmed_nodes":["web3"]}` + "\n"
	if got := d.do("POST", "/v1/messages", body); got.status != http.StatusOK || got.body != want {
		t.Errorf("answered %d %s, want %s", got.status, got.body, want)
	}
}

func TestABadMessageIsRefusedByField(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	a := d.newApp("one")
	whole := fmt.Sprintf(`{"app_id":%q,"recipient":{"type":"all","ib_id":"ib"},"message":{}}`, a.ID)
	if got := d.do("POST", "/v1/messages", whole); got.status != http.StatusOK || got.body != "{\"sessions\":0}\n" {
		t.Fatalf("answered %d %s", got.status, got.body)
	}
	for name, test := range map[string]struct{ old, new, says string }{
		"no app":         {`"app_id":"` + a.ID + `",`, ``, "app_id: is required"},
		"null app":       {`"` + a.ID + `"`, `null`, "app_id: is required"},
		"number for app": {`"` + a.ID + `"`, `1`, "app_id: expected a string"},
		"no recipient":   {`"recipient"`, `"r"`, "Recipient: is required"},
		"no message":     {`"message"`, `"m"`, "Message: is required"},
		"no infobase":    {`"ib"`, `""`, "Recipient.IbId: is required"},
		"no user":        {`"all"`, `"user"`, "Recipient.UserId: is required"},
		"no group":       {`"all"`, `"group"`, "Recipient.UserGroup: is required"},
		"unknown type":   {`"all"`, `"some"`, "Recipient.Type"},
		"wrong data":     {`{}`, `{"data":{"a":1}}`, "Message.Data"},
		"garbage after":  {`{}}`, `{}}}`, "body"},
		"cut off":        {`{}}`, `{`, "body"},
		"not UTF-8":      {`"ib"`, "\"\xff\"", "UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			body := strings.Replace(whole, test.old, test.new, 1)
			got := d.do("POST", "/v1/messages", body)
			if got.status != http.StatusBadRequest || got.code(t) != control.CodeBadRequest ||
				!strings.Contains(got.body, test.says) {
				t.Errorf("%s\nanswered %d %s, want a refusal that says %q", body, got.status, got.body, test.says)
			}
		})
	}
	got := d.do("POST", "/v1/messages", strings.Replace(whole, a.ID, unknownID, 1))
	if got.status != http.StatusNotFound || got.code(t) != control.CodeAppNotFound {
		t.Errorf("an unknown app: answered %d %s", got.status, got.body)
	}
}

func TestTextThatIsNotUTF8IsNotSent(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	a := d.newApp("one")
	koi8 := "\xf0\xf2\xe9"
	all := wire.Recipient{Type: wire.ToAll, IbID: "ib"}
	for name, test := range map[string]struct {
		to wire.Recipient
		m  wire.Message
	}{
		"infobase":   {wire.Recipient{Type: wire.ToAll, IbID: koi8}, wire.Message{}},
		"user":       {wire.Recipient{Type: wire.ToUser, IbID: "ib", UserID: koi8}, wire.Message{}},
		"group":      {wire.Recipient{Type: wire.ToGroup, IbID: "ib", UserGroup: koi8}, wire.Message{}},
		"topic":      {all, wire.Message{Topic: koi8}},
		"title":      {all, wire.Message{Notification: wire.Notification{Title: koi8}}},
		"body":       {all, wire.Message{Notification: wire.Notification{Body: koi8}}},
		"data key":   {all, wire.Message{Data: []wire.Pair{{Key: koi8, Value: "1"}}}},
		"data value": {all, wire.Message{Data: []wire.Pair{{Key: "1", Value: koi8}}}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := d.Send(t.Context(), a.ID, test.to, test.m)
			refused(t, err, http.StatusBadRequest, control.CodeBadRequest)
		})
	}
}
