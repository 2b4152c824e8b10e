package httpapi_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/httpapi"
	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// The tests of this file are the table of protocol.md section 3.2.

const toAll = `{"Recipient":{"Type":"all","IbId":"ib"},"Message":{"Topic":"t"}}`

func TestDeliversToTheSessionsThatMatch(t *testing.T) {
	t.Parallel()
	s := start(t, httpapi.Options{}, nil)
	a := s.newApp("one")
	token := s.token(a)
	ann := s.connect(a, "ib", "ann", "sales")
	bob := s.connect(a, "ib", "bob", "sales")
	s.connect(a, "other", "ann", "sales")
	s.connect(s.newApp("another"), "ib", "ann", "sales")

	body := func(recipient, topic string) string {
		return fmt.Sprintf(`{"Recipient":{%s},"Message":{"Topic":%q}}`, recipient, topic)
	}
	s.send(token, body(`"Type":"all","IbId":"ib"`, "1")).wantSent(t, 2)
	s.send(token, body(`"Type":"user","IbId":"ib","UserId":"ann"`, "2")).wantSent(t, 1)
	s.send(token, body(`"Type":"group","IbId":"ib","UserGroup":"sales"`, "3")).wantSent(t, 2)
	s.send(token, body(`"Type":"user","IbId":"ib","UserId":"Ann"`, "4")).wantSent(t, 0)
	s.send(token, body(`"Type":"all","IbId":"nowhere"`, "5")).wantSent(t, 0)
	for _, topic := range []string{"1", "2", "3"} {
		wantReceived(t, ann, `{"topic":"`+topic+`"}`)
	}
	for _, topic := range []string{"1", "3"} {
		wantReceived(t, bob, `{"topic":"`+topic+`"}`)
	}
}

func TestTheAnswerSaysWhatBecameOfAMessage(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		delivery hub.Delivery
		want     string // delivered, waiting, unconfirmed
	}{
		{hub.Delivery{}, "[0] [] []"},
		{hub.Delivery{Reach: hub.Reach{Sessions: 3, Waiting: 2}}, "[3] [2] []"},
		{hub.Delivery{Reach: hub.Reach{Sessions: 3}, Unconfirmed: []string{"web2", "web3"}}, "[3] [] [2]"},
	} {
		publish := func(context.Context, string, wire.Recipient, wire.Message) hub.Delivery { return test.delivery }
		s := start(t, httpapi.Options{Publish: publish}, nil)
		a := s.send(s.token(s.newApp("one")), toAll)
		a.wantSent(t, test.delivery.Sessions)
		if got := fmt.Sprint(a.header["X-Delivered-Sessions"], a.header["X-Waiting-Sessions"],
			a.header["X-Unconfirmed-Nodes"]); got != test.want {
			t.Errorf("%+v: headers %s, want %s", test.delivery, got, test.want)
		}
	}
}

func TestAcceptsWhateverMeansTheSame(t *testing.T) {
	t.Parallel()
	s := start(t, httpapi.Options{}, nil)
	a := s.newApp("one")
	token, session := s.token(a), s.connect(a, "ib", "ann", "")
	const full = `{"topic":"t","notification":{"title":"h","body":"b","important":true},"data":{"b":"1","a":"2"}}`
	for name, test := range map[string]struct{ body, want string }{
		"every field": {`{"Recipient":{"Type":"all","IbId":"ib","UserId":"","UserGroup":""},"Message":{"Topic":"t",` +
			`"Notification":{"Title":"h","Body":"b","Icon":"i","Action":"go","Important":true},"Data":{"k":"v"}}}`,
			`{"topic":"t","notification":{"title":"h","body":"b","icon":"i","action":"go","important":true},"data":{"k":"v"}}`},
		"byte order mark": {"\ufeff" + toAll, `{"topic":"t"}`},
		"null for each field": {`{"Recipient":{"Type":"all","IbId":"ib","UserId":null,"UserGroup":null},"Message":{"Topic":null,` +
			`"Notification":null,"Data":null}}`, `{}`},
		"empty for each field": {`{"Recipient":{"Type":"all","IbId":"ib","UserId":"","UserGroup":""},"Message":{"Topic":"",` +
			`"Notification":"","Data":""}}`, `{}`},
		"null within":        {`{"Recipient":{"Type":"all","IbId":"ib"},"Message":{"Notification":{"Title":null,"Body":"b","Icon":null,"Action":null,"Important":null},"Data":{"a":null,"b":"1"}}}`, `{"notification":{"body":"b","important":false},"data":{"b":"1"}}`},
		"other letter cases": {`{"recipient":{"type":"all","IBID":"ib"},"MESSAGE":{"topic":"t","notification":{"TITLE":"h","body":"b","important":true},"data":{"b":"1","a":"2"}}}`, full},
		"unknown fields":     {`{"Version":2,"Recipient":{"Type":"all","IbId":"ib","Color":[1,{"x":null}]},"Message":{"Topic":"t","Sound":{"a":[]}}}`, `{"topic":"t"}`},
		"white space around": {" \r\n\t" + toAll + "\r\n", `{"topic":"t"}`},
		"an empty message":   {`{"Recipient":{"Type":"all","IbId":"ib"},"Message":{}}`, `{}`},
		"Message before Recipient": {`{"Message":{"Topic":"t"},"Recipient":{"Type":"all","IbId":"ib"}}`,
			`{"topic":"t"}`},
	} {
		t.Run(name, func(t *testing.T) {
			s.send(token, test.body).wantSent(t, 1)
			wantReceived(t, session, test.want)
		})
	}
}

func TestTakesAnyContentType(t *testing.T) {
	t.Parallel()
	s := start(t, httpapi.Options{}, nil)
	token := s.token(s.newApp("one"))
	for _, contentType := range []string{"", "text/plain", "application/x-www-form-urlencoded",
		"multipart/form-data; boundary=x", "nonsense"} {
		header := bearer(token)
		header["Content-Type"] = []string{contentType}
		s.do(client(), http.MethodPost, "/sendmessage", header, strings.NewReader(toAll)).wantSent(t, 0)
	}
}

func TestReadsTheSchemeInAnyLetterCase(t *testing.T) {
	t.Parallel()
	s := start(t, httpapi.Options{}, nil)
	token := s.token(s.newApp("one"))
	for _, scheme := range []string{"Bearer", "bearer", "BEARER", "bEaReR", "Bearer "} {
		header := http.Header{"Authorization": {scheme + " " + token}}
		s.do(client(), http.MethodPost, "/sendmessage", header, strings.NewReader(toAll)).wantSent(t, 0)
	}
}

func TestRefusesASenderWithoutAValidToken(t *testing.T) {
	t.Parallel()
	s := start(t, httpapi.Options{}, nil)
	a, removed, reset, rotated := s.newApp("one"), s.newApp("removed"), s.newApp("reset"), s.newApp("rotated")
	good, ofRemoved, ofReset, ofRotated := s.token(a), s.token(removed), s.token(reset), s.token(rotated)
	session := s.connect(a, "ib", "ann", "")
	if err := s.apps.Remove(removed.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.apps.ResetToken(reset.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.apps.RotateServerKey(rotated.ID, 0); err != nil {
		t.Fatal(err)
	}
	forged := good[:63] + map[bool]string{true: "B", false: "A"}[good[63] == 'A']
	for name, authorization := range map[string]string{
		"no token":          "",
		"the scheme alone":  "Bearer",
		"an empty token":    "Bearer ",
		"another scheme":    "Basic " + good,
		"no scheme":         good,
		"malformed":         "Bearer " + strings.Repeat("*", 64),
		"too short":         "Bearer " + good[:40],
		"too long":          "Bearer " + good + "AAAA",
		"two tokens":        "Bearer " + good + " " + good,
		"forged":            "Bearer " + forged,
		"the server key":    "Bearer " + a.ServerKeys[0].Key,
		"of a removed app":  "Bearer " + ofRemoved,
		"reset":             "Bearer " + ofReset,
		"of a replaced key": "Bearer " + ofRotated,
	} {
		t.Run(name, func(t *testing.T) {
			header := http.Header{}
			if authorization != "" {
				header.Set("Authorization", authorization)
			}
			got := s.do(client(), http.MethodPost, "/sendmessage", header, strings.NewReader(toAll))
			got.wantError(t, http.StatusUnauthorized, "")
			if got.header.Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("WWW-Authenticate %q, want Bearer", got.header.Get("WWW-Authenticate"))
			}
		})
	}
	s.send(good, toAll).wantSent(t, 1)
	wantReceived(t, session, `{"topic":"t"}`)
}

func TestRefusesAnExpiredTokenWith403(t *testing.T) {
	t.Parallel()
	s := start(t, httpapi.Options{}, nil)
	token := s.token(s.newApp("one"))
	s.clock.Advance(59 * time.Minute)
	s.send(token, toAll).wantSent(t, 0)
	s.clock.Advance(2 * time.Minute)
	s.send(token, toAll).wantError(t, http.StatusForbidden, "expired")
	s.send(token[:62]+"AA", toAll).wantError(t, http.StatusUnauthorized, "")
}

func TestRefusesABodyThatIsNoMessage(t *testing.T) {
	t.Parallel()
	s := start(t, httpapi.Options{}, nil)
	a := s.newApp("one")
	token, session := s.token(a), s.connect(a, "ib", "ann", "")
	with := func(recipient, message string) string {
		return `{"Recipient":` + recipient + `,"Message":` + message + `}`
	}
	const all = `{"Type":"all","IbId":"ib"}`
	for name, test := range map[string]struct{ body, field string }{
		"empty":                   {"", "body"},
		"a byte order mark alone": {"\ufeff", "body"},
		"not JSON":                {"Recipient=all", "body"},
		"XML":                     {"<Message/>", "body"},
		"cut off":                 {toAll[:len(toAll)-1], "body"},
		"trailing garbage":        {toAll + "x", "body"},
		"two objects":             {toAll + toAll, "body"},
		"an array":                {"[" + toAll + "]", "body"},
		"null":                    {"null", "body"},
		"not UTF-8":               {with(all, "{\"Topic\":\"\xff\"}"), "body"},
		"windows-1251":            {with(all, "{\"Topic\":\"\xcf\xf0\xe8\"}"), "body"},
		"UTF-16":                  {"\xff\xfe{\x00}\x00", "body"},
		"no Recipient":            {`{"Message":{}}`, "Recipient"},
		"Recipient null":          {with(`null`, `{}`), "Recipient"},
		"Recipient a string":      {with(`"all"`, `{}`), "Recipient"},
		"no Message":              {`{"Recipient":` + all + `}`, "Message"},
		"Message null":            {with(all, `null`), "Message"},
		"Message an array":        {with(all, `[]`), "Message"},
		"no Type":                 {with(`{"IbId":"ib"}`, `{}`), "Recipient.Type"},
		"Type unknown":            {with(`{"Type":"everyone","IbId":"ib"}`, `{}`), "Recipient.Type"},
		"Type in capitals":        {with(`{"Type":"All","IbId":"ib"}`, `{}`), "Recipient.Type"},
		"Type a number":           {with(`{"Type":1,"IbId":"ib"}`, `{}`), "Recipient.Type"},
		"no IbId":                 {with(`{"Type":"all"}`, `{}`), "Recipient.IbId"},
		"IbId empty":              {with(`{"Type":"all","IbId":""}`, `{}`), "Recipient.IbId"},
		"IbId null":               {with(`{"Type":"all","IbId":null}`, `{}`), "Recipient.IbId"},
		"IbId a number":           {with(`{"Type":"all","IbId":1}`, `{}`), "Recipient.IbId"},
		"user without UserId":     {with(`{"Type":"user","IbId":"ib"}`, `{}`), "Recipient.UserId"},
		"user with empty UserId": {with(`{"Type":"user","IbId":"ib","UserId":"","UserGroup":"g"}`, `{}`),
			"Recipient.UserId"},
		"group without UserGroup": {with(`{"Type":"group","IbId":"ib","UserId":"u"}`, `{}`), "Recipient.UserGroup"},
		"group with UserGroup null": {with(`{"Type":"group","IbId":"ib","UserGroup":null}`, `{}`),
			"Recipient.UserGroup"},
		"Topic a number":        {with(all, `{"Topic":1}`), "Message.Topic"},
		"Notification an array": {with(all, `{"Notification":[]}`), "Message.Notification"},
		"Notification a text":   {with(all, `{"Notification":"text"}`), "Message.Notification"},
		"Title a number":        {with(all, `{"Notification":{"Title":1}}`), "Message.Notification.Title"},
		"Body an object":        {with(all, `{"Notification":{"Body":{}}}`), "Message.Notification.Body"},
		"Icon a boolean":        {with(all, `{"Notification":{"Icon":true}}`), "Message.Notification.Icon"},
		"Action a number":       {with(all, `{"Notification":{"Action":0}}`), "Message.Notification.Action"},
		"Important a text": {with(all, `{"Notification":{"Important":"yes"}}`),
			"Message.Notification.Important"},
		"Important a number":       {with(all, `{"Notification":{"Important":1}}`), "Message.Notification.Important"},
		"Data an array":            {with(all, `{"Data":["a"]}`), "Message.Data"},
		"Data an array of null":    {with(all, `{"Data":[null]}`), "Message.Data"},
		"Data an array not closed": {with(all, `{"Data":[`), "body"},
		"a number in Data":         {with(all, `{"Data":{"a":"x","k":1}}`), "Message.Data"},
		"a boolean in Data":        {with(all, `{"Data":{"k":false}}`), "Message.Data"},
		"an object in Data":        {with(all, `{"Data":{"k":{}}}`), "Message.Data"},
	} {
		t.Run(name, func(t *testing.T) {
			s.send(token, test.body).wantError(t, http.StatusBadRequest, test.field)
		})
	}
	s.send(token, toAll).wantSent(t, 1)
	wantReceived(t, session, `{"topic":"t"}`)
}

func TestRefusesABodyThatIsTooLarge(t *testing.T) {
	t.Parallel()
	const limit = 4096
	s := start(t, httpapi.Options{Limits: httpapi.Limits{MaxMessageBytes: limit}}, nil)
	token := s.token(s.newApp("one"))
	exact := toAll + strings.Repeat(" ", limit-len(toAll))
	post := func(body string, chunked bool) answer {
		reader := struct{ *strings.Reader }{strings.NewReader(body)}
		if chunked {
			// net/http cannot tell its length
			return s.do(client(), http.MethodPost, "/sendmessage", bearer(token), reader)
		}
		return s.send(token, body)
	}
	for _, chunked := range []bool{false, true} {
		t.Run(fmt.Sprintf("chunked=%v", chunked), func(t *testing.T) {
			post(exact, chunked).wantSent(t, 0)
			post(exact+" ", chunked).wantError(t, http.StatusRequestEntityTooLarge, "4096")
			post(strings.Repeat("x", 2<<20), chunked).wantError(t, http.StatusRequestEntityTooLarge, "4096")
		})
	}
	s.http.SetLimits(complete(httpapi.Limits{MaxMessageBytes: 8192}))
	post(exact+" ", false).wantSent(t, 0)
}

func TestTakesABodyOfOneMiBWhole(t *testing.T) {
	t.Parallel()
	s := start(t, httpapi.Options{Limits: httpapi.Limits{MaxMessageBytes: 1 << 20}}, nil)
	a := s.newApp("one")
	token, session := s.token(a), s.connect(a, "ib", "ann", "")
	const before, after = `{"Recipient":{"Type":"all","IbId":"ib"},"Message":{"Topic":"`, `"}}`
	topic := strings.Repeat("я", (1<<20-len(before)-len(after))/2)
	s.send(token, before+topic+after).wantSent(t, 1)
	wantReceived(t, session, `{"topic":"`+topic+`"}`)
	s.send(token, before+topic+"яя"+after).wantError(t, http.StatusRequestEntityTooLarge, "1048576")
}

func TestRefusesOtherMethodsAndPaths(t *testing.T) {
	t.Parallel()
	s := start(t, httpapi.Options{}, nil)
	a := s.newApp("one")
	key, token := a.ServerKeys[0].Key, s.token(a)
	for _, test := range []struct {
		method, target string
		status         int
		allow          string
	}{
		{"POST", "/auth?server_key=" + key, 405, "GET"},
		{"PUT", "/auth", 405, "GET"},
		{"OPTIONS", "/auth", 405, "GET"},
		{"DELETE", "/auth", 405, "GET"},
		{"FLY", "/auth", 405, "GET"},
		{"GET", "/sendmessage", 405, "POST"},
		{"PUT", "/sendmessage", 405, "POST"},
		{"GET", "/", 404, ""},
		{"GET", "", 404, ""},
		{"POST", "/Auth/", 405, "GET"},
		{"GET", "//SendMessage", 405, "POST"},
		{"GET", "/./auth", 404, ""},
		{"GET", "/x/../auth", 404, ""},
		{"GET", "/a/uth", 404, ""},
		{"GET", "/aut%C4%A7", 404, ""},
		{"GET", "/auth&server_key=" + key, 404, ""},
		{"POST", "/send/message", 404, ""},
		{"POST", "/sendmessages", 404, ""},
		{"GET", "/index.html", 404, ""},
		{"GET", "/%ff%00%0a", 404, ""},
	} {
		t.Run(test.method+" "+strings.ReplaceAll(test.target, key, "KEY"), func(t *testing.T) {
			got := s.do(client(), test.method, test.target, bearer(token), strings.NewReader(toAll))
			got.wantError(t, test.status, "")
			if allow := got.header.Get("Allow"); allow != test.allow {
				t.Errorf("Allow %q, want %q", allow, test.allow)
			}
		})
	}
	t.Run("HEAD /auth", func(t *testing.T) {
		got := s.do(client(), "HEAD", "/auth?server_key="+key, nil, nil)
		if got.status != 405 || got.header.Get("Allow") != "GET" ||
			got.header.Get("Content-Type") != "application/json" {
			t.Errorf("got %d, Allow %q", got.status, got.header.Get("Allow"))
		}
	})
	for _, line := range []string{"OPTIONS * HTTP/1.1", "CONNECT example.com:443 HTTP/1.1"} {
		t.Run(line, func(t *testing.T) {
			c := s.raw()
			c.writeHeader(line, "Host: example.com:443")
			c.read().wantError(t, 404, "")
		})
	}
}
