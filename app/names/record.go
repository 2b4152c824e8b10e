package names

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// A stored table is the CRC-32C of what follows in 8 hex digits, a space, and for each
// name the first letter of its kind's word, the id, a zero byte, the name, a zero byte.
const sumLen = 8

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Encode writes down a table for [Decode]. Equal tables are written down in the same
// way. The caller must not change what it returns, which is nil for no names.
func (t *Table) Encode() []byte {
	if t == nil {
		return nil
	}
	return t.record
}

func encode(sorted []Name) []byte {
	size := sumLen + 1
	for _, n := range sorted {
		size += 1 + len(n.ID) + 1 + len(n.Name) + 1
	}
	all := make([]byte, sumLen+1, size)
	for _, n := range sorted {
		all = append(all, n.Kind.String()[0])
		all = append(append(all, n.ID...), 0)
		all = append(append(all, n.Name...), 0)
	}
	copy(all, fmt.Sprintf("%08x ", crc32.Checksum(all[sumLen+1:], castagnoli)))
	return all
}

// Decode reads what [Table.Encode] wrote. It keeps nothing of record, which may be
// mapped memory.
func Decode(record []byte) (*Table, error) {
	sum, rest, ok := bytes.Cut(record, []byte{' '})
	if !ok || len(sum) != sumLen {
		return nil, errors.New("it does not begin with a checksum")
	}
	want, err := strconv.ParseUint(string(sum), 16, 32)
	if err != nil || uint32(want) != crc32.Checksum(rest, castagnoli) {
		return nil, errors.New("its checksum does not match")
	}
	text := string(record)
	t := &Table{record: []byte(text)}
	var count [kinds]int
	if err := eachName(text[sumLen+1:], func(k Kind, _, _ string) { count[k]++ }); err != nil {
		return nil, err
	}
	for k := range kinds {
		t.of[k] = called{make(map[uuid.UUID]string, count[k]), make(map[string]string)}
	}
	err = eachName(text[sumLen+1:], func(k Kind, id, name string) { t.of[k].set(id, name) })
	return t, err
}

// eachName calls do for each name of a record.
func eachName(text string, do func(k Kind, id, name string)) error {
	for nth := 1; text != ""; nth++ {
		letter := text[0]
		k := slices.IndexFunc(kindWords[:], func(word string) bool { return word[0] == letter })
		id, after, hasID := strings.Cut(text[1:], "\x00")
		name, more, hasName := strings.Cut(after, "\x00")
		if k < 0 || !hasID || !hasName {
			return fmt.Errorf("its name %d is not whole", nth)
		}
		do(Kind(k), id, name)
		text = more
	}
	return nil
}
