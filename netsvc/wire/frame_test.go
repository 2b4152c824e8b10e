package wire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/pns4ones/pns4ones/netsvc/wire"
)

const anySize = 1 << 30

// head is the head of a frame with these two lengths.
func head(ciphertextAnd4, plaintext uint32) []byte {
	return binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, ciphertextAnd4), plaintext)
}

func TestFramesOfEveryLengthComeBack(t *testing.T) {
	t.Parallel()
	k := mustKey(t, keyText)
	for n := 1; n <= 100; n++ {
		plaintext := []byte("{" + strings.Repeat("x", n-1))
		frame := k.AppendFrame(nil, plaintext)
		if want := 8 + n/16*16 + 16; len(frame) != want {
			t.Errorf("a plaintext of %d makes a frame of %d, want %d", n, len(frame), want)
		}
		if got, err := wire.ReadFrame(bytes.NewReader(frame), k, anySize); err != nil || !bytes.Equal(got, plaintext) {
			t.Errorf("a plaintext of %d: got %q, %v", n, got, err)
		}
	}
}

func TestAppendFrameKeepsWhatIsBeforeAndThePlaintext(t *testing.T) {
	t.Parallel()
	k := mustKey(t, keyText)
	plaintext := []byte(`{"topic":"Hello"}`)
	first := k.AppendFrame(nil, plaintext)
	both := k.AppendFrame(bytes.Clone(first), plaintext)
	if !bytes.Equal(both, append(bytes.Clone(first), first...)) {
		t.Errorf("two frames in a row are not twice the first: %x", both)
	}
	if string(plaintext) != `{"topic":"Hello"}` {
		t.Errorf("the plaintext became %q", plaintext)
	}
}

func TestAppendFrameUsesTheRoomThereIs(t *testing.T) {
	t.Parallel()
	k := mustKey(t, keyText)
	plaintext := []byte(`{"topic":"Hello"}`)
	room := make([]byte, 0, 8+32)
	if frame := k.AppendFrame(room, plaintext); &frame[0] != &room[:1][0] {
		t.Error("the frame was made elsewhere")
	}
}

func TestReadFrameReadsOneFrameAtATime(t *testing.T) {
	t.Parallel()
	k := mustKey(t, keyText)
	var stream bytes.Buffer
	for _, text := range []string{`{"topic":"1"}`, `{}`, `{"topic":"` + strings.Repeat("Ж", 10_000) + `"}`} {
		stream.Write(k.AppendFrame(nil, []byte(text)))
	}
	in := iotest.HalfReader(&stream)
	for _, want := range []int{13, 2, 20_012} {
		got, err := wire.ReadFrame(in, k, anySize)
		if err != nil || len(got) != want {
			t.Fatalf("got %d bytes, %v, want %d", len(got), err, want)
		}
	}
	if _, err := wire.ReadFrame(in, k, anySize); err != io.EOF {
		t.Errorf("at the end: %v, want io.EOF itself", err)
	}
}

func TestReadFrameTellsACutFrameFromTheEnd(t *testing.T) {
	t.Parallel()
	k := mustKey(t, keyText)
	frame := k.AppendFrame(nil, []byte(`{"topic":"Hello"}`))
	for n := 1; n < len(frame); n++ {
		if _, err := wire.ReadFrame(bytes.NewReader(frame[:n]), k, anySize); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d of %d bytes: %v", n, len(frame), err)
		}
	}
	broken := errors.New("broken")
	in := io.MultiReader(bytes.NewReader(frame[:20]), iotest.ErrReader(broken))
	if _, err := wire.ReadFrame(in, k, anySize); !errors.Is(err, broken) {
		t.Errorf("the reader's own error became %v", err)
	}
}

func TestReadFrameRefusesBadFrames(t *testing.T) {
	t.Parallel()
	k := mustKey(t, keyText)
	frame := func(plaintext string) []byte { return k.AppendFrame(nil, []byte(plaintext)) }
	relabel := func(b []byte, ciphertextAnd4, plaintext uint32) []byte {
		return append(head(ciphertextAnd4, plaintext), b[8:]...)
	}
	for _, c := range []struct {
		name  string
		frame []byte
	}{
		{"no ciphertext", head(4, 0)},
		{"a first length below its own 4", head(3, 0)},
		{"a first length of 0", head(0, 0)},
		{"a ciphertext that is no whole block", append(head(4+17, 16), make([]byte, 17)...)},
		{"a plaintext as long as the ciphertext", relabel(frame(`{"topic":"abcd"}`), 4+32, 32)},
		{"a plaintext longer than the ciphertext", relabel(frame(`{}`), 4+16, 17)},
		{"a plaintext of 4 GiB", relabel(frame(`{}`), 4+16, 1<<32-1)},
		{"a plaintext more than a block shorter", relabel(frame(`{"topic":"abcd"}`), 4+32, 15)},
		{"a plaintext length one off", relabel(frame(`{"topic":"Hello"}`), 4+32, 18)},
		{"another key", mustKey(t, otherKeyText).AppendFrame(nil, []byte(`{"topic":"Hello"}`))},
		{"an empty plaintext", frame("")},
		{"an array", frame("[]")},
		{"white space first", frame(" {}")},
		{"a byte order mark first", frame("\uFEFF{}")},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, err := wire.ReadFrame(bytes.NewReader(c.frame), k, anySize); !errors.Is(err, wire.ErrBadFrame) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

func TestReadFrameHoldsItsBound(t *testing.T) {
	t.Parallel()
	k := mustKey(t, keyText)
	frame := k.AppendFrame(nil, []byte(`{"topic":"Hello"}`))
	if _, err := wire.ReadFrame(bytes.NewReader(frame), k, len(frame)); err != nil {
		t.Errorf("a frame of exactly the bound: %v", err)
	}
	if _, err := wire.ReadFrame(bytes.NewReader(frame), k, len(frame)-1); !errors.Is(err, wire.ErrBadFrame) {
		t.Errorf("a frame one byte beyond the bound: %v", err)
	}
}

func TestReadFrameAllocatesForWhatArrivedOnly(t *testing.T) {
	k := mustKey(t, keyText)
	for _, arrived := range []int{0, 1, 10_000, 1 << 20} {
		stream := append(head(4+1<<29, 1<<29-1), make([]byte, arrived)...)
		limit := uint64(16<<10 + 6*arrived)
		got := allocated(func() {
			if _, err := wire.ReadFrame(bytes.NewReader(stream), k, anySize); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%v", err)
			}
		})
		if got > limit {
			t.Errorf("%d of 512 MiB arrived, %d bytes were allocated", arrived, got)
		}
	}
}
