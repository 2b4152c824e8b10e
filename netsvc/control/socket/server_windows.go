package socket

import (
	"fmt"
	"net"
	"slices"
	"unsafe"

	"golang.org/x/sys/windows"
)

// serviceName is what the daemon is called in the list of services.
const serviceName = "PNS4OneS"

// checkServer checks that whoever is at the other end of a pipe is the daemon. A pipe's
// name is whoever's makes it first, so any user may do so while the daemon does not run,
// and wait for an administrator. The error is ErrForeign.
//
// Trusted are who can do everything anyway, SYSTEM and the Administrators; whoever runs
// the client, for a daemon started by hand; and the process that is the service, whatever
// account it has.
func checkServer(conn net.Conn) error {
	handle := windows.Handle(conn.(interface{ Fd() uintptr }).Fd())
	descriptor, err := windows.GetSecurityInfo(handle, windows.SE_KERNEL_OBJECT, windows.OWNER_SECURITY_INFORMATION)
	if err != nil {
		return fmt.Errorf("%w: its owner is not told: %w", ErrForeign, err)
	}
	owner, _, err := descriptor.Owner()
	if err != nil || owner == nil {
		return fmt.Errorf("%w: its owner is not told", ErrForeign)
	}
	if slices.ContainsFunc(trusted(), owner.Equals) {
		return nil
	}
	var server uint32
	if err := windows.GetNamedPipeServerProcessId(handle, &server); err == nil && server != 0 &&
		server == servicePID() {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrForeign, accountName(owner))
}

// trusted are the accounts whose pipes are trusted.
func trusted() (accounts []*windows.SID) {
	for _, kind := range []windows.WELL_KNOWN_SID_TYPE{windows.WinLocalSystemSid, windows.WinBuiltinAdministratorsSid} {
		if sid, err := windows.CreateWellKnownSid(kind); err == nil {
			accounts = append(accounts, sid)
		}
	}
	if self, err := windows.GetCurrentProcessToken().GetTokenUser(); err == nil {
		accounts = append(accounts, self.User.Sid)
	}
	return accounts
}

// servicePID is the process of the service; 0: it does not run, or is not installed.
func servicePID() uint32 {
	manager, err := windows.OpenSCManager(nil, nil, windows.SC_MANAGER_CONNECT)
	if err != nil {
		return 0
	}
	defer windows.CloseServiceHandle(manager)
	name, err := windows.UTF16PtrFromString(serviceName)
	if err != nil {
		return 0
	}
	service, err := windows.OpenService(manager, name, windows.SERVICE_QUERY_STATUS)
	if err != nil {
		return 0
	}
	defer windows.CloseServiceHandle(service)
	var status windows.SERVICE_STATUS_PROCESS
	var needed uint32
	err = windows.QueryServiceStatusEx(service, windows.SC_STATUS_PROCESS_INFO, (*byte)(unsafe.Pointer(&status)),
		uint32(unsafe.Sizeof(status)), &needed)
	if err != nil {
		return 0
	}
	return status.ProcessId
}

// accountName is what a person calls an account.
func accountName(sid *windows.SID) string {
	account, domain, _, err := sid.LookupAccount("")
	if err != nil {
		return sid.String()
	}
	return domain + `\` + account
}
