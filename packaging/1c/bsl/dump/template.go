package dump

import (
	"archive/zip"
	"bytes"
	"io"
	"regexp"
	"slices"
	"strings"
)

// bundleSpace is the namespace of an add-in's manifest.
const bundleSpace = "http://v8.1c.ru/8.2/addin/bundle"

var versioned = regexp.MustCompile(`\d+[._]\d+[._]\d+`)

// template is rule 13: the bundle of the add-in is what its manifest says, and its files
// are named by the version, because the client keeps add-ins by file name.
func (d *dump) template() {
	for _, o := range d.of("CommonTemplate") {
		file := strings.TrimSuffix(o.path, ".xml") + "/Ext/Template.bin"
		content, there := d.files[file]
		if !there {
			if d.profile.Packed {
				d.fail(13, file, 0, "the bundle of the add-in is not there")
			}
			continue
		}
		if !d.profile.Packed {
			d.fail(13, file, 0, "the build puts the bundle in place; in the sources it would grow old")
		}
		d.bundle(file, content)
	}
}

func (d *dump) bundle(file string, content []byte) {
	archive, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		d.fail(13, file, 0, "it is no zip: %v", err)
		return
	}
	var names []string
	var manifest *element
	for _, entry := range archive.File {
		if !strings.EqualFold(entry.Name, "manifest.xml") {
			names = append(names, entry.Name)
			continue
		}
		reader, err := entry.Open()
		if err != nil {
			d.fail(13, file, 0, "the manifest cannot be read: %v", err)
			return
		}
		text, err := io.ReadAll(reader)
		if err == nil {
			manifest, err = parseXML(text)
		}
		if err != nil {
			d.fail(13, file, 0, "the manifest cannot be read: %v", err)
			return
		}
	}
	if manifest == nil || manifest.name != "bundle" || manifest.space != bundleSpace {
		d.fail(13, file, 0, "there is no manifest of an add-in")
		return
	}
	var listed, systems []string
	for _, component := range manifest.children {
		listed = append(listed, component.attributes["path"])
		systems = append(systems, component.attributes["os"]+" "+component.attributes["arch"])
		if !versioned.MatchString(component.attributes["path"]) {
			d.fail(13, file, 0, "%s does not name its version", component.attributes["path"])
		}
	}
	slices.Sort(names)
	slices.Sort(listed)
	if !slices.Equal(names, listed) {
		d.fail(13, file, 0, "the manifest lists %v, the zip has %v", listed, names)
	}
	for _, want := range []string{"Windows i386", "Windows x86_64", "Linux x86_64"} {
		if !slices.Contains(systems, want) {
			d.fail(13, file, 0, "there is nothing for %s", want)
		}
	}
}
