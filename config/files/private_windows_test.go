package files_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/windows"

	"github.com/pns4ones/pns4ones/config/files"
)

func TestAPrivateFolderIsInheritedFromNobody(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "folder")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := files.MakePrivate(folder); err != nil {
		t.Fatal(err)
	}
	inside := filepath.Join(folder, "file")
	if err := os.WriteFile(inside, []byte("secret"), 0o600); err != nil {
		t.Fatalf("the account itself: %v", err)
	}
	for _, path := range []string{folder, inside} {
		descriptor, err := windows.GetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.DACL_SECURITY_INFORMATION)
		if err != nil {
			t.Fatal(err)
		}
		for _, others := range []string{";WD)", ";BU)", ";AU)"} {
			if strings.Contains(descriptor.String(), others) {
				t.Errorf("%s is open to others: %s", path, descriptor)
			}
		}
	}
}
