package tui_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/pns4ones/pns4ones/netsvc/control"
)

func TestCopiesFromListsAndGoesBackToThem(t *testing.T) {
	t.Parallel()
	d, daemon := connected(t)
	daemon.giveNames()
	d.press("2", "i")
	d.sees("Базы приложения")
	d.press("c", "enter")
	d.sees("Базы приложения", "Отправлено терминалу: ID базы")
	d.press("c", "esc")
	d.sees("Базы приложения", "-Что копировать?")
	d.press("esc", "f")
	d.write("ов")
	d.press("enter", "c", "down", "enter")
	d.sees("совпадения", "Отправлено терминалу: Пользователь")
	d.press("esc", "1", "c", "enter")
	want := []string{daemon.infobases[0].ID, "Иванов И. И.", "srv-1c:36696"}
	if got := fmt.Sprint(d.clipboard); got != fmt.Sprint(want) {
		t.Errorf("copied %s, want %v", got, want)
	}
}

func TestAPasteBeyondTheBoundIsSaid(t *testing.T) {
	t.Parallel()
	paste := tea.KeyMsg{Type: tea.KeyRunes, Paste: true, Runes: []rune(strings.Repeat("x", 30_000))}
	for name, keys := range map[string][]string{"commands": {":"}, "filter": {"3", "/"}, "prompt": {"f"},
		"form": {"5", "down"}} {
		d, _ := connected(t)
		d.press(keys...)
		d.send(paste)
		if !strings.Contains(d.screen(), "Вставлено не всё: в поле помещается 20 000 знаков.") {
			t.Errorf("%s: nothing is said:\n%s", name, d.screen())
		}
	}
}

func TestRecordsOfOtherDaysHaveTheirDate(t *testing.T) {
	t.Parallel()
	daemon := aDaemon()
	daemon.records = []control.LogRecord{
		{Time: moment.Add(-25 * time.Hour), Level: "Warning", Message: "certificate expires soon"},
		{Time: moment, Level: "Warning", Message: "request refused"},
	}
	d := open(t, daemon, usual)
	d.await("2026-03-01 08:05:00  Warn", "2026-03-02 09:05:00  Warn")
	d.press("4")
	d.await("2026-03-01 08:05:00  Warn", "2026-03-02 09:05:00  Warn")
}

func TestWhatIsCutOffIsCounted(t *testing.T) {
	t.Parallel()
	daemon := aDaemon()
	for i := range 40 {
		daemon.apps = append(daemon.apps, control.App{ID: fmt.Sprintf("more-%d", i),
			Title: fmt.Sprintf("Филиал %d", i)})
	}
	d := open(t, daemon, usual)
	d.await("● на связи")
	d.press("2")
	d.await("44 приложения · ниже ещё 27")
	d.press("end")
	d.sees("44 приложения", "-ниже ещё")
}

func TestAnAppHasChartsOfItsPast(t *testing.T) {
	t.Parallel()
	d, _ := connected(t)
	d.press("2", "enter")
	d.sees("Доставлено в минуту", "Отказов в минуту", "10 мин")
	d.press("h")
	d.sees("1 ч", "08:05")
	d.press("esc")
	d.sees("-Доставлено в минуту")
}

func TestCommandsThatBeginWithTheWordComeFirst(t *testing.T) {
	t.Parallel()
	d, _ := connected(t)
	d.press("2", ":")
	d.write("сеансы")
	first := ""
	for line := range strings.Lines(d.screen()) {
		if strings.Contains(line, "›") {
			first = line
		}
	}
	if !strings.Contains(first, "› сеансы") {
		t.Errorf("the first one is %q:\n%s", first, d.screen())
	}
}
