package dump

import (
	"regexp"
	"slices"
	"strings"
)

var (
	identifier = regexp.MustCompile(`^[\pL_][\pL\d_]*$`)
	uuidForm   = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
)

// classIDs of what is in each configuration.
var classIDs = []string{
	"9cd510cd-abfc-11d4-9434-004095e12fc7", "9fcd25a0-4822-11d4-9414-008048da11f9", "e3687481-0a87-462c-a166-9f34594f9bba",
	"9de14907-ec23-4a07-96f0-85521cb6b53b", "51f2d5d8-ea4d-4064-8892-82951750031e", "e68182ea-4237-4383-967f-90c1e3370bc7",
	"fb282519-d103-4dd3-bc12-cb271d631dfc",
}

// names is rule 3: own objects have the prefix, names are identifiers and not too long.
func (d *dump) names() {
	for _, o := range d.objects {
		if len([]rune(o.name)) > 80 {
			d.fail(3, o.path, o.node.line, "%s is longer than 80 characters", o.name)
		}
		if !identifier.MatchString(o.name) {
			d.fail(3, o.path, o.node.line, "%q is no identifier", o.name)
		}
		nested := o.kind == "Form" || strings.Count(o.path, "/Subsystems/") > 0
		if !nested && !isAdopted(o.node) && !strings.HasPrefix(o.name, d.profile.Prefix) {
			d.fail(3, o.path, o.node.line, "%s does not begin with %s", o.name, d.profile.Prefix)
		}
	}
}

func isAdopted(node *element) bool {
	return node.child("Properties", "ObjectBelonging").text == "Adopted"
}

// uuids is rule 4: they have their form, are there once, and those that an infobase
// hangs data on are what they were.
func (d *dump) uuids() {
	seen := map[string]string{}
	note := func(file string, line int, value string) {
		switch {
		case !uuidForm.MatchString(value):
			d.fail(4, file, line, "%q is no uuid", value)
		case slices.Contains(classIDs, value):
			d.fail(4, file, line, "%s is the id of a class", value)
		case seen[value] != "":
			d.fail(4, file, line, "%s is in %s as well", value, seen[value])
		}
		seen[value] = file
	}
	for _, file := range d.paths() {
		if d.docs[file] == nil {
			continue
		}
		d.docs[file].each(func(e *element) {
			if value, has := e.attributes["uuid"]; has {
				note(file, e.line, value)
			}
			if e.name == "TypeId" || e.name == "ValueId" || e.name == "ObjectId" {
				note(file, e.line, e.text)
			}
		})
	}
	found := d.identities()
	for what, want := range d.profile.Identity {
		if found[what] != want {
			d.fail(4, "Configuration.xml", 0, "the uuid of %s is %q, want %s: data and roles of infobases hang on it", what,
				found[what], want)
		}
	}
}

// identities returns the uuid of each object, of registers' fields and of commands.
func (d *dump) identities() map[string]string {
	found := map[string]string{"Configuration": d.docs["Configuration.xml"].child("Configuration").attributes["uuid"]}
	for _, o := range d.objects {
		name := o.full()
		if o.kind == "Form" {
			kind, owner := ownerOf(o.path)
			name = kind + "." + owner + ".Form." + o.name
		}
		found[name] = o.node.attributes["uuid"]
		for _, child := range o.node.child("ChildObjects").children {
			if uuid, has := child.attributes["uuid"]; has {
				found[name+"."+child.name+"."+child.child("Properties", "Name").text] = uuid
			}
		}
	}
	return found
}

// properties of the configuration of an extension, in the platform's order.
var properties = []string{
	"Name", "Synonym", "Comment", "ConfigurationExtensionPurpose", "ObjectBelonging",
	"KeepMappingToExtendedConfigurationObjectsByIDs", "NamePrefix", "ConfigurationExtensionCompatibilityMode",
	"ScriptVariant", "DefaultRoles", "Vendor", "Version", "BriefInformation", "DetailedInformation", "Copyright",
	"VendorInformationAddress", "ConfigurationInformationAddress",
}

// configuration is rule 5.
func (d *dump) configuration() {
	const file = "Configuration.xml"
	node := d.docs[file].child("Configuration")
	var ids []string
	for _, contained := range node.child("InternalInfo").children {
		ids = append(ids, contained.child("ClassId").text)
	}
	if !slices.Equal(ids, classIDs) {
		d.fail(5, file, node.line, "the contained objects are %v, want %v", ids, classIDs)
	}
	var names []string
	for _, property := range node.child("Properties").children {
		names = append(names, property.name)
	}
	if !slices.Equal(names, properties) {
		d.fail(5, file, node.line, "the properties are %v, want %v", names, properties)
	}
	for name, want := range map[string]string{
		"ConfigurationExtensionPurpose": "AddOn", "ObjectBelonging": "Adopted", "ScriptVariant": "Russian",
		"KeepMappingToExtendedConfigurationObjectsByIDs": "true", "NamePrefix": d.profile.Prefix,
		"ConfigurationExtensionCompatibilityMode": "Version8_3_14",
	} {
		if got := node.child("Properties", name).text; got != want {
			d.fail(5, file, node.line, "%s is %q, want %q", name, got, want)
		}
	}
	for _, role := range node.child("Properties", "DefaultRoles").children {
		if _, exists := d.object(role.text); !exists {
			d.fail(5, file, role.line, "the default role %s does not exist", role.text)
		}
	}
}

// adopted is rule 6: no object of the base configuration, but those of the list, and no
// type, picture or style of it.
func (d *dump) adopted() {
	for _, o := range d.objects {
		if !isAdopted(o.node) {
			continue
		}
		want, listed := d.profile.Adopted[o.full()]
		if !listed {
			d.fail(6, o.path, o.node.line, "%s is adopted: the extension would attach only where it is", o.full())
		} else if got := o.node.child("Properties", "ExtendedConfigurationObject").text; got != want {
			d.fail(6, o.path, o.node.line, "%s extends %q, want %s", o.full(), got, want)
		}
	}
	for _, file := range d.paths() {
		if d.docs[file] == nil {
			continue
		}
		d.docs[file].each(func(e *element) {
			d.foreign(file, e, e.text)
			for _, value := range e.attributes {
				d.foreign(file, e, value)
			}
		})
	}
}

// foreign refuses a reference to what neither we nor the platform have.
func (d *dump) foreign(file string, e *element, value string) {
	name, isType := strings.CutPrefix(value, "cfg:")
	if isType {
		kind, object, _ := strings.Cut(name, ".")
		for _, suffix := range []string{"Object", "RecordManager", "RecordSet", "Ref"} {
			kind = strings.TrimSuffix(kind, suffix)
		}
		if _, exists := d.object(kind + "." + object); !exists {
			d.fail(6, file, e.line, "the type %s is of another configuration", value)
		}
	}
	if picture, isPicture := strings.CutPrefix(value, "CommonPicture."); isPicture {
		if _, exists := d.object("CommonPicture." + picture); !exists {
			d.fail(6, file, e.line, "the picture %s is of another configuration", value)
		}
	}
	if strings.HasPrefix(value, "style:") {
		d.fail(6, file, e.line, "the style %s may be of another configuration", value)
	}
}

// generated types of each kind: the prefix of the name, and its category.
var generated = map[string][]string{
	"DataProcessor": {"DataProcessorObject Object", "DataProcessorManager Manager"},
	"InformationRegister": {
		"InformationRegisterRecord Record", "InformationRegisterManager Manager", "InformationRegisterSelection Selection",
		"InformationRegisterList List", "InformationRegisterRecordSet RecordSet", "InformationRegisterRecordKey RecordKey",
		"InformationRegisterRecordManager RecordManager",
	},
}

// generatedTypes is rule 7.
func (d *dump) generatedTypes() {
	for _, o := range d.objects {
		want, has := generated[o.kind]
		if !has || isAdopted(o.node) {
			continue
		}
		var got []string
		for _, one := range o.node.child("InternalInfo").children {
			prefix, name, _ := strings.Cut(one.attributes["name"], ".")
			if name != o.name {
				d.fail(7, o.path, one.line, "a generated type of %s is named %s", o.name, one.attributes["name"])
			}
			got = append(got, prefix+" "+one.attributes["category"])
		}
		if !slices.Equal(got, want) {
			d.fail(7, o.path, o.node.line, "the generated types are %v, want %v", got, want)
		}
	}
}

// moduleFlags is rule 8: the flags of each common module are those of the table, and
// such as the platform takes.
func (d *dump) moduleFlags() {
	for _, o := range d.of("CommonModule") {
		if isAdopted(o.node) {
			continue
		}
		got := flagsOf(o.node)
		if want, listed := d.profile.Flags[o.name]; !listed {
			d.fail(8, o.path, o.node.line, "the table says nothing of %s", o.name)
		} else if got != want {
			d.fail(8, o.path, o.node.line, "the flags are %q, want %q", got, want)
		}
		has := func(flag string) bool { return strings.Contains(" "+got+" ", " "+flag+" ") }
		if has("ServerCall") && (!has("Server") || has("ExternalConnection")) {
			d.fail(8, o.path, o.node.line, "ServerCall goes only with Server")
		}
		if has("Global") && (has("Server") || has("ExternalConnection")) {
			d.fail(8, o.path, o.node.line, "a global module is only for the client")
		}
	}
}

// flagsOf are the flags that are set, in the order of the file, and how values are kept.
func flagsOf(node *element) string {
	var set []string
	for _, property := range node.child("Properties").children {
		if property.text == "true" {
			set = append(set, property.name)
		}
		if property.name == "ReturnValuesReuse" && property.text != "DontUse" {
			set = append(set, property.text)
		}
	}
	return strings.Join(set, " ")
}
