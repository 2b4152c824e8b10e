package handover

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Memory is the content of a memory file: Bytes are the file's own pages, and stay as
// long as something refers to the Memory. They cannot be written.
type Memory struct{ Bytes []byte }

// NewFile returns a memory file with that content, which nobody can change any more.
func NewFile(content []byte) (*os.File, error) {
	f, err := memoryFile()
	if err != nil {
		return nil, err
	}
	if _, err := f.Write(content); err != nil {
		f.Close()
		return nil, fmt.Errorf("writing a file in memory: %w", err)
	}
	if err := seal(f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Read returns the content of a memory file that came from another process, and closes
// the file.
func Read(f *os.File) (*Memory, error) {
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("reading a file in memory: %w", err)
	}
	return mapFile(f, int(info.Size()))
}

// Chunk is a memory file that is being filled. The pieces put into it can be used where
// they are, here and by whoever receives the file.
type Chunk struct {
	file   *os.File
	memory *Memory
	filled int
}

// NewChunk returns a chunk with room for size bytes. Memory is taken as it is filled.
func NewChunk(size int) (*Chunk, error) {
	f, err := memoryFile()
	if err != nil {
		return nil, err
	}
	if err := f.Truncate(int64(size)); err != nil {
		f.Close()
		return nil, fmt.Errorf("making room in a file in memory: %w", err)
	}
	memory, err := mapFile(f, size)
	if err != nil {
		f.Close()
		return nil, err
	}
	return &Chunk{file: f, memory: memory}, nil
}

// Put adds a piece, and returns where it is now, in Memory.
func (c *Chunk) Put(piece []byte) ([]byte, error) {
	if _, err := c.file.WriteAt(piece, int64(c.filled)); err != nil {
		return nil, fmt.Errorf("writing a file in memory: %w", err)
	}
	at := c.filled
	c.filled += len(piece)
	return c.memory.Bytes[at:c.filled:c.filled], nil
}

// Memory is what the pieces are in.
func (c *Chunk) Memory() *Memory { return c.memory }

// Seal ends the filling: nobody can change the file any more. It returns the file, which
// is the caller's.
func (c *Chunk) Seal() (*os.File, error) {
	if err := seal(c.file); err != nil {
		c.file.Close()
		return nil, err
	}
	return c.file, nil
}

// Close gives the chunk up instead of sealing it. What was put into it stays usable.
func (c *Chunk) Close() { c.file.Close() }

func memoryFile() (*os.File, error) {
	fd, err := unix.MemfdCreate("pns4ones-handover", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("making a file in memory: %w", err)
	}
	return os.NewFile(uintptr(fd), "handover"), nil
}

func seal(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	controlErr := raw.Control(func(fd uintptr) {
		_, err = unix.FcntlInt(fd, unix.F_ADD_SEALS,
			unix.F_SEAL_SEAL|unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_WRITE)
	})
	if controlErr != nil {
		err = controlErr
	}
	if err != nil {
		return fmt.Errorf("sealing a file in memory: %w", err)
	}
	return nil
}

// mapFile maps a file. Privately: a shared map would keep it from being sealed, or, on
// kernels before 6.7, fail once it is.
func mapFile(f *os.File, size int) (*Memory, error) {
	if size == 0 {
		return &Memory{}, nil
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	var bytes []byte
	controlErr := raw.Control(func(fd uintptr) {
		bytes, err = unix.Mmap(int(fd), 0, size, unix.PROT_READ, unix.MAP_PRIVATE)
	})
	if controlErr != nil {
		err = controlErr
	}
	if err != nil {
		return nil, fmt.Errorf("mapping a file in memory: %w", err)
	}
	m := &Memory{Bytes: bytes}
	runtime.AddCleanup(m, func(bytes []byte) { unix.Munmap(bytes) }, bytes)
	return m, nil
}
