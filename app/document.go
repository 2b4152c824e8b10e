package app

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// The document that apps travel in from one process to another: a line with their
// number in decimal, then a line for each, which is its record (see appRecord). Every
// line ends with a line feed, which JSON never contains.

// EncodeApps writes down apps with all of their keys and token secrets, for
// [DecodeApps]. What it returns is secret.
func EncodeApps(apps []*App) ([]byte, error) {
	document := strconv.AppendInt(nil, int64(len(apps)), 10)
	document = append(document, '\n')
	for _, a := range apps {
		line, err := encodeApp(a)
		if err != nil {
			return nil, fmt.Errorf("writing down apps: %s: %w", a.ID, err)
		}
		document = append(append(document, line...), '\n')
	}
	return document, nil
}

// DecodeApps reads what [EncodeApps] wrote, and checks it as [Open] checks a file. The
// apps are by CreatedAt, then ID. The error quotes no keys.
func DecodeApps(document []byte) ([]*App, error) {
	apps, err := decodeApps(document)
	if err != nil {
		return nil, fmt.Errorf("reading apps: the document is damaged: %w", err)
	}
	return apps, nil
}

func decodeApps(document []byte) ([]*App, error) {
	head, records, ok := bytes.Cut(document, []byte{'\n'})
	count, err := strconv.ParseUint(string(head), 10, 32)
	if !ok || err != nil {
		return nil, errors.New("it does not begin with the number of apps")
	}
	if lines := bytes.Count(records, []byte{'\n'}); uint64(lines) != count {
		return nil, fmt.Errorf("it has %d records, not %d", lines, count)
	}
	if len(records) > 0 && records[len(records)-1] != '\n' {
		return nil, errors.New("its last record is cut short")
	}
	var apps appSet
	for line := range bytes.Lines(records) {
		a, err := decodeApp(bytes.TrimSuffix(line, []byte{'\n'}))
		if err == nil {
			err = apps.add(a)
		}
		if err != nil {
			return nil, fmt.Errorf("record %d: %w", len(apps.apps)+1, err)
		}
	}
	return apps.sorted(), nil
}
