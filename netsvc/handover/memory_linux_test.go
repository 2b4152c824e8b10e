package handover_test

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pns4ones/pns4ones/netsvc/handover"
)

// received is a memory file as the other process has it.
func received(t testing.TB, f *os.File) *os.File {
	t.Helper()
	here, there := links(t)
	if err := here.Send([]byte("file"), f); err != nil {
		t.Fatal(err)
	}
	_, files, err := there.Receive()
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	return files[0]
}

func TestAFileArrivesWhole(t *testing.T) {
	leaksNothing(t)
	for _, size := range []int{0, 1, 4095, 4096, 4097, 3 << 20} {
		content := bytes.Repeat([]byte("x"), size)
		f, err := handover.NewFile(content)
		if err != nil {
			t.Fatal(err)
		}
		came := received(t, f)
		f.Close()
		memory, err := handover.Read(came)
		if err != nil || !bytes.Equal(memory.Bytes, content) {
			t.Errorf("%d bytes: %d came, %v", size, len(memory.Bytes), err)
		}
	}
}

// cannotBeChanged checks that a memory file can be neither written, nor grown, nor cut.
func cannotBeChanged(t *testing.T, f *os.File, size int) {
	t.Helper()
	for what, change := range map[string]func() error{
		"written": func() error { _, err := f.WriteAt([]byte("y"), 0); return err },
		"grown":   func() error { return f.Truncate(int64(size) + 1) },
		"cut":     func() error { return f.Truncate(int64(size) - 1) },
		"mapped for writing": func() error {
			_, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
			return err
		},
		"unsealed": func() error {
			_, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, 0)
			return err
		},
	} {
		if err := change(); err == nil {
			t.Errorf("it can be %s", what)
		}
	}
}

func TestASealedFileCannotBeChanged(t *testing.T) {
	f, err := handover.NewFile([]byte("document"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cannotBeChanged(t, f, len("document"))
	came := received(t, f)
	cannotBeChanged(t, came, len("document"))
	if memory, err := handover.Read(came); err != nil || string(memory.Bytes) != "document" {
		t.Errorf("it holds %q, %v", memory.Bytes, err)
	}
}

func TestPiecesOfAChunkAreUsedHereAndThere(t *testing.T) {
	leaksNothing(t)
	var pieces [][]byte
	size := 0
	for i := range 1000 {
		pieces = append(pieces, []byte(fmt.Sprintf("%d %s", i, strings.Repeat("x", i))))
		size += len(pieces[i])
	}
	chunk, err := handover.NewChunk(size)
	if err != nil {
		t.Fatal(err)
	}
	var put [][]byte
	for _, piece := range pieces {
		where, err := chunk.Put(piece)
		if err != nil {
			t.Fatal(err)
		}
		if len(where) != cap(where) {
			t.Fatal("the next piece could be overwritten by an append")
		}
		put = append(put, where)
	}
	keep := chunk.Memory()
	f, err := chunk.Seal()
	if err != nil {
		t.Fatal(err)
	}
	cannotBeChanged(t, f, size)
	there, err := handover.Read(received(t, f))
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	at := 0
	for i, piece := range pieces {
		if !bytes.Equal(put[i], piece) {
			t.Fatalf("here piece %d is %.20q", i, put[i])
		}
		if got := there.Bytes[at : at+len(piece)]; !bytes.Equal(got, piece) {
			t.Fatalf("there piece %d is %.20q", i, got)
		}
		at += len(piece)
	}
	runtime.KeepAlive(keep)
	runtime.KeepAlive(there)
}

func TestAChunkThatIsGivenUpStaysUsable(t *testing.T) {
	leaksNothing(t)
	chunk, err := handover.NewChunk(5)
	if err != nil {
		t.Fatal(err)
	}
	where, err := chunk.Put([]byte("piece"))
	if err != nil {
		t.Fatal(err)
	}
	chunk.Close()
	if string(where) != "piece" {
		t.Errorf("it is %q", where)
	}
	runtime.KeepAlive(chunk.Memory())
	empty, err := handover.NewChunk(0)
	if err != nil {
		t.Fatal(err)
	}
	f, err := empty.Seal()
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
}

// TestMemoryIsGivenBack when nobody refers to it any more, and not before.
func TestMemoryIsGivenBack(t *testing.T) {
	const size = 4 << 20
	maps := func() int {
		content, err := os.ReadFile("/proc/self/maps")
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(content), "pns4ones-handover")
	}
	collect := func() {
		for range 3 { // a cleanup runs some time after the collection that finds it
			runtime.GC()
			time.Sleep(time.Millisecond)
		}
	}
	eventually := func(what string, holds func() bool) {
		t.Helper()
		for deadline := time.Now().Add(patience); !holds(); collect() {
			if time.Now().After(deadline) {
				t.Fatalf("not within %v: %s", patience, what)
			}
		}
	}
	eventually("what other tests had is given back", func() bool { return maps() == 0 })
	chunk, err := handover.NewChunk(size)
	if err != nil {
		t.Fatal(err)
	}
	piece, err := chunk.Put(bytes.Repeat([]byte("x"), size))
	if err != nil {
		t.Fatal(err)
	}
	keep := chunk.Memory()
	f, err := chunk.Seal()
	if err != nil {
		t.Fatal(err)
	}
	there, err := handover.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	chunk = nil
	collect()
	if n := maps(); n != 2 || piece[size-1] != 'x' || there.Bytes[size-1] != 'x' {
		t.Errorf("%d maps are there, want that of the chunk and that of who read it", n)
	}
	runtime.KeepAlive(there)
	there = nil
	eventually("the memory of who read it is given back", func() bool { return maps() == 1 })
	if piece[0] != 'x' {
		t.Error("what was put in is gone")
	}
	runtime.KeepAlive(keep)
	keep, piece = nil, nil
	eventually("the chunk's memory is given back", func() bool { return maps() == 0 })
}

// BenchmarkChunk fills a chunk of 64 MiB with messages of 400 bytes.
func BenchmarkChunk(b *testing.B) {
	const size, message = 64 << 20, 400
	piece := bytes.Repeat([]byte("x"), message)
	b.ReportAllocs()
	b.SetBytes(size / message * message)
	for b.Loop() {
		chunk, err := handover.NewChunk(size / message * message)
		if err != nil {
			b.Fatal(err)
		}
		for range size / message {
			if _, err := chunk.Put(piece); err != nil {
				b.Fatal(err)
			}
		}
		f, err := chunk.Seal()
		if err != nil {
			b.Fatal(err)
		}
		f.Close()
	}
}
