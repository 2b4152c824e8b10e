package tui_test

import (
	"slices"
	"strings"
	"testing"

	tea "github.com/charmbracelet/bubbletea"
)

func TestDisconnectsTheMarked(t *testing.T) {
	t.Parallel()
	d, daemon := connected(t)
	d.press("3", "space", "down", "space")
	d.sees("помечено 2", "* petrov")
	d.press("x")
	d.sees("Отключить 2 сеанса?", "petrov")
	d.press("enter")
	if len(daemon.sessions) != 5 {
		t.Fatal("they were disconnected unasked")
	}
	daemon.mu.Lock()
	daemon.sessions = daemon.sessions[:4] // petrov leaves meanwhile
	daemon.mu.Unlock()
	d.press("x", "down", "enter")
	d.sees("Отключён 1 сеанс.", "3 сеанса", "-помечен")
	d.press("space")
	d.sees("помечен 1", "esc снять метки")
	d.press("esc")
	d.sees("-помечен 1", "3 сеанса")
}

func TestWritesToTheUsersOfTheMarked(t *testing.T) {
	t.Parallel()
	d, daemon := connected(t)
	daemon.giveNames()
	d.press("3", "space", "space", "w")
	d.sees("[5 Отправить]", "2 пользователям: ", "-База")
	d.write("Обед")
	d.press("ctrl+s")
	d.sees("Отправить 2 пользователям?")
	d.press("enter")
	if len(daemon.sent) != 0 {
		t.Fatal("it was sent unasked")
	}
	d.press("ctrl+s", "down", "enter")
	d.sees("Отправлено 2 сеансам.")
	var users []string
	for _, one := range daemon.sent {
		users = append(users, one.To.UserID)
	}
	want := []string{daemon.sessions[3].UserID, daemon.sessions[4].UserID}
	if slices.Sort(users); !slices.Equal(users, want) {
		t.Errorf("sent to %q, want %q", users, want)
	}
	d.press("shift+tab", "space") // back to one
	d.sees("(•) пользователю", "База")
}

func TestTheCommandLineLeadsToEveryActionAndScreen(t *testing.T) {
	t.Parallel()
	d, _ := connected(t)
	d.press(":")
	d.write("журн")
	d.press("enter")
	d.sees("[4 Журнал]")
	d.press(":")
	d.write("прилож созд")
	d.press("enter")
	d.sees("[2 Приложения]", "Новое приложение")
	d.press("esc", "esc", ":")
	d.write("назв")
	d.sees("Такого нет.")
	d.press("enter") // does nothing
	d.sees("Что сделать?")
	d.press("ctrl+u")
	d.write("обз")
	d.press("tab")
	d.sees("│ Обзор ")
	d.press("esc")
	d.sees("[2 Приложения]")
}

func TestASearchThatFindsNobodyOffersToExplain(t *testing.T) {
	t.Parallel()
	d, daemon := connected(t)
	daemon.giveNames()
	d.press("3", "/")
	d.write("user:сидоров -робот")
	d.press("enter")
	d.sees("Никого не найдено. Почему: e.", "e объяснить")
	d.press("e")
	d.sees("Сеанса «сидоров» нет. В каком приложении")
	d.press("enter")
	d.sees("В какой базе должен быть «сидоров»?", "Зарплата")
	d.press("enter")
	d.sees("сидоров в базе Бухгалтерия")
	d.press("esc", "2", "3")
	d.sees("Фильтр: user:сидоров -робот") // it survives
}

func TestCopiesAllThat1CNeeds(t *testing.T) {
	t.Parallel()
	d, daemon := connected(t)
	d.press("2", "y")
	d.sees("Отправлено терминалу: всё для 1С. Проверьте вставкой")
	for _, want := range []string{
		daemon.apps[0].ID, daemon.apps[0].ServerKey, daemon.apps[0].ClientKey, "https://srv-1c:36696", ": srv-1c:36695",
		"HTTPS: да",
	} {
		if !strings.Contains(d.clipboard[0], want) {
			t.Errorf("%q is not in\n%s", want, d.clipboard[0])
		}
	}
	d.sees("-" + daemon.apps[0].ServerKey[:20])
	d.press("c", "end", "enter")
	d.sees("Отправлено терминалу: Ключ клиента.", "-Проверьте")
	d.press("3", "down", "c", "enter", "e", "c")
	if len(d.clipboard) != 4 || d.clipboard[1] != daemon.apps[0].ClientKey ||
		d.clipboard[2] != daemon.sessions[3].UserID ||
		!strings.Contains(d.clipboard[3], "в базе demo") {
		t.Errorf("copied %q", d.clipboard)
	}
}

func TestSaysThatAPasteWasTooLong(t *testing.T) {
	t.Parallel()
	d, _ := connected(t)
	d.press("5", "up", "up", "up", "up")
	paste := func(n int) {
		d.send(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(strings.Repeat("ж", n)), Paste: true})
	}
	paste(19_999)
	d.sees("-Вставлено не всё")
	paste(2)
	d.sees("Вставлено не всё: в поле помещается 20 000 знаков.")
}

func TestTheFormKnowsGroupsAndApps(t *testing.T) {
	t.Parallel()
	d, _ := connected(t)
	d.press("5")
	d.write("бухг")
	d.press("enter")
	d.sees("‹ Бухгалтерия")
	d.press("down", "down", "space", "down")
	d.write("хгал")
	d.sees("↳ бухгалтеры")
	d.press("enter")
	d.sees("Группа      бухгалтеры", "-↳")
}
