//go:build unix

package locale

import "syscall"

// systemTexts are the texts for what people meet often.
var systemTexts = map[syscall.Errno]string{
	syscall.ENOENT:        "system.no_such_file",
	syscall.EACCES:        "system.denied",
	syscall.EPERM:         "system.denied",
	syscall.EEXIST:        "system.exists",
	syscall.EISDIR:        "system.is_folder",
	syscall.ENOTDIR:       "system.is_no_folder",
	syscall.ENOSPC:        "system.no_space",
	syscall.EDQUOT:        "system.no_space",
	syscall.EFBIG:         "system.too_large",
	syscall.EROFS:         "system.read_only",
	syscall.EIO:           "system.disk_failed",
	syscall.EMFILE:        "system.too_many_open",
	syscall.ENFILE:        "system.too_many_open",
	syscall.ENAMETOOLONG:  "system.name_too_long",
	syscall.EADDRINUSE:    "system.address_in_use",
	syscall.EADDRNOTAVAIL: "system.address_not_here",
	syscall.ECONNREFUSED:  "system.connection_refused",
	syscall.ECONNRESET:    "system.connection_reset",
	syscall.EPIPE:         "system.broken_pipe",
	syscall.ETIMEDOUT:     "system.timed_out",
	syscall.EHOSTUNREACH:  "system.no_route",
	syscall.ENETUNREACH:   "system.no_route",
}
