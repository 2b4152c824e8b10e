// Package pages checks the structure of a bbolt file before bbolt itself gets to
// see it.
//
// bbolt maps the file and follows the offsets and page numbers in it without
// looking, so that a damaged file ends the process with a fault, or in endless
// recursion; its own check runs in a goroutine of its own, where such a fault
// cannot be caught. This one reads the file like any other hostile input. Package
// app uses it at the start of the service; it must not know what is stored.
package pages

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

// The file format of bbolt, version 2. Numbers are in the byte order of the machine.
const (
	headerLen  = 16 // id uint64, flags uint16, count uint16, overflow uint32
	elementLen = 16 // branch: pos, ksize uint32, page uint64; leaf: flags, pos, ksize, vsize uint32
	bucketLen  = 16 // root uint64, sequence uint64

	flagBranch   = 0x01
	flagLeaf     = 0x02
	flagMeta     = 0x04
	flagFreelist = 0x10

	elementIsBucket = 0x01

	magic         = 0xED0CDAED
	formatVersion = 2
	metaLen       = 64
	metaSumAt     = 56

	noFreelist = ^uint64(0)
	// A count that does not fit the header is in the first element.
	countInFirst = 0xFFFF

	minPageSize = 1 << 10
	maxPageSize = 16 << 20

	// Each level has at least two pages below it, so a deeper tree is a loop.
	maxDepth = 64
)

var order = binary.NativeEndian

// Check reads the pages that are in use and says what is wrong with the first broken
// one. A file it accepts can be opened by bbolt; whether its values are sound is
// for others to check. The memory it takes is bounded by the size of the file.
func Check(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	return check(file, info.Size())
}

func check(file io.ReaderAt, size int64) error {
	m, err := readMeta(file, size)
	if err != nil {
		return err
	}
	c := &checker{file: file, pageSize: int64(m.pageSize), pages: m.pages, use: make([]use, m.pages)}
	if m.freelist != noFreelist {
		if err := c.freelist(m.freelist); err != nil {
			return err
		}
	}
	if err := c.tree(m.root, 0); err != nil {
		return err
	}
	for id := firstPage; id < m.pages; id++ {
		if c.use[id] == unknown && m.freelist != noFreelist {
			return fmt.Errorf("page %d is neither in use nor free", id)
		}
	}
	return nil
}

// Pages 0 and 1 are the two meta pages.
const firstPage = uint64(2)

type meta struct {
	id       uint64 // with flags, from the head of its page, which the checksum leaves out
	flags    uint16
	pageSize uint32
	root     uint64
	freelist uint64
	pages    uint64 // in use or free, from page 0 on
	txid     uint64
}

// readMeta finds the meta page that bbolt is going to use: the valid one with the
// later transaction. One invalid meta page is what a torn write leaves, and is
// nothing to refuse.
func readMeta(file io.ReaderAt, size int64) (meta, error) {
	pageSize, err := findPageSize(file, size)
	if err != nil {
		return meta{}, err
	}
	if size < 2*pageSize {
		return meta{}, errors.New("the file is cut short")
	}
	var m meta
	for id := range firstPage {
		candidate, ok := metaAt(file, int64(id)*pageSize)
		switch {
		case !ok:
			continue
		case int64(candidate.pageSize) != pageSize:
			return meta{}, errors.New("its two meta pages disagree about the size of a page")
		case candidate.id != id || candidate.flags != flagMeta:
			return meta{}, fmt.Errorf("meta page %d has the head of another page", id)
		}
		if m.pageSize == 0 || candidate.txid > m.txid {
			m = candidate
		}
	}
	if m.pageSize == 0 {
		return meta{}, errors.New("neither of its two meta pages is whole")
	}
	if m.pages < firstPage || m.pages > uint64(size/pageSize) {
		return meta{}, fmt.Errorf("the file is cut short: it has room for %d pages, not for %d", size/pageSize, m.pages)
	}
	return m, nil
}

// findPageSize looks for a valid meta page at the start, then wherever the second
// one can be, like bbolt.
func findPageSize(file io.ReaderAt, size int64) (int64, error) {
	m, ok := metaAt(file, 0)
	for at := int64(minPageSize); !ok && at <= maxPageSize && at < size; at *= 2 {
		m, ok = metaAt(file, at)
	}
	switch {
	case !ok:
		return 0, errors.New("it is not a bbolt file, or both its meta pages are broken")
	case m.pageSize < minPageSize || m.pageSize > maxPageSize || m.pageSize&(m.pageSize-1) != 0:
		return 0, fmt.Errorf("it has pages of %d bytes", m.pageSize)
	}
	return int64(m.pageSize), nil
}

// metaAt reads the meta page at an offset; ok reports whether its checksum is right.
func metaAt(file io.ReaderAt, at int64) (m meta, ok bool) {
	var b [headerLen + metaLen]byte
	if _, err := file.ReadAt(b[:], at); err != nil {
		return meta{}, false
	}
	body := b[headerLen:]
	sum := fnv.New64a()
	sum.Write(body[:metaSumAt])
	m = meta{
		id:       order.Uint64(b[:]),
		flags:    order.Uint16(b[8:]),
		pageSize: order.Uint32(body[8:]),
		root:     order.Uint64(body[16:]),
		freelist: order.Uint64(body[32:]),
		pages:    order.Uint64(body[40:]),
		txid:     order.Uint64(body[48:]),
	}
	ok = order.Uint32(body) == magic && order.Uint32(body[4:]) == formatVersion &&
		order.Uint64(body[metaSumAt:]) == sum.Sum64()
	return m, ok
}
