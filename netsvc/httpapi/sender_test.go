package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/netsvc/httpapi"
)

// extension behaves as the 1C extension in the field does.
type extension struct {
	*service
	key            string
	token          string
	expires        time.Time // Дата(1,1,1) + expires_in
	authorisations int
}

var platformHeader = http.Header{"User-Agent": {"1C+Enterprise/8.3"}, "Content-Type": {"application/json"}}

// send posts the message, authorising first if the token is over.
func (e *extension) send(recipient, message string) answer {
	e.t.Helper()
	if !e.clock.Now().Before(e.expires) {
		got := e.do(client(), http.MethodGet, "/auth?server_key="+e.key, platformHeader, nil)
		var body authAnswer
		if err := json.Unmarshal([]byte(got.body), &body); err != nil || got.status != http.StatusOK {
			e.t.Fatalf("authorising: %d %s", got.status, got.body)
		}
		e.authorisations++
		e.token = body.AccessToken
		year1 := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
		e.expires = time.Unix(year1.Unix()+body.ExpiresIn, 0)
	}
	header := platformHeader.Clone()
	header.Set("Authorization", "Bearer "+e.token)
	body := "\ufeff" + `{"Recipient": ` + recipient + `, "Message": ` + message + `}`
	// a new connection each time
	return e.do(client(), http.MethodPost, "/sendmessage", header, strings.NewReader(body))
}

func TestTheMessagesOfThe1CExtensionArriveWhole(t *testing.T) {
	t.Parallel()
	s := start(t, httpapi.Options{}, nil)
	a := s.newApp("Бухгалтерия")
	session := s.connect(a, "База «Зарплата»", "Иванов И. И.", "")
	e := &extension{service: s, key: a.ServerKeys[0].Key}
	const recipient = `{"Type": "user", "IbId": "База «Зарплата»", "UserId": "Иванов И. И.", "UserGroup": null}`
	for _, test := range []struct{ message, want string }{
		{
			`{"Topic": null, "Notification": {"Title": "Счёт \"на оплату\"", "Body": "Строка 1\r\nСтрока 2\tс табуляцией \\ и 'кавычками' <b>", "Icon": null, "Action": null, "Important": null}, "Data": null}`,
			`{"notification":{"title":"Счёт \"на оплату\"","body":"Строка 1\r\nСтрока 2\tс табуляцией \\ и 'кавычками' <b>","important":false}}`,
		},
		{
			`{"Topic": "Заказы", "Notification": null, "Data": {"Номер": "0001", "Пусто": null, "Ссылка": "e1cib/data/Документ.Заказ?ref=1&x=2"}}`,
			`{"topic":"Заказы","data":{"Номер":"0001","Ссылка":"e1cib/data/Документ.Заказ?ref=1&x=2"}}`,
		},
		{`{"Topic": null, "Notification": null, "Data": null}`, `{}`},
	} {
		e.send(recipient, test.message).wantSent(t, 1)
		wantReceived(t, session, test.want)
	}
}

func TestThe1CExtensionAuthorisesOnceInTheLifeOfAToken(t *testing.T) {
	t.Parallel()
	s := start(t, httpapi.Options{}, nil)
	e := &extension{service: s, key: s.newApp("one").ServerKeys[0].Key}
	for range 59 {
		e.send(`{"Type": "all", "IbId": "ib"}`, `{"Topic": "t"}`).wantSent(t, 0)
		s.clock.Advance(time.Minute)
	}
	if e.authorisations != 1 {
		t.Errorf("authorised %d times in 59 minutes, want once", e.authorisations)
	}
	s.clock.Advance(2 * time.Minute)
	e.send(`{"Type": "all", "IbId": "ib"}`, `{"Topic": "t"}`).wantSent(t, 0)
	if e.authorisations != 2 {
		t.Errorf("authorised %d times after the token was over, want twice", e.authorisations)
	}
}

func TestSendersDoNotDisturbEachOther(t *testing.T) {
	t.Parallel()
	s := start(t, httpapi.Options{}, nil)
	a, b := s.newApp("one"), s.newApp("two")
	t.Run("two of one app and two of two", func(t *testing.T) {
		for _, pair := range [][2]*app.App{{a, a}, {a, b}} {
			first, second := s.authorize(pair[0], ""), s.authorize(pair[1], "")
			s.send(first.AccessToken, toAll).wantSent(t, 0)
			s.send(second.AccessToken, toAll).wantSent(t, 0)
		}
	})
	t.Run("ten in parallel", func(t *testing.T) {
		session := s.connect(a, "ib", "ann", "")
		authorised := make(chan struct{})
		var ready, done sync.WaitGroup
		for sender := range 10 {
			ready.Add(1)
			done.Go(func() {
				token := s.authorize(a, "1C+Enterprise/8.3").AccessToken
				ready.Done()
				<-authorised // nobody sends before all have authorised
				for i := range 20 {
					body := fmt.Sprintf(`{"Recipient":{"Type":"all","IbId":"ib"},"Message":{"Topic":"%d/%d"}}`, sender,
						i)
					s.send(token, body).wantSent(t, 1)
				}
			})
		}
		ready.Wait()
		close(authorised)
		done.Wait()
		next := make([]int, 10)
		for range 200 {
			session.SetReadDeadline(time.Now().Add(patience))
			message, err := session.Receive()
			if err != nil {
				t.Fatal(err)
			}
			var sender, i int
			if _, err := fmt.Sscanf(string(message), `{"topic":"%d/%d"}`, &sender, &i); err != nil {
				t.Fatalf("%v in %s", err, message)
			}
			if i != next[sender] {
				t.Fatalf("message %d of sender %d came when %d was due", i, sender, next[sender])
			}
			next[sender]++
		}
	})
}
