//go:build unix

package terminal

import (
	"bytes"
	"os"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// answerWithin is how long a terminal may take to answer. One that
// does not know the question still answers the second one, at once.
const answerWithin = time.Second

// DarkBackground asks the terminal whether its background is dark. known is false
// if it does not say.
func DarkBackground(in, out *os.File) (dark, known bool) {
	state, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return true, false
	}
	defer term.Restore(int(in.Fd()), state)
	// The background (OSC 11), and what kind of terminal it is (DA1), which every
	// terminal answers: that ends the waiting.
	if _, err := out.WriteString("\x1b]11;?\x1b\\\x1b[c"); err != nil {
		return true, false
	}
	return isDark(readAnswer(in))
}

// readAnswer reads until the answer to DA1, which ends in a c.
func readAnswer(in *os.File) []byte {
	var answer []byte
	deadline := time.Now().Add(answerWithin)
	for {
		left := time.Until(deadline).Milliseconds()
		if left <= 0 || len(answer) > 1024 {
			return answer
		}
		poll := []unix.PollFd{{Fd: int32(in.Fd()), Events: unix.POLLIN}}
		if n, err := unix.Poll(poll, int(left)); err == unix.EINTR {
			continue
		} else if err != nil || n == 0 {
			return answer
		}
		var part [256]byte
		n, err := unix.Read(int(in.Fd()), part[:])
		if err != nil || n == 0 {
			return answer
		}
		answer = append(answer, part[:n]...)
		if at := bytes.Index(answer, []byte("\x1b[?")); at >= 0 && bytes.IndexByte(answer[at:], 'c') >= 0 {
			return answer
		}
	}
}
