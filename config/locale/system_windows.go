package locale

import "syscall"

// systemTexts are the texts for what people meet often. Those of sockets are numbers of
// Winsock, which package syscall does not name.
var systemTexts = map[syscall.Errno]string{
	syscall.ERROR_FILE_NOT_FOUND: "system.no_such_file",
	syscall.ERROR_PATH_NOT_FOUND: "system.no_such_file",
	syscall.ERROR_ACCESS_DENIED:  "system.denied",
	syscall.ERROR_FILE_EXISTS:    "system.exists",
	syscall.ERROR_ALREADY_EXISTS: "system.exists",
	syscall.ERROR_BROKEN_PIPE:    "system.broken_pipe",
	syscall.Errno(4):             "system.too_many_open",      // ERROR_TOO_MANY_OPEN_FILES
	syscall.Errno(19):            "system.read_only",          // ERROR_WRITE_PROTECT
	syscall.Errno(32):            "system.used_by_another",    // ERROR_SHARING_VIOLATION
	syscall.Errno(112):           "system.no_space",           // ERROR_DISK_FULL
	syscall.Errno(206):           "system.name_too_long",      // ERROR_FILENAME_EXCED_RANGE
	syscall.Errno(267):           "system.is_no_folder",       // ERROR_DIRECTORY
	syscall.Errno(1117):          "system.disk_failed",        // ERROR_IO_DEVICE
	syscall.Errno(10013):         "system.denied",             // WSAEACCES
	syscall.Errno(10048):         "system.address_in_use",     // WSAEADDRINUSE
	syscall.Errno(10049):         "system.address_not_here",   // WSAEADDRNOTAVAIL
	syscall.Errno(10051):         "system.no_route",           // WSAENETUNREACH
	syscall.Errno(10054):         "system.connection_reset",   // WSAECONNRESET
	syscall.Errno(10060):         "system.timed_out",          // WSAETIMEDOUT
	syscall.Errno(10061):         "system.connection_refused", // WSAECONNREFUSED
	syscall.Errno(10065):         "system.no_route",           // WSAEHOSTUNREACH
}
