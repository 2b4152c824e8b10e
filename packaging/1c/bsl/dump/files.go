package dump

import (
	"path"
	"slices"
	"strings"
)

const (
	metadataSpace = "http://v8.1c.ru/8.3/MDClasses"
	formSpace     = "http://v8.1c.ru/8.3/xcf/logform"
	rightsSpace   = "http://v8.1c.ru/8.2/roles"
)

// kinds in the platform's order, each with its folder.
var kinds = []struct{ kind, folder string }{
	{"Language", "Languages"}, {"Subsystem", "Subsystems"}, {"CommonPicture", "CommonPictures"}, {"Role", "Roles"},
	{"CommonTemplate", "CommonTemplates"}, {"CommonModule", "CommonModules"}, {"CommonForm", "CommonForms"},
	{"Catalog", "Catalogs"}, {"Document", "Documents"}, {"DataProcessor", "DataProcessors"},
	{"InformationRegister", "InformationRegisters"}, {"Task", "Tasks"},
}

func folderOf(kind string) (folder string, order int) {
	for i, known := range kinds {
		if known.kind == kind {
			return known.folder, i
		}
	}
	return "", -1
}

// wellFormed is rule 1: each XML file can be read, has the root of its place, and all
// have one version.
func (d *dump) wellFormed() {
	for _, file := range d.paths() {
		if path.Ext(file) != ".xml" {
			continue
		}
		root, err := parseXML(d.files[file])
		if err != nil {
			d.fail(1, file, 0, "it cannot be read: %v", err)
			continue
		}
		d.docs[file] = root
		name, space := "MetaDataObject", metadataSpace
		switch path.Base(file) {
		case "Form.xml":
			if path.Base(path.Dir(file)) == "Ext" {
				name, space = "Form", formSpace
			}
		case "Rights.xml":
			name, space = "Rights", rightsSpace
		}
		if root.name != name || root.space != space {
			d.fail(1, file, root.line, "the root is %s of %q, want %s of %q", root.name, root.space, name, space)
		}
		if got := root.attributes["version"]; got != version {
			d.fail(1, file, root.line, "the version is %q, want %q in all files", got, version)
		}
		if name == "MetaDataObject" && len(root.children) != 1 {
			d.fail(1, file, root.line, "%d objects in one file", len(root.children))
		}
	}
	if d.docs["Configuration.xml"] == nil {
		d.fail(1, "Configuration.xml", 0, "it is not there")
	}
}

// declared is rule 2: what ChildObjects names has its files, and there are no others.
func (d *dump) declared() {
	expected := map[string]bool{"Configuration.xml": true, "Ext/ManagedApplicationModule.bsl": true}
	configuration := d.docs["Configuration.xml"].child("Configuration")
	last, seen := -1, map[string]bool{}
	for _, entry := range configuration.child("ChildObjects").children {
		folder, order := folderOf(entry.name)
		if order < 0 {
			d.fail(2, "Configuration.xml", entry.line, "objects of the kind %s are not known here", entry.name)
			continue
		}
		if order < last {
			d.fail(2, "Configuration.xml", entry.line, "%s.%s stands after kinds that come later", entry.name, entry.text)
		}
		last = max(last, order)
		if seen[entry.name+entry.text] {
			d.fail(2, "Configuration.xml", entry.line, "%s.%s is there twice", entry.name, entry.text)
			continue
		}
		seen[entry.name+entry.text] = true
		d.describe(entry.name, entry.text, folder+"/"+entry.text, expected)
	}
	for _, file := range d.paths() {
		if !expected[file] {
			d.fail(2, file, 0, "no object has this file")
		}
	}
	for file := range expected {
		if d.files[file] == nil && path.Base(file) != "ManagedApplicationModule.bsl" && !optional(file) {
			d.fail(2, file, 0, "the file is not there")
		}
	}
}

// optional reports whether an object can be without a file: modules of objects, and the
// bundle, which the build puts in place (rule 13).
func optional(file string) bool {
	base := path.Base(file)
	return base == "ObjectModule.bsl" || base == "ManagerModule.bsl" || base == "Template.bin"
}

// describe reads an object, and notes its files and those of what is inside it.
func (d *dump) describe(kind, name, at string, expected map[string]bool) {
	file := at + ".xml"
	expected[file] = true
	root := d.docs[file]
	if root == nil {
		return // rule 2 says that it is missing
	}
	node := root.children[0]
	if node.name != kind {
		d.fail(2, file, node.line, "a %s in the place of a %s", node.name, kind)
		return
	}
	if got := node.child("Properties", "Name").text; got != name {
		d.fail(2, file, node.line, "the name is %q in the file of %q", got, name)
	}
	d.objects = append(d.objects, object{kind, name, file, node})
	switch kind {
	case "CommonModule":
		expected[at+"/Ext/Module.bsl"] = true
	case "Role":
		expected[at+"/Ext/Rights.xml"] = true
	case "CommonTemplate":
		expected[at+"/Ext/Template.bin"] = true
	case "Form", "CommonForm":
		expected[at+"/Ext/Form.xml"] = true
		expected[at+"/Ext/Form/Module.bsl"] = true
	case "DataProcessor", "Catalog", "Document", "Task":
		expected[at+"/Ext/ObjectModule.bsl"] = true
		expected[at+"/Ext/ManagerModule.bsl"] = true
	}
	seen := map[string]bool{}
	for _, child := range node.child("ChildObjects").children {
		inside := child.text
		if child.name == "Command" {
			inside = child.child("Properties", "Name").text
			expected[at+"/Commands/"+inside+"/Ext/CommandModule.bsl"] = true
		}
		if seen[child.name+inside] && inside != "" {
			d.fail(2, file, child.line, "%s %s is there twice", child.name, inside)
		}
		seen[child.name+inside] = true
		switch child.name {
		case "Form":
			d.describe("Form", inside, at+"/Forms/"+inside, expected)
		case "Subsystem":
			d.describe("Subsystem", inside, at+"/Subsystems/"+inside, expected)
		}
	}
}

// ownerOf returns the folder of the object that a file belongs to, and its kind:
// DataProcessors/X/Forms/F.xml belongs to DataProcessor X.
func ownerOf(file string) (kind, name string) {
	parts := strings.Split(file, "/")
	if len(parts) < 2 {
		return "", ""
	}
	at := slices.IndexFunc(kinds, func(k struct{ kind, folder string }) bool { return k.folder == parts[0] })
	if at < 0 {
		return "", ""
	}
	return kinds[at].kind, strings.TrimSuffix(parts[1], ".xml")
}
