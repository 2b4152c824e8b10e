package main

import (
	"archive/zip"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	packOnce sync.Once
	packed   []byte // the archive: to check all rules takes long
)

// unpacked is the archive as a user unpacks it.
func unpacked(t *testing.T) string {
	t.Helper()
	packOnce.Do(func() {
		archive := filepath.Join(t.TempDir(), "out.zip")
		addin := bundle(t, "addin_2_0_0_%d.bin", "Windows i386", "Windows x86_64", "Linux x86_64")
		if err := pack("..", addin, archive); err != nil {
			t.Fatal(err)
		}
		var err error
		if packed, err = os.ReadFile(archive); err != nil {
			t.Fatal(err)
		}
	})
	reader, err := zip.NewReader(bytes.NewReader(packed), int64(len(packed)))
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	for _, file := range reader.File {
		source, err := file.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(source)
		if err != nil {
			t.Fatal(err)
		}
		target := filepath.Join(folder, filepath.FromSlash(file.Name))
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(target, content, file.Mode()); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(folder, top)
}

// tool is a program in the place of ibcmd or 1cv8 that notes how it is called, fails at a
// step, and gives back what was loaded.
const tool = `#!/bin/bash
printf '%s\t' "$@" >>"$CALLS"
echo >>"$CALLS"
out=/dev/stdout words=("$@")
for i in "${!words[@]}"; do
	next=${words[i + 1]}
	case ${words[i]} in
	/Out) out=$next ;;
	/LoadConfigFromFiles) load=$next ;;
	/DumpConfigToFiles) dump=$next ;;
	import) load=${words[-1]} ;;
	export) dump=${words[-1]} ;;
	esac
done
case "$*" in *"$FAILS"*) echo "ошибка платформы" >"$out"; exit 1 ;; esac
[ -z "$load" ] || cp -R "$load" "$STORE"
[ -z "$dump" ] || { [ -d "$STORE" ] && cp -R "$STORE" "$dump"; }
`

// installed is what the script for Linux said and did.
type installed struct {
	status           int
	said             string
	calls            []string // the words of each, with a tab after each of them
	folder, programs string
}

// install runs the script with tool in the place of the platform's programs.
func install(t *testing.T, answer, fails string, words ...string) installed {
	t.Helper()
	i := installed{folder: unpacked(t), programs: t.TempDir()}
	for _, name := range []string{"ibcmd", "1cv8"} {
		if err := os.WriteFile(filepath.Join(i.programs, name), []byte(tool), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for n, word := range words {
		if word == "1cv8" {
			words[n] = filepath.Join(i.programs, word)
		}
	}
	calls := filepath.Join(i.programs, "calls")
	cmd := exec.CommandContext(t.Context(), filepath.Join(i.folder, "install.sh"), words...)
	cmd.Env = append(os.Environ(), "PATH="+i.programs+":"+os.Getenv("PATH"), "CALLS="+calls, "FAILS="+fails,
		"STORE="+filepath.Join(i.programs, "store"))
	cmd.Stdin = strings.NewReader(answer)
	said, _ := cmd.CombinedOutput()
	i.said, i.status = string(said), cmd.ProcessState.ExitCode()
	called, err := os.ReadFile(calls)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	i.calls = slices.Collect(strings.Lines(string(called)))
	return i
}

// TestInstall runs the script for Linux.
func TestInstall(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("the script is for Linux")
	}
	base := []string{"ibcmd", "--db-path=/srv/base", "--db-pwd=тайна", "--password=тайна", "-P", "тайна"}
	second := append([]string{"bsp"}, base...)
	designer := []string{"designer", "1cv8", "/S", `srv\base`, "/N", "admin", "/P", "тайна"}
	for _, test := range []struct {
		name, answer, fails string
		words               []string
		status              int
		want                string
		calls               int
	}{
		{"нет", "нет\n", "никогда", base, 0, "Ничего не изменено.", 0},
		{"без ответа", "", "никогда", base, 0, "Ничего не изменено.", 0},
		{"да", "да\n", "никогда", base, 0, "Выгружено обратно: все файлы те же.", 6},
		{"загрузка", "да\n", "\timport\t", base, 1, "расширение не загрузилось.\n  ошибка платформы", 2},
		{"проверка", "да\n", "\tcheck\t", base, 1, "проверка нашла ошибки", 3},
		{"применение", "да\n", "\tapply\t", base, 1, "Обычная причина: в базе кто-то работает", 4},
		{"флаги", "да\n", "\tupdate\t", base, 1, "флаги не сняты", 5},
		{"второе", "да\n", "никогда", second, 0, "исполнители узнают о новых задачах", 6},
		{"второе без БСП", "да\n", "\tcheck\t", second, 1, "нужны в конфигурации задача ЗадачаИсполнителя", 3},
		{"конфигуратором", "да\n", "никогда", designer, 0, "Осталось самим: в конфигураторе", 5},
		{"загрузка конфигуратором", "да\n", "/LoadConfig", designer, 1, "не загрузилось.\n  ошибка платформы", 2},
		{"проверка конфигуратором", "да\n", "/CheckCan", designer, 1, "нельзя применить. База пока работает", 3},
		{"применение конфигуратором", "да\n", "/UpdateDBCfg", designer, 1, "Обычная причина: в базе кто-то", 4},
		{"без параметров", "", "никогда", base[:1], 2, "install.sh [bsp] ibcmd ПАРАМЕТРЫ…", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := install(t, test.answer, strings.ReplaceAll(test.fails, "\t", " "), slices.Clone(test.words)...)
			if got.status != test.status {
				t.Errorf("status %d, want %d", got.status, test.status)
			}
			if !strings.Contains(got.said, test.want) {
				t.Errorf("it does not say %q:\n%s", test.want, got.said)
			}
			if strings.Contains(got.said, "тайна") {
				t.Errorf("the password is shown:\n%s", got.said)
			}
			if len(got.calls) != test.calls {
				t.Errorf("%d calls, want %d:\n%s", len(got.calls), test.calls, got.calls)
			}
		})
	}
}

var (
	stepSaid   = regexp.MustCompile(`(?m)([^:\n]+)…$`)
	stepOfPS   = regexp.MustCompile(`(?s)Invoke-Step '([^']*)' \((.*?)\)\)+ \{`)
	addedOfPS  = regexp.MustCompile(`\$arguments = (@\('DESIGNER'\).*)`)
	wordOfPS   = regexp.MustCompile(`'([^']*)'|"([^"]*)"|(\$\w+)`)
	failureOfS = regexp.MustCompile(`fail "([^"]*)"`)
	failureOfP = regexp.MustCompile(`Stop-With '([^']*)'`)
)

// TestBothScriptsDoTheSame: the script for Linux is run, the one for Windows is read, since
// there is no PowerShell here; both call the platform's programs with the same words in the
// same order, and say the same where a step fails.
func TestBothScriptsDoTheSame(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("the script is for Linux")
	}
	content, err := os.ReadFile("../install/install.ps1")
	if err != nil {
		t.Fatal(err)
	}
	windows := string(content)
	_, steps, _ := strings.Cut(windows, "\ntry {\n")
	ibcmd, designer, found := strings.Cut(steps, "\n\t} else {\n")
	if !found {
		t.Fatal("install.ps1 has no two branches")
	}
	var golden strings.Builder
	for _, tool := range []struct {
		name, windows string
		words         []string
	}{
		{"ibcmd", ibcmd, []string{"ibcmd", "--db-path=/base"}},
		{"designer", designer, []string{"designer", "1cv8", "/F/base"}},
	} {
		got := install(t, "да\n", "никогда", tool.words...)
		names := stepSaid.FindAllStringSubmatch(got.said, -1)
		if len(names) != len(got.calls) {
			t.Fatalf("%d steps and %d calls:\n%s", len(names), len(got.calls), got.said)
		}
		var onLinux, onWindows []string
		for i, call := range got.calls {
			onLinux = append(onLinux, strings.TrimSpace(names[i][1])+": "+got.plain(tool.words[len(tool.words)-1], call))
		}
		for _, step := range stepOfPS.FindAllStringSubmatch(tool.windows, -1) {
			words := step[2]
			if tool.name == "designer" {
				words = strings.ReplaceAll(addedOfPS.FindStringSubmatch(windows)[1], "$arguments", words)
			}
			onWindows = append(onWindows, step[1]+": "+plainOfPS(words))
		}
		if diff := cmp.Diff(onLinux, onWindows); diff != "" {
			t.Errorf("%s: the scripts differ (-Linux +Windows):\n%s", tool.name, diff)
		}
		golden.WriteString(tool.name + "\n\t" + strings.Join(onLinux, "\n\t") + "\n")
	}
	want, err := os.ReadFile("testdata/calls")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), golden.String()); diff != "" {
		t.Errorf("the calls are others (-testdata/calls +got):\n%s", diff)
	}

	linux, err := os.ReadFile("../install/install.sh")
	if err != nil {
		t.Fatal(err)
	}
	_, steps, _ = strings.Cut(string(linux), `if [ "$tool" = ibcmd ]`)
	texts := func(all [][]string) (texts []string) {
		for _, one := range all {
			texts = append(texts, one[1])
		}
		return texts
	}
	if diff := cmp.Diff(texts(failureOfS.FindAllStringSubmatch(steps, -1)),
		texts(failureOfP.FindAllStringSubmatch(ibcmd+designer, -1))); diff != "" {
		t.Errorf("failures are told in other words (-Linux +Windows):\n%s", diff)
	}
}

var backupFolder = regexp.MustCompile(`\S+/before-[-\d]+`)

// plain is a call with words for what differs from run to run.
func (i installed) plain(base, call string) string {
	work := regexp.MustCompile(`\S+/(back|out)$`)
	var words []string
	for word := range strings.SplitSeq(strings.TrimSuffix(call, "\t\n"), "\t") {
		switch {
		case word == base:
			word = "BASE"
		case word == filepath.Join(i.folder, "extension"):
			word = "EXTENSION"
		case work.MatchString(word):
			word = strings.ToUpper(work.FindStringSubmatch(word)[1])
		default:
			word = backupFolder.ReplaceAllString(word, "BACKUP")
		}
		words = append(words, strings.ReplaceAll(word, "com_ptolkachev_pns4ones", "NAME"))
	}
	return strings.Join(words, " ")
}

// plainOfPS are the words of an expression that is a sum of arrays.
func plainOfPS(expression string) string {
	var words []string
	for _, match := range wordOfPS.FindAllStringSubmatch(expression, -1) {
		word := match[1] + match[2]
		if match[3] != "" {
			word = strings.ToUpper(match[3][1:])
		}
		words = append(words, strings.ReplaceAll(word, "$name", "NAME"))
	}
	return strings.Join(words, " ")
}
