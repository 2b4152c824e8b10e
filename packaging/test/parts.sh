#!/usr/bin/env bash
# Proves the lists of what the packages are made of: each package has one, it keeps to
# CycloneDX's schema, names that package, and has the modules that go.mod requires.
#
#   parts.sh DIST
. "$(dirname "$0")/lib.sh"
dist=$(realpath "$1")
need jq python3-jsonschema
command -v npm >/dev/null || need npm
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The schemas are those of CycloneDX's own library; what npm gives is kept.
library=@cyclonedx/cyclonedx-library@10.3.0
integrity=sha512-RIT28sp1U0PCHaaeF3yNRwk6Jig/XJ8UsYAVOMYaHQ+0VVOvsjcp0PTWQFLUqJFF8XMud+Kdq6G+wtDAh+QJFA==
archive=$cache/cyclonedx-library-10.3.0.tgz
if [ ! -e "$archive" ]; then
	mkdir -p "$cache"
	(cd "$work" && npm pack --silent "$library" >/dev/null)
	mv "$work"/*.tgz "$archive"
fi
[ "sha512-$(openssl dgst -sha512 -binary "$archive" | base64 -w0)" = "$integrity" ] ||
	fail "$archive is not what it was"
tar xzf "$archive" -C "$work" package/res/schema

count=0
for package in "$dist"/*.{deb,rpm,tar.gz,exe} "$dist"/*-oci-*.tar "$dist"/pns4ones-*-windows-*.zip; do
	[ -e "$package" ] || continue
	list=$package.cdx.json
	[ -s "$list" ] || fail "$(basename "$package") has no list"
	[ "$(jq -r '.metadata.component.hashes[0].content' "$list")" = "$(sha256sum "$package" | cut -d' ' -f1)" ] ||
		fail "$(basename "$list") is about another package"
	for module in go.etcd.io/bbolt github.com/gorilla/mux github.com/charmbracelet/bubbletea std; do
		jq -e --arg name "$module" '.components | any(.name == $name and (.version | length > 0))' "$list" >/dev/null ||
			fail "$(basename "$list") does not name $module"
	done
	count=$((count + 1))
done
[ "$count" -gt 0 ] || fail "no packages in $dist"

/usr/bin/python3 - "$work/package/res/schema" "$dist"/*.cdx.json <<'PYTHON'
import json, os, sys, warnings
warnings.simplefilter("ignore")
import jsonschema
folder, lists = sys.argv[1], sys.argv[2:]
load = lambda path: json.load(open(path, encoding="utf-8"))
schema = load(folder + "/bom-1.6.SNAPSHOT.schema.json")
store = {}
for name in sorted(n for n in os.listdir(folder) if n.endswith(".json")):
    one = load(folder + "/" + name)
    store[one.get("$id", name)] = one
    store["http://cyclonedx.org/schema/" + name] = one
validator = jsonschema.Draft7Validator(schema, resolver=jsonschema.RefResolver.from_schema(schema, store=store), format_checker=jsonschema.FormatChecker())
for path in lists:
    for error in validator.iter_errors(load(path)):
        sys.exit(f"{os.path.basename(path)}: {error.json_path}: {error.message}")
wrong = load(lists[0])
wrong["components"][0]["typ"] = wrong["components"][0].pop("type")
if validator.is_valid(wrong):
    sys.exit("the schema lets everything pass")
PYTHON
proven "$count packages, each with what it is made of, by CycloneDX's schema"
