// Package tests runs the extension for 1C without the platform: OneScript executes copies
// of its modules, stand-ins in platform/ are what the platform would be, and the daemon
// is the real one. What a platform does otherwise than its stand-in, no scenario shows.
package tests

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/packaging/1c/bsl"
	"github.com/pns4ones/pns4ones/packaging/1c/bsl/onescript"
)

const (
	extension = "../extension"
	shared    = "pns4ones_СервисУведомленийКлиентСервер"
	// limit bounds a scenario on a machine that does much else.
	limit = 8 * time.Minute
)

// engine is OneScript: from ONESCRIPT, or oscript in PATH.
func engine(t *testing.T) string {
	t.Helper()
	if named := os.Getenv("ONESCRIPT"); named != "" {
		if _, err := os.Stat(named); err != nil {
			t.Fatalf("ONESCRIPT does not name the program oscript: %v", err)
		}
		return named
	}
	found, err := exec.LookPath("oscript")
	if err != nil {
		t.Skip("OneScript is not here: install it from oscript.io, or set ONESCRIPT to the program oscript")
	}
	return found
}

// TestScenarios runs each file of scenarios/ in a process and with a daemon of its own.
func TestScenarios(t *testing.T) {
	t.Parallel()
	s := theStage(t)
	files, err := filepath.Glob("scenarios/*.os")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".os"), func(t *testing.T) {
			t.Parallel()
			s.perform(t, s.library, file, startHelper(t, s.programs))
		})
	}
}

// TestElsewhere runs the scenarios of other/, each with the modules as they are compiled
// there: for clients that have no add-in, and for an external connection.
func TestElsewhere(t *testing.T) {
	t.Parallel()
	s := theStage(t)
	for _, one := range []struct {
		file           string
		server, client bsl.Context
	}{
		{"клиент-без-компоненты", bsl.Server, bsl.WebClient},
		{"клиент-без-компоненты", bsl.Server, bsl.MobileClient},
		{"внешнее-соединение", bsl.ExternalConnection, bsl.Client},
	} {
		t.Run(one.file+" "+one.server.String()+" "+one.client.String(), func(t *testing.T) {
			t.Parallel()
			library := prepare(t, t.TempDir(), one.server, one.client)
			s.perform(t, library, filepath.Join("other", one.file+".os"), startHelper(t, s.programs))
		})
	}
}

// stage is what all scenarios are run with.
type stage struct{ oscript, programs, library string }

var (
	folder    string // of the stage, which the tests share
	makeStage sync.Once
	made      stage
)

func TestMain(m *testing.M) {
	code := m.Run()
	if folder != "" {
		_ = os.RemoveAll(folder)
	}
	os.Exit(code)
}

// theStage is made once: to build the daemon and to copy the modules takes long.
func theStage(t *testing.T) stage {
	t.Helper()
	oscript := engine(t)
	makeStage.Do(func() {
		var err error
		if folder, err = os.MkdirTemp("", "pns4ones-1c-"); err != nil {
			t.Fatal(err)
		}
		library := filepath.Join(folder, "library")
		made = stage{oscript, build(t, filepath.Join(folder, "programs")), prepare(t, library, bsl.Server, bsl.Client)}
	})
	if made.oscript == "" {
		t.Fatal("the test that was to build the daemon and copy the modules failed")
	}
	return made
}

// perform runs a scenario, with a daemon.
func (s stage) perform(t *testing.T, library, file string, h *helper) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	if err := runScript(ctx, t.TempDir(), s.oscript, library, file, h); err != nil {
		t.Errorf("%v\nlog of the daemon:\n%s", err, h.daemonLog())
	}
}

// runScript runs a scenario with the library of stand-ins and copies, in an empty folder.
func runScript(ctx context.Context, folder, oscript, library, file string, h *helper, environment ...string) error {
	source, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	script := filepath.Join(folder, "сценарий.os")
	text := "#Использовать \"" + library + "\"\n" + string(source)
	if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, oscript, script)
	cmd.Dir = folder // a sample writes a file
	// What is learned of a program that runs for seconds does not pay.
	cmd.Env = append(os.Environ(), "PNS4ONES_HELPER="+strconv.Itoa(h.port), "DOTNET_TieredPGO=0")
	cmd.Env = append(cmd.Env, environment...)
	if h.raised == "" {
		cmd.Env = append(cmd.Env, "ADDIN_BUNDLE=")
	} else {
		// A collection of OneScript's garbage would take the function that the add-in calls.
		cmd.Env = append(cmd.Env, "ONESCRIPT_ADDIN_EVENTS="+h.raised, "DOTNET_GCgen0size=80000000")
	}
	said, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", file, err, said)
	}
	if !strings.HasSuffix(strings.TrimSpace(string(said)), "готово") {
		return fmt.Errorf("%s did not come to its end:\n%s", file, said)
	}
	return nil
}

// build makes the programs of the daemon.
func build(t *testing.T, folder string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", folder+"/", "./cmd/pns4ones", "./cmd/pns4onesadmin")
	cmd.Dir = "../../.."
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building the daemon: %v\n%s", err, said)
	}
	return folder
}

// prepare puts stand-ins and copies of the modules into a folder, which OneScript takes
// as a library; server and client are where they are compiled.
func prepare(t *testing.T, library string, server, client bsl.Context) string {
	t.Helper()
	if err := os.CopyFS(library, os.DirFS("platform")); err != nil {
		t.Fatal(err)
	}
	appended := read(t, "platform/appended.os")
	for _, c := range []struct {
		module, name string
		context      bsl.Context
	}{
		{"pns4ones_СервисУведомлений", "", server},
		{"pns4ones_СервисУведомленийВызовСервера", "", server},
		{shared, "", server},
		{"pns4ones_СервисУведомленийПереопределяемый", "", server},
		{"pns4ones_СервисУведомленийБСП", "", server},
		{"pns4ones_СервисУведомленийПовтИсп", "ПовтИспСервера", server},
		{shared, shared + onescript.ClientSuffix, client},
		{"pns4ones_СервисУведомленийКлиент", "", client},
		{"pns4ones_СервисУведомленийГлобальный", "", client},
		{"pns4ones_СервисУведомленийКлиентПовтИсп", "", client},
		{"pns4ones_Демонстрация", "", server},
		{"pns4ones_ДемонстрацияКлиент", "", client},
	} {
		file := filepath.Join(extension, "CommonModules", c.module, "Ext", "Module.bsl")
		if c.name == "" {
			c.name = c.module
		}
		m := onescript.Module{
			File: file, Source: read(t, file), Context: c.context, Twice: []string{shared}, Appended: appended,
		}
		write(t, library, "Модули", c.name, m)
	}
	file := filepath.Join(extension, "Ext", "ManagedApplicationModule.bsl")
	write(t, library, "Модули", "ПриложениеКлиента", onescript.Module{
		File: file, Source: withBody(read(t, file), read(t, "platform/application.os")), Context: client,
		Application: true,
	})
	forms(t, library, appended, client)
	bsp(t, library, appended)
	samples(t, library, appended)
	// They are read while the library is prepared; in it they would be modules.
	parts, err := filepath.Glob(filepath.Join(library, "*.os"))
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range parts {
		if filepath.Base(part) != "package-loader.os" {
			if err := os.Remove(part); err != nil {
				t.Fatal(err)
			}
		}
	}
	return library
}

// bsp copies the modules of the second extension.
func bsp(t *testing.T, library, appended string) {
	t.Helper()
	for _, m := range []struct {
		kind, name, file, appended string
		variables                  []string
	}{
		{"Модули", "pns4onesБСП_Уведомления", "CommonModules/pns4onesБСП_Уведомления/Ext/Module.bsl", "", nil},
		{"Модули", "УправлениеЭлектроннойПочтой", "CommonModules/УправлениеЭлектроннойПочтой/Ext/Module.bsl",
			"platform/mail.os", nil},
		{"Классы", "ОбъектЗадачаИсполнителя", "Tasks/ЗадачаИсполнителя/Ext/ObjectModule.bsl", "platform/object.os",
			[]string{"Ссылка", "ДополнительныеСвойства", "ОбменДанными"}},
	} {
		file := filepath.Join("../extension-bsp", m.file)
		more := appended
		if m.appended != "" {
			more += read(t, m.appended)
		}
		write(t, library, m.kind, m.name, onescript.Module{
			File: file, Source: read(t, file), Context: bsl.Server, Variables: m.variables, Appended: more,
		})
	}
}

// withBody puts methods before the body of the application module: OneScript wants the
// body last.
func withBody(source, methods string) string {
	at := strings.LastIndex(source, "КонецПроцедуры\n") + len("КонецПроцедуры\n")
	return source[:at] + methods + source[at:]
}

func write(t *testing.T, library, kind, name string, m onescript.Module) {
	t.Helper()
	text, err := m.Copy()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(library, kind, name+".os"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
