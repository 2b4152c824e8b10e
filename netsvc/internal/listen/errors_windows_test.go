package listen

import "golang.org/x/sys/windows"

// errExhausted is what accept says when handles run out.
const errExhausted = windows.WSAEMFILE
