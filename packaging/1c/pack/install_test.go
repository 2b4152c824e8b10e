package main

import (
	"archive/zip"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// unpacked is the archive as a user unpacks it.
func unpacked(t *testing.T) string {
	t.Helper()
	archive := filepath.Join(t.TempDir(), "out.zip")
	addin := bundle(t, "addin_2_0_0_%d.bin", "Windows i386", "Windows x86_64", "Linux x86_64")
	if err := pack("..", addin, archive); err != nil {
		t.Fatal(err)
	}
	reader, err := zip.OpenReader(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
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

// ibcmd is a program that notes how it is called, fails at a step, and gives back what
// was loaded.
const ibcmd = `#!/bin/bash
echo "$@" >>"$CALLS"
case "$*" in *"$FAILS"*) echo "ошибка платформы"; exit 1 ;; esac
for last; do :; done
case "$*" in
*" import "*) cp -R "$last" "$STORE" ;;
*" export "*) [ -d "$STORE" ] || exit 1; cp -R "$STORE" "$last" ;;
esac
`

// TestInstall runs the script for Linux with a program in the place of ibcmd.
func TestInstall(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("the script is for Linux")
	}
	for _, test := range []struct {
		name, answer, fails string
		words               []string // before ibcmd
		status              int
		want                string
		calls               int
	}{
		{"нет", "нет\n", "никогда", nil, 0, "Ничего не изменено.", 0},
		{"без ответа", "", "никогда", nil, 0, "Ничего не изменено.", 0},
		{"да", "да\n", "никогда", nil, 0, "Выгружено обратно: все файлы те же.", 6},
		{"загрузка", "да\n", " import ", nil, 1, "расширение не загрузилось.\n  ошибка платформы", 2},
		{"проверка", "да\n", " check ", nil, 1, "проверка нашла ошибки", 3},
		{"применение", "да\n", " apply ", nil, 1, "Обычная причина: в базе кто-то работает", 4},
		{"флаги", "да\n", " update ", nil, 1, "флаги не сняты", 5},
		{"второе", "да\n", "никогда", []string{"bsp"}, 0, "исполнители узнают о новых задачах", 6},
		{"второе без БСП", "да\n", " check ", []string{"bsp"}, 1, "нужны в конфигурации задача ЗадачаИсполнителя", 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			folder, programs := unpacked(t), t.TempDir()
			if err := os.WriteFile(filepath.Join(programs, "ibcmd"), []byte(ibcmd), 0o755); err != nil {
				t.Fatal(err)
			}
			calls := filepath.Join(programs, "calls")
			words := append(slices.Clone(test.words), "ibcmd", "--db-path=/srv/base", "--password=тайна")
			cmd := exec.CommandContext(t.Context(), filepath.Join(folder, "install.sh"), words...)
			cmd.Env = append(os.Environ(), "PATH="+programs+":"+os.Getenv("PATH"), "CALLS="+calls, "FAILS="+test.fails, "STORE="+filepath.Join(programs, "store"))
			cmd.Stdin = strings.NewReader(test.answer)
			said, _ := cmd.CombinedOutput()
			if got := cmd.ProcessState.ExitCode(); got != test.status {
				t.Errorf("status %d, want %d", got, test.status)
			}
			if !strings.Contains(string(said), test.want) {
				t.Errorf("it does not say %q:\n%s", test.want, said)
			}
			if strings.Contains(string(said), "тайна") {
				t.Errorf("the password is shown:\n%s", said)
			}
			called, err := os.ReadFile(calls)
			if err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
			if got := strings.Count(string(called), "\n"); got != test.calls {
				t.Errorf("%d calls, want %d:\n%s", got, test.calls, called)
			}
		})
	}
}
