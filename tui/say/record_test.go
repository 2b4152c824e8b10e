package say_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/tui/say"
)

// logged are the messages in Go code that the log of a running daemon may have.
var logged = []*regexp.Regexp{
	regexp.MustCompile(`(?s)\.(?:Info|Warn|Error)\(\s*"([^"]+)"((?:\s*\+\s*"[^"]*")*)`),
	regexp.MustCompile(`LogAttrs\([^,]+, slog\.Level(?:Info|Warn|Error), "([^"]+)"()`),
	regexp.MustCompile(`(?s)\.note\(slog\.Level(?:Info|Warn|Error), "([^"]+)"()`),
	regexp.MustCompile(`failurelog\.New\([^,]+, "([^"]+)"()`),
	regexp.MustCompile(`(?s)\.Log\(context\.Background\(\), level, "([^"]+)"()`),
	regexp.MustCompile(`logSession\("([^"]+)"()`),
	regexp.MustCompile(`Session(?:Opened|Changed|Resumed):\s+"(session [^"]+)"()`),
}

// withoutSentence are shown as they are: their text is somebody else's.
var withoutSentence = []string{"http server"}

func TestEachRecordOfTheLogHasASentence(t *testing.T) {
	t.Parallel()
	found := 0
	err := filepath.WalkDir("../../netsvc", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		code, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, pattern := range logged {
			for _, m := range pattern.FindAllSubmatch(code, -1) {
				more := regexp.MustCompile(`"\s*\+\s*"|^\s*\+\s*"|"$`).ReplaceAllString(string(m[2]), "")
				message := string(m[1]) + more
				found++
				if message == strings.Join(withoutSentence, "") {
					continue
				}
				for _, lang := range []locale.Lang{locale.Russian, locale.English} {
					sentence, _, known := say.Words{Text: locale.New(lang)}.Record(control.LogRecord{Message: message})
					if !known || strings.Contains(sentence, "live.") || strings.Contains(sentence, "<no value>") {
						t.Errorf("%s: %q is said as %q in %s", path, message, sentence, lang)
					}
				}
			}
		}
		return nil
	})
	if err != nil || found < 50 {
		t.Errorf("%d messages found: %v", found, err)
	}
}

// deeds are the actions in Go code that records of administration name.
var deeds = regexp.MustCompile(`(?:audit|auditApp|namesChanged|decide)\(r, "([^"]+)"`)

func TestEachDeedOfAnAdministratorIsSaid(t *testing.T) {
	t.Parallel()
	found := 0
	files, err := filepath.Glob("../../netsvc/control/server/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		code, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range deeds.FindAllSubmatch(code, -1) {
			action := string(m[1])
			found++
			record := control.LogRecord{Message: "administration", Attrs: control.LogAttrs{{Name: "action", Value: action}}}
			for _, lang := range []locale.Lang{locale.Russian, locale.English} {
				sentence, _, _ := say.Words{Text: locale.New(lang)}.Record(record)
				if strings.Contains(sentence, action+"}") || sentence == ": "+action || strings.Contains(sentence, "<no value>") {
					t.Errorf("%s: %q is said as %q in %s", path, action, sentence, lang)
				}
			}
		}
	}
	if found < 18 {
		t.Errorf("%d actions found", found)
	}
}

func TestRecordsSayWhoAndWhatToDo(t *testing.T) {
	t.Parallel()
	words := say.Words{Text: locale.New(locale.Russian), Titles: map[string]string{"id1": "Склад"}}
	attr := func(pairs ...string) (attrs control.LogAttrs) {
		for i := 0; i < len(pairs); i += 2 {
			attrs = append(attrs, control.LogAttr{Name: pairs[i], Value: pairs[i+1]})
		}
		return attrs
	}
	administration := func(pairs ...string) control.LogRecord {
		return control.LogRecord{Message: "administration", Attrs: attr(append(pairs, "user", "root")...)}
	}
	for _, tt := range []struct {
		record       control.LogRecord
		want, advice string
	}{
		{control.LogRecord{Message: "registration refused", Attrs: attr("reason", "wrong_hmac", "peer", "10.0.0.7", "app", "id1", "ib", "demo", "user_id", "ivanov")},
			"отказ в регистрации, адрес 10.0.0.7: ivanov, база demo, приложение «Склад»: неверный ключ клиента", "ключ клиента"},
		{control.LogRecord{Message: "registration refused, repeated", Attrs: attr("reason", "wrong_hmac", "peer", "10.0.0.7", "app", "id1", "more", "12")},
			"адрес 10.0.0.7: приложение «Склад»: неверный ключ клиента", "ключ клиента"},
		{control.LogRecord{Message: "registration refused, repeated", Attrs: attr("reason", "bad_hash_length", "peer", "others", "more", "12")},
			"адрес разные адреса: неверная длина хеша; это не клиент 1С (bad_hash_length) (ещё таких: 12)", "ключ клиента"},
		{control.LogRecord{Message: "request refused", Attrs: attr("reason", "bad_request", "peer", "10.0.0.8", "app", "id1", "detail", "no title")},
			"отказ отправителю, адрес 10.0.0.8: приложение «Склад»: ошибка в сообщении (bad_request): no title", "ключ сервера"},
		{control.LogRecord{Message: "message without a recipient", Attrs: attr("app", "id1", "ib", "demo", "to", "group", "group", "Склад", "messages", "3")},
			"сообщение никто не получил: группа «Склад», база demo, приложение «Склад»; таких 3", "не подключён"},
		{control.LogRecord{Message: "session closed", Attrs: attr("session", "7", "app", "id1", "ib", "demo", "user_id", "u\x1b[2J", "peer", "10.0.0.7:1", "reason", "goodbye", "delivered", "5")},
			`сеанс 7 закрыт: u\x1b[2J, база demo, приложение «Склад»; клиент 1С завершён (goodbye); доставлено 5`, ""},
		{administration("action", "new client key", "app", "id1", "title", "Склад", "grace", "86400",
			"closed_sessions", "0"), "root: новый ключ клиента приложения «Склад», прежний работает ещё 1 д 0 ч", ""},
		{administration("action", "revoke old keys", "app", "id1", "title", "Склад", "server", "true", "client", "true",
			"closed_sessions", "3"),
			"root: отозваны прежние ключи приложения «Склад»: сервера, клиента; отключено сеансов: 3", ""},
		{administration("action", "close session", "session", "7", "app", "id1", "ib", "demo", "user_id", "ivanov"),
			"root: отключён сеанс 7: ivanov, база demo, приложение «Склад»", ""},
		{administration("action", "something new"), "root: something new", ""},
		{control.LogRecord{Lost: 5}, "потеряно 5 записей", ""},
	} {
		sentence, advice, known := words.Record(tt.record)
		if !known || !strings.Contains(sentence, tt.want) || !strings.Contains(advice, tt.advice) || (tt.advice == "") != (advice == "") {
			t.Errorf("%q is said as %q, %q", tt.record.Message, sentence, advice)
		}
	}
	if _, _, known := words.Record(control.LogRecord{Message: "something new"}); known {
		t.Error("a record without a sentence has one")
	}
}
