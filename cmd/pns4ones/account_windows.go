package main

import (
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"unicode/utf16"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
)

// virtualAccount is what a new service runs as. Windows makes it by itself, it has
// no password, and no rights but those of every user.
const virtualAccount = `NT SERVICE\` + serviceName

// Keys of the registry, below HKEY_LOCAL_MACHINE.
const (
	serviceKey     = `SYSTEM\CurrentControlSet\Services\` + serviceName
	environmentKey = `SYSTEM\CurrentControlSet\Control\Session Manager\Environment`
	profilesKey    = `SOFTWARE\Microsoft\Windows NT\CurrentVersion\ProfileList`
)

// localAppData returns the folder that is %LocalAppData% to a service of that
// account. The error wraps fs.ErrNotExist if the account has no profile yet:
// Windows makes it when the service starts for the first time.
func localAppData(account string) (string, error) {
	sid, err := accountSID(account)
	if err != nil {
		return "", fmt.Errorf("finding the account %s: %w", account, err)
	}
	profile, err := expandedString(profilesKey+`\`+sid, "ProfileImagePath")
	if err != nil {
		return "", fmt.Errorf("finding the profile of %s: %w", account, err)
	}
	return filepath.Join(profile, "AppData", "Local"), nil
}

// usualLocalAppData is where localAppData most likely will be.
func usualLocalAppData(account string) string {
	profiles, err := expandedString(profilesKey, "ProfilesDirectory")
	if err != nil {
		profiles = `C:\Users`
	}
	return filepath.Join(profiles, account[strings.LastIndexByte(account, '\\')+1:], "AppData", "Local")
}

// accountSID returns the security identifier of an account as the service manager
// names it.
func accountSID(account string) (string, error) {
	// The three that are not found by these names where Windows is not English.
	switch strings.ToLower(account) {
	case "", "localsystem", `.\localsystem`, `nt authority\system`:
		return "S-1-5-18", nil
	case `nt authority\localservice`:
		return "S-1-5-19", nil
	case `nt authority\networkservice`:
		return "S-1-5-20", nil
	}
	if strings.EqualFold(account, virtualAccount) {
		return serviceSID(serviceName), nil
	}
	sid, _, _, err := windows.LookupSID("", strings.TrimPrefix(account, `.\`))
	if err != nil {
		return "", err
	}
	return sid.String(), nil
}

// serviceSID returns the identifier of NT SERVICE\name, which is made from the
// name alone: S-1-5-80 and the SHA-1 of the upper-case name in UTF-16LE.
func serviceSID(name string) string {
	var text []byte
	for _, unit := range utf16.Encode([]rune(strings.ToUpper(name))) {
		text = binary.LittleEndian.AppendUint16(text, unit)
	}
	sum := sha1.Sum(text)
	sid := "S-1-5-80"
	for part := sum[:]; len(part) > 0; part = part[4:] {
		sid += fmt.Sprintf("-%d", binary.LittleEndian.Uint32(part))
	}
	return sid
}

// serviceEnvironment returns the variables as the service will see them: those in
// its own key, then the machine's. Ours, those of whoever installs it, are none of
// its business.
func serviceEnvironment(localAppData string) func(string) string {
	own := make(map[string]string)
	if key, err := registry.OpenKey(registry.LOCAL_MACHINE, serviceKey, registry.QUERY_VALUE); err == nil {
		defer key.Close()
		entries, _, err := key.GetStringsValue("Environment")
		if err == nil {
			for _, entry := range entries {
				name, value, _ := strings.Cut(entry, "=")
				own[strings.ToUpper(name)] = value
			}
		}
	}
	return func(name string) string {
		if strings.EqualFold(name, "LOCALAPPDATA") {
			return localAppData
		}
		if value, ok := own[strings.ToUpper(name)]; ok {
			return value
		}
		value, err := expandedString(environmentKey, name)
		if err != nil {
			return ""
		}
		return value
	}
}

// expandedString reads a text from the registry of the machine, with the
// variables in it replaced.
func expandedString(path, name string) (string, error) {
	key, err := registry.OpenKey(registry.LOCAL_MACHINE, path, registry.QUERY_VALUE)
	if err != nil {
		return "", asNotExist(err)
	}
	defer key.Close()
	value, kind, err := key.GetStringValue(name)
	if err != nil {
		return "", asNotExist(err)
	}
	if kind != registry.EXPAND_SZ {
		return value, nil
	}
	return registry.ExpandString(value)
}

// asNotExist makes the registry's error for what is missing one of package fs.
func asNotExist(err error) error {
	if errors.Is(err, registry.ErrNotExist) {
		return fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	return err
}
