//go:build unix

package netsvc

import "syscall"

// sendersShare is the part of the descriptors that senders may take.
const sendersShare = 4

// maxSenders is the setting, or a quarter of the descriptors that this process may have.
func maxSenders(setting int) int {
	var limit syscall.Rlimit
	if setting > 0 || syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return setting
	}
	return int(max(min(limit.Cur, 1<<30)/sendersShare, 1))
}
