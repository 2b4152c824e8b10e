package tests

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestTheContractIsCalled: each method that other people's code may call is called by a
// scenario, a demonstration, or the sample of the manual that they run.
func TestTheContractIsCalled(t *testing.T) {
	t.Parallel()
	var calls strings.Builder
	for _, pattern := range []string{"scenarios/*.os", "platform/Классы/*.os", "platform/Модули/Проверки.os"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: no files: %v", pattern, err)
		}
		for _, file := range files {
			calls.WriteString(read(t, file))
		}
	}
	// A scenario may give the module a shorter name.
	called := strings.ReplaceAll(calls.String(), "Сервис.", "pns4ones_СервисУведомленийКлиент.")
	methods := 0
	for line := range strings.Lines(read(t, "../pack/contract.txt")) {
		if strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "" {
			continue
		}
		methods++
		module, signature, _ := strings.Cut(line, " ")
		_, head, _ := strings.Cut(signature, " ")
		method, _, _ := strings.Cut(head, "(")
		if !strings.Contains(called, module+"."+method+"(") {
			t.Errorf("nothing calls %s.%s", module, method)
		}
	}
	if methods < 50 {
		t.Errorf("the contract has only %d methods", methods)
	}
}
