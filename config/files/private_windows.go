package files

import (
	"errors"
	"fmt"
	"os"
	"os/user"

	"golang.org/x/sys/windows"
)

// privateSDDL admits SYSTEM (SY), the Administrators (BA) and the account whose SID goes
// into %[2]s; P keeps out what is inherited: below D:\ that is every user. %[1]s is
// handedDown for a folder, and empty for a file.
const (
	privateSDDL = "D:P(A;%[1]s;FA;;;SY)(A;%[1]s;FA;;;BA)(A;%[1]s;FA;;;%[2]s)"
	handedDown  = "OICI" // to files and folders in it
)

// MakePrivate takes a file or a folder, which this process has just made, from all but
// this account, SYSTEM and the Administrators. Elsewhere than on Windows the mode with
// which it was made has done so.
func MakePrivate(path string) error {
	self, err := user.Current()
	if err != nil {
		return fmt.Errorf("finding the own account: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	flags := ""
	if info.IsDir() {
		flags = handedDown
	}
	descriptor, err := windows.SecurityDescriptorFromString(fmt.Sprintf(privateSDDL, flags, self.Uid))
	if err != nil {
		return err
	}
	list, _, err := descriptor.DACL()
	if err != nil {
		return err
	}
	err = windows.SetNamedSecurityInfo(path, windows.SE_FILE_OBJECT,
		windows.DACL_SECURITY_INFORMATION|windows.PROTECTED_DACL_SECURITY_INFORMATION, nil, nil, list, nil)
	if errors.Is(err, windows.ERROR_INVALID_FUNCTION) || errors.Is(err, windows.ERROR_NOT_SUPPORTED) {
		return nil // FAT and the like know no rights
	}
	return err
}
