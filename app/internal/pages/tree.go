package pages

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

type use byte

const (
	unknown use = iota
	free
	used
)

type checker struct {
	file     io.ReaderAt
	pageSize int64
	pages    uint64 // as many as the meta page says there are
	use      []use  // by page

	found map[string][]Pair // what is gathered; nil: nothing
	path  []string          // the buckets around what is being read
}

// page is the bytes of a page, with its overflow pages, and what its header says.
type page struct {
	id    uint64
	flags uint16
	count int
	bytes []byte
}

// read reads a page and marks it as used.
func (c *checker) read(id uint64) (page, error) {
	if id < firstPage || id >= c.pages {
		return page{}, fmt.Errorf("page %d does not exist", id)
	}
	var header [headerLen]byte
	if _, err := c.file.ReadAt(header[:], int64(id)*c.pageSize); err != nil {
		return page{}, fmt.Errorf("page %d: %w", id, err)
	}
	if order.Uint64(header[:]) != id {
		return page{}, fmt.Errorf("page %d has the number of another page", id)
	}
	more := uint64(order.Uint32(header[12:]))
	if more >= c.pages-id {
		return page{}, fmt.Errorf("page %d goes on beyond the end of the file", id)
	}
	for i := id; i <= id+more; i++ {
		if c.use[i] != unknown {
			return page{}, fmt.Errorf("page %d is in use twice, or free", i)
		}
		c.use[i] = used
	}
	b := make([]byte, int64(more+1)*c.pageSize)
	if _, err := c.file.ReadAt(b, int64(id)*c.pageSize); err != nil {
		return page{}, fmt.Errorf("page %d: %w", id, err)
	}
	return parsePage(id, b), nil
}

func parsePage(id uint64, b []byte) page {
	return page{id: id, flags: order.Uint16(b[8:]), count: int(order.Uint16(b[10:])), bytes: b}
}

func (c *checker) freelist(id uint64) error {
	p, err := c.read(id)
	if err != nil {
		return err
	}
	if p.flags != flagFreelist {
		return fmt.Errorf("page %d is not the list of free pages", id)
	}
	list := p.bytes[headerLen:]
	count := uint64(p.count)
	if p.count == countInFirst {
		count = order.Uint64(list)
		list = list[8:]
	}
	if count > uint64(len(list)/8) {
		return fmt.Errorf("page %d: the list of free pages is longer than the page", id)
	}
	for i := range count {
		n := order.Uint64(list[8*i:])
		if n < firstPage || n >= c.pages || c.use[n] != unknown {
			return fmt.Errorf("page %d: the list of free pages is wrong about page %d", id, n)
		}
		c.use[n] = free
	}
	return nil
}

// tree checks the tree of a bucket.
func (c *checker) tree(root uint64, depth int) error {
	_, err := c.subtree(root, nil, nil, depth)
	return err
}

// subtree checks a page and those below it; their keys must be at least low and less
// than high, where those are given. It returns the last key.
func (c *checker) subtree(id uint64, low, high []byte, depth int) (last []byte, err error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("page %d is too deep in the tree", id)
	}
	p, err := c.read(id)
	if err != nil {
		return nil, err
	}
	switch p.flags {
	case flagLeaf:
		return c.leaf(p, low, high, depth)
	case flagBranch:
		return c.branch(p, low, high, depth)
	}
	return nil, fmt.Errorf("page %d is of an unknown kind", id)
}

func (c *checker) branch(p page, low, high []byte, depth int) (last []byte, err error) {
	if p.count == 0 {
		return nil, fmt.Errorf("page %d is a branch without pages below it", p.id)
	}
	keys := make([][]byte, p.count)
	for i := range keys {
		element, at, err := p.element(i)
		if err != nil {
			return nil, err
		}
		keys[i], err = p.key(at, order.Uint32(element), order.Uint32(element[4:]))
		if err != nil {
			return nil, err
		}
	}
	for i, key := range keys {
		if i == 0 && bytes.Compare(key, low) < 0 || i > 0 && bytes.Compare(key, last) <= 0 {
			return nil, p.outOfOrder(i)
		}
		below := high
		if i+1 < len(keys) {
			below = keys[i+1]
		}
		element, _, _ := p.element(i)
		last, err = c.subtree(order.Uint64(element[8:]), key, below, depth+1)
		if err != nil {
			return nil, err
		}
	}
	return last, nil
}

func (c *checker) leaf(p page, low, high []byte, depth int) (last []byte, err error) {
	last = low
	for i := range p.count {
		element, at, err := p.element(i)
		if err != nil {
			return nil, err
		}
		flags, keyLen, valueLen := order.Uint32(element), order.Uint32(element[8:]), order.Uint32(element[12:])
		key, err := p.key(at, order.Uint32(element[4:]), keyLen)
		if err != nil {
			return nil, err
		}
		value, err := p.slice(at+int(order.Uint32(element[4:]))+len(key), 0, valueLen)
		if err != nil {
			return nil, err
		}
		step := bytes.Compare(key, last)
		if step < 0 || step == 0 && i > 0 || high != nil && bytes.Compare(key, high) >= 0 {
			return nil, p.outOfOrder(i)
		}
		last = key
		switch flags {
		case 0:
			c.gather(key, value)
		case elementIsBucket:
			c.gather(key, nil)
			c.path = append(c.path, string(key))
			err = c.bucket(value, depth+1)
			c.path = c.path[:len(c.path)-1]
		default:
			err = errors.New("it is of an unknown kind")
		}
		if err != nil {
			return nil, fmt.Errorf("page %d: entry %d: %w", p.id, i, err)
		}
	}
	return last, nil
}

// gather keeps an entry, if it is one of a top-level bucket, or makes room for those
// of such a bucket.
func (c *checker) gather(key, value []byte) {
	switch {
	case c.found == nil:
	case len(c.path) == 1:
		c.found[c.path[0]] = append(c.found[c.path[0]], Pair{key, value})
	case len(c.path) == 0 && value == nil:
		c.found[string(key)] = nil
	}
}

// bucket checks a bucket, which is a tree of its own, or, if small, a leaf page in
// place of one.
func (c *checker) bucket(value []byte, depth int) error {
	if len(value) < bucketLen {
		return errors.New("the bucket is cut short")
	}
	if root := order.Uint64(value); root != 0 {
		return c.tree(root, depth)
	}
	inline := value[bucketLen:]
	if len(inline) < headerLen || depth > maxDepth {
		return errors.New("the bucket is cut short")
	}
	p := parsePage(0, inline)
	if p.flags != flagLeaf {
		return errors.New("the bucket is of an unknown kind")
	}
	_, err := c.leaf(p, nil, nil, depth)
	return err
}

// element is the fixed part of entry i, and its place in the page, from which the
// place of its key counts.
func (p page) element(i int) (b []byte, at int, err error) {
	at = headerLen + i*elementLen
	if at+elementLen > len(p.bytes) {
		return nil, 0, fmt.Errorf("page %d has more entries than fit", p.id)
	}
	return p.bytes[at : at+elementLen], at, nil
}

func (p page) key(at int, pos, n uint32) ([]byte, error) {
	if n == 0 {
		return nil, fmt.Errorf("page %d: an entry has no key", p.id)
	}
	return p.slice(at, pos, n)
}

// slice is n bytes of the page from at+pos.
func (p page) slice(at int, pos, n uint32) ([]byte, error) {
	from := int64(at) + int64(pos)
	to := from + int64(n)
	if from > int64(len(p.bytes)) || to > int64(len(p.bytes)) {
		return nil, fmt.Errorf("page %d: an entry goes beyond the page", p.id)
	}
	return p.bytes[from:to], nil
}

func (p page) outOfOrder(i int) error {
	return fmt.Errorf("page %d: entry %d is out of order", p.id, i)
}
