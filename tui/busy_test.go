package tui_test

import (
	"context"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/control"
)

func TestWhatTakesLongSaysWhatItWaitsFor(t *testing.T) {
	t.Parallel()
	daemon := aDaemon()
	daemon.joinCluster()
	d := open(t, daemon, usual)
	d.await("на связи")
	wait := func() { d.passed.Add(int64(3 * time.Second)) }

	d.press("2", "n")
	d.write("one")
	d.slow = true
	d.press("enter")
	d.sees("выполняется…", "-по узлам")
	wait()
	d.sees("изменение расходится по узлам кластера, 3 с…")
	d.press("esc", "3") // it is waited for by nobody
	d.sees("[3 Сеансы]")
	d.catchUp()
	d.sees("Создано: «one»", "-по узлам")

	d.press("down") // to one of another node
	d.slow = true
	d.press("x", "down", "enter")
	wait()
	d.sees("жду ответа узла web2, 3 с…")
	d.catchUp()
	d.sees("отключён", "-жду ответа")
}

func TestAChangeThatIsNotAnsweredMayHaveBeenMade(t *testing.T) {
	t.Parallel()
	d, daemon := connected(t)
	d.press("2", "n")
	d.write("one")
	daemon.mu.Lock()
	daemon.refuses = context.DeadlineExceeded
	daemon.mu.Unlock()
	d.press("enter")
	d.sees("Служба не ответила за 15 секунд", "Выполнено ли, неизвестно")
}

func TestNodesThatDidNotConfirmAreNamed(t *testing.T) {
	t.Parallel()
	daemon := aDaemon()
	daemon.joinCluster()
	daemon.unconfirmed = []string{"web3"}
	d := open(t, daemon, usual)
	d.await("на связи")
	d.press("3", "w")
	d.write("text")
	d.slow = true
	d.press("ctrl+s")
	d.passed.Add(int64(2 * time.Second))
	d.sees("жду подтверждений узлов, 2 с…")
	d.catchUp()
	d.sees("Отправлено", "Неизвестно, дошло ли до узлов: web3.")
	d.press("esc", "3", "space", "space", "w")
	d.write("text")
	d.press("ctrl+s", "down", "enter")
	d.sees("Неизвестно, дошло ли до узлов: web3.")
}

func TestWhoGetsAMessageLaterIsCounted(t *testing.T) {
	t.Parallel()
	daemon := aDaemon()
	at := moment.Add(-time.Minute)
	for i := range daemon.sessions {
		daemon.sessions[i].State, daemon.sessions[i].DetachedAt = control.SessionDetached, &at
	}
	d := open(t, daemon, usual)
	d.await("на связи")
	d.press("3", "w")
	d.write("text")
	d.press("ctrl+s")
	d.sees("Отправлено", "Без связи 1: сообщение дойдёт, когда связь вернётся.")
	d.press("esc", "3", "space", "space", "w")
	d.write("text")
	d.press("ctrl+s", "down", "enter")
	d.sees("Без связи 2: сообщение дойдёт, когда связь вернётся.")
}
