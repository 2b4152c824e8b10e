package main

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"github.com/pns4ones/pns4ones/netsvc/control"
)

// The six commands of the old product print its lines when nobody reads them but
// another program: scripts cut the keys out of them. They are a format, not a text,
// and so the same in every language; what else is worth saying goes to stderr. On a
// terminal, and with --json, it is ours that is printed.

// forScripts reports whether stdout is to have the old product's lines.
func (p *program) forScripts() bool { return !p.json && !p.person && p.form == "" }

// isTerminal reports whether a person reads what is written there.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

func (p *program) printCreatedAsBefore(a control.App) {
	fmt.Fprintf(p.stdout, "Создано новое приложение %s\nИдентификатор приложения: %s\n", a.Title, a.ID)
	fmt.Fprintf(p.stdout, "Ключ сервера для приложения: %s\nКлюч клиента для приложения: %s\n", a.ServerKey,
		a.ClientKey)
}

func (p *program) printListAsBefore(apps []control.App) {
	for _, a := range apps {
		fmt.Fprintf(p.stdout, "%s\nИдентификатор: %s\n", a.Title, a.ID)
		fmt.Fprintf(p.stdout, "Ключ сервера: %s\nКлюч клиента: %s\n\n", a.ServerKey, a.ClientKey)
	}
	if len(apps) == 0 {
		fmt.Fprintln(p.stdout, "Клиентские приложения отсутствуют.")
	}
}

func (p *program) printServerKeyAsBefore(a control.App) {
	fmt.Fprintln(p.stdout, "Новый ключ сервера приложения:", a.ServerKey)
}

func (p *program) printClientKeyAsBefore(a control.App) {
	fmt.Fprintln(p.stdout, "Новый ключ клиента приложения:", a.ClientKey)
}
