package tui_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/google/go-cmp/cmp"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// connected opens a panel on a daemon at which something goes on.
func connected(t testing.TB) (*driver, *fakeDaemon) {
	daemon := aDaemon()
	d := open(t, daemon, usual)
	d.await("на связи")
	return d, daemon
}

func TestCreatesAnAppAndCopiesItsKeys(t *testing.T) {
	t.Parallel()
	d, daemon := connected(t)
	d.press("2", "n")
	d.sees("Новое приложение")
	d.press("enter")
	d.sees("Введите текст.")
	d.write("Новая база")
	d.press("enter")
	d.sees("Создано: «Новая база»", "ID приложения", "••••", "-"+daemon.apps[4].ServerKey)
	d.press("c", "down", "c", "down", "enter")
	want := []string{daemon.apps[4].ID, daemon.apps[4].ServerKey, daemon.apps[4].ClientKey}
	if diff := cmp.Diff(want, d.clipboard); diff != "" {
		t.Errorf("the clipboard (-want +got):\n%s", diff)
	}
	d.sees("Отправлено терминалу: Ключ клиента", "-"+daemon.apps[4].ClientKey)
}

func TestKeysAreMaskedAgainWhenTheScreenIsLeft(t *testing.T) {
	t.Parallel()
	d, daemon := connected(t)
	key := daemon.apps[0].ServerKey
	d.press("2", "enter")
	d.sees("-" + key)
	d.press("v")
	d.sees(key)
	d.press("v")
	d.sees("-" + key)
	for _, away := range [][]string{{"1", "2"}, {"tab", "shift+tab"}, {"esc", "enter"}, {"w", "esc"}} {
		d.press("v")
		d.sees(key)
		d.press(away...)
		d.sees("••••", "-"+key)
	}
}

func TestATitleThatWillNotDoIsNotLost(t *testing.T) {
	t.Parallel()
	d, daemon := connected(t)
	d.press("2", "n")
	title := strings.Repeat("x", 300)
	d.write(title)
	d.press("enter")
	d.sees("от 1 до 200 знаков", "xxxx")
	for range 200 {
		d.press("backspace")
	}
	d.press("enter")
	d.sees("Создано")
	if got := daemon.apps[4].Title; got != title[:100] {
		t.Errorf("created %q", got)
	}
}

func TestRenames(t *testing.T) {
	t.Parallel()
	d, daemon := connected(t)
	d.press("2", "down", "r", "ctrl+u")
	d.write("Бухгалтерия")
	d.press("enter")
	d.sees("Новое название: «Бухгалтерия»")
	if got := daemon.apps[1].Title; got != "Бухгалтерия" {
		t.Errorf("the title is %q", got)
	}
}

func TestRemovesOnlyWhenTheTitleIsTyped(t *testing.T) {
	t.Parallel()
	d, daemon := connected(t)
	d.press("2", "d")
	d.sees("Удалить «Склад»?", "3 сеанса", daemon.apps[0].ID)
	d.write("склад")
	d.press("enter")
	d.sees("Не совпадает")
	if len(daemon.apps) != 4 {
		t.Fatal("it was removed")
	}
	d.press("ctrl+u")
	d.write("Склад")
	d.press("enter")
	d.sees("Удалено: «Склад»", "3 приложения")
	d.press("end", "d")
	d.write(daemon.apps[2].ID[:8])
	d.press("enter")
	d.sees("2 приложения")
}

func TestRotatesKeysWithGrace(t *testing.T) {
	t.Parallel()
	d, daemon := connected(t)
	d.press("2", "enter", "s", "enter")
	d.sees("прежний работает ещё 24 часа", "Прежний ключ сервера", "ещё 1 д 0 ч")
	d.press("C", "down", "down", "enter")
	d.sees("Новый ключ клиента готов. Отключено: 3 сеанса.")
	d.press("C", "esc", "s", "up", "enter")
	if diff := cmp.Diff([]time.Duration{24 * time.Hour, 0, time.Hour}, daemon.graces); diff != "" {
		t.Errorf("graces (-want +got):\n%s", diff)
	}
}

func TestRevokesOldKeys(t *testing.T) {
	t.Parallel()
	d, daemon := connected(t)
	d.press("2", "enter", "R")
	d.sees("Отозвать прежние ключи?", "отозвать прежний ключ клиента немедленно, отключатся 1 204 сеанса",
		"-отозвать оба")
	d.press("enter")
	d.sees("Прежний ключ клиента") // nothing was chosen
	d.press("R", "down", "enter")
	d.sees("Прежние ключи отозваны.", "-Прежний ключ клиента")
	if daemon.apps[0].OldClientKeyUntil != nil {
		t.Error("the old key is not revoked")
	}
	d.press("R")
	d.sees("Прежних ключей у приложения нет.")
}

func TestResetsTokensOnlyWhenConfirmed(t *testing.T) {
	t.Parallel()
	d, _ := connected(t)
	d.press("2", "enter", "t", "enter")
	d.sees("-Токены сброшены")
	d.press("t", "down", "enter")
	d.sees("Токены сброшены")
}

func TestFindsApps(t *testing.T) {
	t.Parallel()
	d, daemon := connected(t)
	d.press("2", "/")
	d.write("бухг")
	d.sees("Бухгалтерия", "-Склад", "1 приложение")
	d.press("enter", "enter", "c")
	if d.clipboard[0] != daemon.apps[1].ID {
		t.Errorf("another app was opened")
	}
	d.press("esc", "esc")
	d.sees("Склад")
}

func TestCommandsWorkInTheRussianLayout(t *testing.T) {
	t.Parallel()
	d, daemon := connected(t)
	d.press("2", "enter", "м")
	d.sees(daemon.apps[0].ServerKey)
	d.press("с", ",")
	d.sees("Клавиши")
	d.press("esc", "esc", "о", ".")
	d.write("бух")
	d.sees("Бухгалтерия", "-Склад")
	d.press("enter", "й")
	if len(d.clipboard) != 1 || !d.left {
		t.Errorf("copied %d times, left: %t", len(d.clipboard), d.left)
	}
}

func TestDisconnectsASessionOnlyWhenConfirmed(t *testing.T) {
	t.Parallel()
	d, daemon := connected(t)
	d.press("3", "x", "enter")
	if len(daemon.sessions) != 5 {
		t.Fatal("it was disconnected")
	}
	d.press("x", "down", "enter")
	d.sees("Сеанс № 105 отключён.", "4 сеанса", "-petrov")
}

func TestFiltersAndSortsInTheDaemon(t *testing.T) {
	t.Parallel()
	d, daemon := connected(t)
	d.press("3", "/")
	d.write("evil")
	d.press("enter")
	d.sees("1 сеанс", `evil\x1b[2J`)
	d.press("esc")
	d.sees("5 сеансов")
	sorted := func(by string) {
		t.Helper()
		if last := daemon.asked[len(daemon.asked)-1]; last.Sort != by || last.Text != "" {
			t.Errorf("asked for %+v, want it sorted by %s", last, by)
		}
	}
	d.press("S", "home", "enter") // by user
	sorted("user_name")
	d.press("S", "enter") // the same again
	sorted("-user_name")
	d.press(">", "s")
	sorted("ib_name")
	d.sees("База▲")
	d.press("s")
	sorted("-ib_name")
	d.press("Б", "s") // in the Russian layout
	sorted("user_name")
}

func TestShowsTheSessionsOfAnApp(t *testing.T) {
	t.Parallel()
	d, _ := connected(t)
	d.press("2", "down", "o")
	d.sees("[3 Сеансы]", "2 сеанса · Бухгалтерия", "-Иванов")
	d.press("esc")
	d.sees("5 сеансов")
}

func TestWritesToAUser(t *testing.T) {
	t.Parallel()
	d, daemon := connected(t)
	d.press("3", "end", "w")
	d.sees("[5 Отправить]", "Иванов И. И.")
	d.write("Обед")
	d.press("tab")
	d.write("В 12:00")
	d.press("enter")
	d.write("q?5")
	d.press("tab", "space", "tab", "tab")
	d.write("a=1")
	d.press("enter")
	d.write("b= 2=2")
	d.press("ctrl+s")
	d.sees("Отправлено 1 сеансу.")
	want := []sentMessage{{
		daemon.apps[0].ID, wire.Recipient{Type: wire.ToUser, IbID: "demo", UserID: "Иванов И. И."},
		wire.Message{
			Notification: wire.Notification{Title: "Обед", Body: "В 12:00\nq?5", Important: true},
			Data:         []wire.Pair{{Key: "a", Value: "1"}, {Key: "b", Value: " 2=2"}},
		},
	}}
	if diff := cmp.Diff(want, daemon.sent); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
	d.press("esc")
	d.sees("[3 Сеансы]")
}

func TestThePastedTextArrivesWhole(t *testing.T) {
	t.Parallel()
	d, daemon := connected(t)
	d.press("3", "end", "w", "tab")
	d.send(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("one\r\ntwo\nthree"), Paste: true})
	d.press("ctrl+s")
	if got := daemon.sent[0].Message.Notification.Body; got != "one\ntwo\nthree" {
		t.Errorf("sent %q", got)
	}
}

func TestAMessageThatWillNotDoIsNotLost(t *testing.T) {
	t.Parallel()
	d, daemon := connected(t)
	d.press("5", "ctrl+s")
	d.sees("Укажите идентификатор информационной базы.")
	d.write("demo")
	d.press("ctrl+s")
	d.sees("Укажите пользователя.")
	d.write("nobody")
	d.press("ctrl+s")
	d.sees("Сообщение пустое")
	d.write("title")
	d.press("ctrl+s")
	d.sees("Никто из получателей", "Почему: ctrl+e", "demo", "nobody", "title")
	daemon.explains = control.Explanation{InfobaseSessions: 4}
	d.press("ctrl+e")
	d.sees("nobody в базе demo", "Такого сеанса сейчас нет")
	d.press("esc", "ctrl+n")
	d.sees("demo", "nobody", "-title")
	if len(daemon.sent) != 1 {
		t.Errorf("sent %d messages", len(daemon.sent))
	}
}

func TestSendsToGroupsAndToAll(t *testing.T) {
	t.Parallel()
	d, daemon := connected(t)
	d.press("5", "right", "tab")
	d.write("demo")
	d.press("tab", "right", "tab")
	d.sees("Группа")
	d.write("g")
	d.press("tab")
	d.write("t")
	d.press("ctrl+s")
	d.sees("пустой группой")
	d.press("shift+tab", "shift+tab", "right", "ctrl+s")
	d.sees("Отправлено 1 сеансу.", "-Группа")
	app := daemon.apps[1].ID
	message := wire.Message{Notification: wire.Notification{Title: "t"}}
	want := []sentMessage{
		{app, wire.Recipient{
			Type:      wire.ToGroup,
			IbID:      "demo",
			UserGroup: "g",
		}, message}, {app, wire.Recipient{Type: wire.ToAll, IbID: "demo"}, message},
	}
	if diff := cmp.Diff(want, daemon.sent); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
}

func TestFollowsTheJournal(t *testing.T) {
	t.Parallel()
	d, daemon := connected(t)
	d.press("4")
	d.await("ready")
	record := func(text string) control.LogRecord {
		return control.LogRecord{Time: moment, Level: "Information", Message: text}
	}
	daemon.logs <- record("something new")
	d.await("something new", "Последние записи")

	d.press("space")
	daemon.logs <- record("not now")
	d.await("Пауза, пришла ещё 1 запись")
	d.press("space")
	d.await("Последние записи", "ready")

	d.press("l", "end", "up", "enter") // Critical and above: nothing
	d.await("Записей нет.", "от Critical")
	d.press("esc", "/")
	d.write("refused")
	d.await("отказ в регистрации")
	d.sees("-ready")
	d.press("enter", "r")
	d.sees("registration refused")
	d.press("r", "esc", "/")
	d.write("Отказ в рег") // what the daemon does not know is found as well
	d.await("отказ в регистрации")
	d.press("enter", "enter")
	d.sees("неверный ключ клиента", "Проверьте в этой базе 1С", "registration refused")
	d.press("c")
	if n := len(d.clipboard); n != 1 || !strings.Contains(d.clipboard[0],
		"Warning registration refused reason=wrong_hmac") {
		t.Errorf("copied %q", d.clipboard)
	}
	d.press("e")
	d.sees("petrov в базе demo")
	d.press("esc", "o")
	d.await("[3 Сеансы]", "petrov")
}

func TestTheJournalStaysWhereThePersonReads(t *testing.T) {
	t.Parallel()
	d, daemon := connected(t)
	for i := range 100 {
		daemon.records = append(daemon.records, control.LogRecord{
			Time:    moment,
			Level:   "Warning",
			Message: fmt.Sprintf("record %03d", i),
		})
	}
	d.press("4")
	d.await("record 099")
	d.press("home")
	d.await("Ниже ещё 104", "ready")
	daemon.logs <- control.LogRecord{Time: moment, Level: "Warning", Message: "one more"}
	d.await("Ниже ещё 105")
	d.sees("ready", "-one more")
	d.press("end")
	d.sees("one more", "Последние записи")
}

func TestSetsTheDaemonsLevel(t *testing.T) {
	t.Parallel()
	d, daemon := connected(t)
	d.press("4", "L", "home", "down", "enter")
	d.sees("Уровень журнала службы: Debug.")
	if diff := cmp.Diff([]string{"Debug"}, daemon.levels); diff != "" {
		t.Errorf("levels (-want +got):\n%s", diff)
	}
}

func TestLeadsFromTheOverviewToTheWarnings(t *testing.T) {
	t.Parallel()
	d, _ := connected(t)
	d.await("отказ в регистрации")
	d.press("enter")
	d.await("[4 Журнал]", "от Warning", "отказ в регистрации")
	d.sees("-ready")
}

func TestComesBackWhenTheDaemonDoes(t *testing.T) {
	t.Parallel()
	d, daemon := connected(t)
	d.press("4")
	d.await("ready")
	daemon.goAway()
	d.await("▲ нет связи", "Данные на 09:05:00", "ready")
	d.press("2", "n")
	d.write("x")
	d.press("enter")
	d.sees("Служба не отвечает на /run/pns4ones/control.sock", "│ x ")
	d.press("esc", "4")
	daemon.comeBack()
	d.await("на связи", "ready")
	daemon.log(control.LogRecord{Time: moment, Level: "Warning", Message: "back again"})
	d.await("back again")
}

// TestStaysWithTheChosenSession opens sessions before the one that is selected.
func TestStaysWithTheChosenSession(t *testing.T) {
	t.Parallel()
	d, daemon := connected(t)
	d.press("3", "down", "down")
	d.sees("› evil")
	daemon.mu.Lock()
	for i := range 100 {
		daemon.sessions = append(daemon.sessions, control.Session{
			ID:     fmt.Sprint(200 + i),
			UserID: fmt.Sprintf("new %d", i),
			Since:  moment,
		})
	}
	daemon.mu.Unlock()
	daemon.events <- daemon.tick(105, 0)
	d.await("105 сеансов")
	d.sees("› evil")
	d.press("home")
	d.sees("› new 99")
}

func TestOnlyRowsAroundTheScreenAreAskedFor(t *testing.T) {
	t.Parallel()
	d, daemon := connected(t)
	for i := range 20_000 {
		daemon.sessions = append(daemon.sessions, control.Session{
			ID:     fmt.Sprintf("%06d", i),
			UserID: fmt.Sprintf("user %06d", i),
			Since:  moment,
		})
	}
	d.press("3")
	d.sees("20 005 сеансов")
	d.press("end")
	d.sees("› user 000000")
	for range 500 {
		d.press("up")
	}
	d.sees("› user 000500")
	for _, q := range daemon.asked {
		if q.Limit > 100 {
			t.Fatalf("asked for %+v", q)
		}
	}
}

func TestSaysWhatSizeItNeeds(t *testing.T) {
	t.Parallel()
	d, _ := connected(t)
	for _, size := range [][2]int{{35, 24}, {80, 11}, {1, 1}, {20, 3}} {
		d.send(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
		if size[0] > 30 {
			d.sees("36×12", fmt.Sprintf("%d×%d", size[0], size[1]))
		}
	}
	d.send(tea.WindowSizeMsg{Width: 36, Height: 12})
	d.sees("Обзор", "Служба")
	d.press("q")
	if !d.left {
		t.Error("q did not leave")
	}
}

func TestAPhoneHasListsOfOneColumn(t *testing.T) {
	t.Parallel()
	d, _ := connected(t)
	d.send(tea.WindowSizeMsg{Width: 40, Height: 20})
	d.press("3", "down", "down", "down")
	d.sees("1  2 [3 Сеансы] 4  5", "› 6f9619ff-8b86-d011-b42d-00cf4fc964ff")
	d.press("enter")
	d.sees("Сеанс № 102", "192.168.10.8")
	d.press("esc", "2")
	d.sees("Бухгалтерия предприятия")
	d.press("5", "down", "down", "space")
	d.sees("‹ группе ›")
}

func TestTheMouseChoosesTabsAndRows(t *testing.T) {
	t.Parallel()
	d, daemon := connected(t)
	click := func(x, y int) {
		d.send(tea.MouseMsg{X: x, Y: y, Button: tea.MouseButtonLeft, Action: tea.MouseActionPress})
	}
	click(12, 0)
	d.sees("[2 Приложения]")
	click(5, 5)
	d.sees("› Бухгалтерия")
	click(5, 5)
	d.press("c")
	if len(d.clipboard) != 1 || d.clipboard[0] != daemon.apps[1].ID {
		t.Errorf("the second click opened something else: %q", d.clipboard)
	}
	d.press("3")
	d.send(tea.MouseMsg{X: 5, Y: 5, Button: tea.MouseButtonWheelDown, Action: tea.MouseActionPress})
	d.sees("› 6f9619ff")
}

func TestNothingIsLeftRunning(t *testing.T) {
	d, daemon := connected(t)
	d.press("4")
	d.await("ready")
	daemon.goAway()
	d.await("нет связи")
	d.stop() // waits for all that Follow began
	daemon.comeBack()
	select {
	case daemon.logs <- control.LogRecord{}:
		t.Error("somebody still reads the log")
	case daemon.events <- control.Event{}:
		t.Error("somebody still follows")
	default:
	}
}

// brokenDaemon is one whose answers the panel cannot bear.
type brokenDaemon struct{ *fakeDaemon }

func (brokenDaemon) Events(context.Context, control.EventQuery, bool, func(control.Event) error) error {
	panic("what nobody thought of")
}

// TestAPanicBesideTheEventLoopEndsThePanelThere is about the terminal, which only
// the event loop makes again what it was.
func TestAPanicBesideTheEventLoopEndsThePanelThere(t *testing.T) {
	t.Parallel()
	d := open(t, brokenDaemon{aDaemon()}, usual)
	defer func() {
		if got := fmt.Sprint(recover()); !strings.Contains(got, "what nobody thought of") ||
			!strings.Contains(got, "brokenDaemon") {
			t.Errorf("the panic was %q", got)
		}
	}()
	d.await("what never comes")
}

// TestDisconnectsNobodyElse restarts the daemon, which gives the same numbers to
// other sessions.
func TestDisconnectsNobodyElse(t *testing.T) {
	t.Parallel()
	d, daemon := connected(t)
	d.press("3", "down", "x")
	d.sees("Сеанс № 104", "база demo", "Бухгалтерия")
	daemon.mu.Lock()
	for i := range daemon.sessions {
		daemon.sessions[i].Since = moment
	}
	daemon.mu.Unlock()
	d.press("down", "enter")
	d.sees("Такого сеанса уже нет")
	if len(daemon.sessions) != 5 {
		t.Error("somebody was disconnected")
	}
}

func TestTheFormKeepsTheChosenAppThoughItIsGone(t *testing.T) {
	t.Parallel()
	d, daemon := connected(t)
	gone := daemon.apps[1].ID
	d.press("2", "down", "w")
	d.write("demo")
	d.press("tab", "tab")
	d.write("ann")
	d.press("tab")
	d.write("title")
	daemon.mu.Lock()
	daemon.apps = append(daemon.apps[:1:1], daemon.apps[2:]...)
	daemon.mu.Unlock()
	daemon.events <- control.Event{Event: control.EventAppChanged}
	d.await("приложения " + gone + " больше нет")
	d.press("ctrl+s")
	d.sees("Выберите другое")
	if len(daemon.sent) != 0 {
		t.Errorf("sent %+v", daemon.sent)
	}
	d.press("enter", "enter", "ctrl+s")
	if len(daemon.sent) != 1 || daemon.sent[0].AppID != daemon.apps[0].ID {
		t.Errorf("sent %+v", daemon.sent)
	}
}

func TestALateAnswerTouchesNothingElse(t *testing.T) {
	t.Parallel()
	d, _ := connected(t)
	d.press("2", "n")
	d.write("one")
	d.slow = true
	d.press("enter")
	d.sees("esc назад", "-esc отменить")
	d.press("esc", "n")
	d.write("two")
	d.catchUp()
	d.sees("Новое приложение", "│ two ", "Создано: «one»", "-••••")
	d.press("esc")
	d.sees("5 приложений", "› Склад")

	d.press("3", "down")
	d.slow = true
	d.press("e")
	d.sees("… выполняется")
	d.press("x")
	d.catchUp()
	d.sees("Отключить сеанс?", "-выполняется", "-в базе demo")
	d.press("esc")
	d.slow = true
	d.press("e", "1")
	d.catchUp()
	d.sees("[1 Обзор]", "-в базе demo")
}

func TestAListOfBeforeAChangeDoesNotHideIt(t *testing.T) {
	t.Parallel()
	d, daemon := connected(t)
	d.slow = true
	daemon.events <- control.Event{Event: control.EventAppChanged}
	d.send(<-d.inbox) // the list of now is on its way
	before := d.late
	d.slow, d.late = false, nil
	d.press("2", "r", "ctrl+u")
	d.write("Новое имя")
	d.press("enter")
	d.sees("› Новое имя")
	d.late = before
	d.catchUp()
	d.sees("› Новое имя", "-Склад")
}

func TestKeysThatComeTogetherAreKeys(t *testing.T) {
	t.Parallel()
	d, daemon := connected(t)
	chunk := func(text string) { d.send(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(text)}) }
	chunk("2jjk/бухг")
	d.sees("Бухгалтерия", "1 приложение", "-Склад")
	chunk("esc") // which is text here
	d.sees("бухгesc", "Ничего не найдено")
	d.press("esc", "n")
	chunk("home")
	chunk("enter")
	d.press("enter")
	d.sees("Создано: «homeenter»")
	if len(daemon.apps) != 5 {
		t.Errorf("%d apps", len(daemon.apps))
	}
}

func TestTheFirstSessionStaysOnceItIsChosen(t *testing.T) {
	t.Parallel()
	d, daemon := connected(t)
	opened := 0
	openOne := func() {
		opened++
		daemon.mu.Lock()
		daemon.sessions = append(daemon.sessions, control.Session{
			ID:     fmt.Sprint(200 + opened),
			UserID: fmt.Sprintf("new %d", opened),
			Since:  moment,
		})
		total := len(daemon.sessions)
		daemon.mu.Unlock()
		daemon.events <- daemon.tick(total, 0)
		d.await(fmt.Sprintf("%d сеансов", total))
	}
	d.press("3")
	openOne()
	d.sees("› new 1")
	d.press("down", "up")
	openOne()
	d.sees("› new 1", "  new 2")
	d.press("g")
	openOne()
	d.sees("› new 3")
}

// TestARowThatIsLookedForLeavesTheOthers opens more sessions than are asked for
// at once before the one that is selected.
func TestARowThatIsLookedForLeavesTheOthers(t *testing.T) {
	t.Parallel()
	d, daemon := connected(t)
	d.press("3", "down")
	d.sees("› 👨👩👧 家族")
	daemon.mu.Lock()
	for i := range 300 {
		daemon.sessions = append(daemon.sessions, control.Session{
			ID:     fmt.Sprint(200 + i),
			UserID: fmt.Sprintf("new %d", i),
			Since:  moment,
		})
	}
	daemon.mu.Unlock()
	d.slow = true
	daemon.events <- daemon.tick(305, 0)
	for range 4 { // whatever has come by now
		if len(d.late) == 0 {
			d.send(<-d.inbox)
		}
		late := d.late
		d.late = nil
		for _, msg := range late {
			d.send(msg)
			if screen := d.screen(); !strings.Contains(screen, "› 👨👩👧 家族") {
				t.Fatalf("the row was left:\n%s", screen)
			}
		}
	}
	d.catchUp()
	d.sees("305 сеансов", "› 👨👩👧 家族")
}

func TestDetailsAreThoseOfNow(t *testing.T) {
	t.Parallel()
	d, daemon := connected(t)
	d.press("3", "down", "enter")
	d.sees("Сеанс № 104", "3 900")
	tick := func() {
		daemon.events <- daemon.tick(5, 0)
		d.send(<-d.inbox)
	}
	daemon.mu.Lock()
	daemon.sessions[3].Delivered = 3901
	daemon.mu.Unlock()
	tick()
	d.sees("3 901", "x отключить")
	daemon.mu.Lock()
	daemon.sessions = append(daemon.sessions[:3:3], daemon.sessions[4:]...)
	daemon.mu.Unlock()
	tick()
	d.sees("Сеанс завершён. Данные на 09:05:00", "3 901", "-x отключить")
	d.press("x")
	d.sees("Сеанс № 104")
}

func TestAPausedJournalStaysAndCounts(t *testing.T) {
	t.Parallel()
	d, daemon := connected(t)
	d.press("4")
	d.await("ready")
	d.press("space", "1")
	daemon.logs <- control.LogRecord{Time: moment, Level: "Warning", Message: "meanwhile"}
	d.press("4")
	d.await("Пауза, пришла ещё 1 запись", "ready")
	d.sees("-meanwhile")
	daemon.goAway()
	d.await("нет связи", "ready")
	daemon.comeBack()
	d.await("на связи")
	daemon.logs <- control.LogRecord{Time: moment, Level: "Warning", Message: "after that"}
	d.await("Пауза, пришли ещё 2 записи", "ready")
}

func TestASmallScreenShowsWhatMatters(t *testing.T) {
	t.Parallel()
	d, _ := connected(t)
	d.send(tea.WindowSizeMsg{Width: 60, Height: 15})
	d.sees("●")
	d.press("2", "n")
	d.write(strings.Repeat("длинное название ", 6))
	d.press("enter")
	d.press("d")
	d.write("нет")
	d.press("enter")
	d.sees("│ нет ", "Не совпадает")
	d.press("esc", "C")
	d.sees("· 1–", "/5", "› прежний ключ работает ещё 24 часа")
}

func TestFindsAPersonInFourKeys(t *testing.T) {
	t.Parallel()
	d, daemon := connected(t)
	daemon.giveNames()
	d.press("f")
	d.write("Ивано")
	d.press("enter") // the only one
	d.sees("Иванов И. И. в базе Бухгалтерия", "Такого сеанса сейчас нет")
	d.press("esc", "4", "f")
	d.write("ов")
	d.press("enter")
	d.sees("4 совпадения", "Соловьёв (59c775be…)")
	d.press("end", "enter")
	d.sees("известно только имя")
	d.press("esc", "f")
	d.write("nobody")
	d.press("enter")
	d.sees("Нет никого", "nobody")
	d.press("esc", "5", "alt+f")
	d.sees("Почему не дошло?")
}

func TestInfobasesAreALevelBetweenAnAppAndItsSessions(t *testing.T) {
	t.Parallel()
	d, daemon := connected(t)
	daemon.giveNames()
	d.press("2", "i")
	d.sees("Базы приложения «Склад»", "Зарплата")
	d.press("down", "enter")
	last := daemon.asked[len(daemon.asked)-1]
	if last.AppID != daemon.apps[0].ID || last.IbID != daemon.infobases[1].ID {
		t.Errorf("asked for %+v", last)
	}
	d.sees("[3 Сеансы]", "· Склад · Зарплата")
	d.press("esc")
	d.sees("3 сеанса · Склад", "-· Зарплата")
	d.press("esc")
	d.sees("5 сеансов")
	d.press("2", "down", "i")
	d.sees("сообщений им не было")
}

func TestChoosesTheRecipientByName(t *testing.T) {
	t.Parallel()
	d, daemon := connected(t)
	daemon.giveNames()
	d.press("5", "down", "ctrl+o")
	d.sees("Базы приложения «Склад»")
	d.press("down", "enter")
	d.sees("d23f0824", "Зарплата")
	d.press("down", "down")
	d.write("ивано")
	d.press("ctrl+o", "enter")
	d.sees("Иванов И. И.", "Бухгалтерия")
	d.press("down")
	d.write("hello")
	d.press("ctrl+s")
	if to := daemon.sent[0].To; to.UserID != daemon.sessions[0].UserID || to.IbID != daemon.sessions[0].IbID {
		t.Errorf("sent to %+v", to)
	}
	d.press("up", "backspace")
	d.sees("↳ Иванов И. И.", "-Бухгалтерия  ·")
	d.press("enter")
	d.sees("Кого или что вы имели в виду?", "ничего из этого")
	d.press("down", "enter")
}
