// Command pack makes the archive with the extensions for 1C: the add-in's bundle goes into
// its place in the first, both are checked by all rules, and what breaks one is not packed.
//
//	go run ./packaging/1c/pack BUNDLE ARCHIVE
//
// It is run in the root of the repository. SOURCE_DATE_EPOCH gives the time of all files.
package main

import (
	"archive/zip"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing/fstest"
	"time"

	"github.com/pns4ones/pns4ones/packaging/1c/bsl/dump"
)

const (
	template = "CommonTemplates/pns4ones_Компонента/Ext/Template.bin"
	top      = "pns4ones-1c" // the folder in the archive
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: pack BUNDLE ARCHIVE")
		os.Exit(2)
	}
	if err := pack("packaging/1c", os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

// pack makes the archive from the folder that has both extensions and install.
func pack(folder, bundle, archive string) error {
	extension, err := load(os.DirFS(filepath.Join(folder, "extension")))
	if err != nil {
		return err
	}
	addin, err := os.ReadFile(bundle)
	if err != nil {
		return fmt.Errorf("reading the add-in: %w", err)
	}
	extension[template] = &fstest.MapFile{Data: addin}
	packed := profile()
	packed.Packed = true
	second, err := load(os.DirFS(filepath.Join(folder, "extension-bsp")))
	if err != nil {
		return err
	}
	packedBSP, err := profileBSP(extension)
	if err != nil {
		return err
	}
	files := map[string][]byte{}
	for _, part := range []struct {
		name    string
		files   fstest.MapFS
		profile dump.Profile
	}{{"extension", extension, packed}, {"extension-bsp", second, packedBSP}} {
		problems, err := dump.Check(part.files, part.profile)
		if err != nil {
			return err
		}
		if len(problems) > 0 {
			return fmt.Errorf("%s breaks %d rules, the first is: %w", part.name, len(problems), problems[0])
		}
		for name, file := range part.files {
			files[part.name+"/"+name] = file.Data
		}
	}
	for _, script := range []string{"install.sh", "install.ps1"} {
		content, err := os.ReadFile(filepath.Join(folder, "install", script))
		if err != nil {
			return err
		}
		if strings.HasSuffix(script, ".ps1") { // Windows PowerShell reads others in the system's code page
			content = append([]byte("\ufeff"), content...)
		}
		files[script] = content
	}
	return write(archive, files)
}

// load reads a dump.
func load(folder fs.FS) (fstest.MapFS, error) {
	files := fstest.MapFS{}
	err := fs.WalkDir(folder, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(folder, name)
		files[name] = &fstest.MapFile{Data: content}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the extension: %w", err)
	}
	return files, nil
}

// write makes a zip that is the same for the same files.
func write(archive string, files map[string][]byte) (err error) {
	modified, err := moment()
	if err != nil {
		return err
	}
	out, err := os.Create(archive)
	if err != nil {
		return err
	}
	defer func() {
		if closed := out.Close(); err == nil {
			err = closed
		}
	}()
	packed := zip.NewWriter(out)
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		header := &zip.FileHeader{Name: path.Join(top, name), Method: zip.Deflate, Modified: modified}
		header.SetMode(0o644)
		if strings.HasSuffix(name, ".sh") {
			header.SetMode(0o755)
		}
		entry, err := packed.CreateHeader(header)
		if err != nil {
			return err
		}
		if _, err := entry.Write(files[name]); err != nil {
			return err
		}
	}
	return packed.Close()
}

// moment is the time of all files.
func moment() (time.Time, error) {
	seconds := os.Getenv("SOURCE_DATE_EPOCH")
	if seconds == "" {
		return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), nil
	}
	value, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	return time.Unix(value, 0).UTC(), nil
}
