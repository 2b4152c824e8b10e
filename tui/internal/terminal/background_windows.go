package terminal

import "os"

// DarkBackground does not ask: consoles of Windows are dark, or say nothing.
func DarkBackground(in, out *os.File) (dark, known bool) { return true, false }
