package dump

import (
	"slices"
	"strings"
)

// rightsOf each kind that are used.
var rightsOf = map[string][]string{
	"DataProcessor": {"Use", "View"}, "Command": {"View"}, "Subsystem": {"View"},
	"InformationRegister": {"Read", "Update", "View", "Edit"},
}

// rights is rule 11: they are on objects that exist, none on secrets, and each data
// processor and command is in some role.
func (d *dump) rights() {
	granted := map[string]bool{}
	for _, role := range d.of("Role") {
		file := strings.TrimSuffix(role.path, ".xml") + "/Ext/Rights.xml"
		root := d.docs[file]
		if root == nil {
			continue
		}
		if root.child("setForNewObjects").text != "false" {
			d.fail(11, file, root.line, "rights on objects that the role does not name")
		}
		for _, on := range root.children {
			if on.name != "object" {
				continue
			}
			name := on.child("name").text
			kind, exists := d.rightsObject(name)
			if !exists {
				d.fail(11, file, on.line, "rights on %s, which does not exist", name)
				continue
			}
			for _, secret := range d.profile.Secrets {
				if name == secret {
					d.fail(11, file, on.line, "rights on %s: it has the keys", name)
				}
			}
			granted[name] = true
			for _, right := range on.children {
				if right.name == "right" && !slices.Contains(rightsOf[kind], right.child("name").text) {
					d.fail(11, file, right.line, "no %s has a right %s", kind, right.child("name").text)
				}
			}
		}
	}
	for _, o := range d.of("DataProcessor") {
		d.reached(o, o.full(), granted)
		for _, child := range o.node.child("ChildObjects").children {
			if child.name == "Command" {
				d.reached(o, o.full()+".Command."+child.child("Properties", "Name").text, granted)
			}
		}
	}
}

func (d *dump) reached(o object, name string, granted map[string]bool) {
	if !granted[name] {
		d.fail(11, o.path, o.node.line, "no role has a right on %s", name)
	}
}

// rightsObject resolves what a role names: an object, a command of it, a section in a
// section.
func (d *dump) rightsObject(name string) (kind string, exists bool) {
	parts := strings.Split(name, ".")
	if len(parts) < 2 {
		return "", false
	}
	if len(parts) == 4 && parts[2] == "Command" {
		return "Command", d.hasCommand(parts[1], parts[3])
	}
	if len(parts) == 4 && parts[0] == "Subsystem" && parts[2] == "Subsystem" {
		return "Subsystem", d.docs["Subsystems/"+parts[1]+"/Subsystems/"+parts[3]+".xml"] != nil
	}
	_, exists = d.object(name)
	return parts[0], exists
}

// sections is rule 12: what they list exists, and each data processor is in one.
func (d *dump) sections() {
	listed := map[string]bool{}
	for _, section := range d.of("Subsystem") {
		for _, item := range section.node.child("Properties", "Content").children {
			if _, exists := d.object(item.text); !exists {
				d.fail(12, section.path, item.line, "the section lists %s, which does not exist", item.text)
			}
			listed[item.text] = true
		}
	}
	for _, o := range d.of("DataProcessor") {
		if !listed[o.full()] {
			d.fail(12, o.path, o.node.line, "%s is in no section", o.full())
		}
	}
}
