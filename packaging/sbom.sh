#!/usr/bin/env bash
# Writes what a package is made of, as CycloneDX 1.6 (JSON): the modules that Go itself
# noted in the programs, and those of the add-in. packaging/build.sh calls it.
#
#   sbom.sh PACKAGE VERSION ADDIN PROGRAM...    ADDIN is the version of the add-in, or ''
#
# Needs go and jq. The same package gives the same bytes.
set -euo pipefail
package=$1 version=$2 addin=$3
shift 3
sum=$(sha256sum "$package" | cut -d' ' -f1)
# The number names this document: it is that of the package.
serial=$(sed -E 's/^(.{8})(.{4}).(.{3}).(.{3})(.{12}).*/\1-\2-5\3-8\4-\5/' <<<"$sum")
go version -m "$@" | jq -Rn --arg file "$(basename "$package")" --arg version "$version" --arg addin "$addin" \
	--arg sum "$sum" --arg serial "$serial" \
	--arg time "$(date -u +%Y-%m-%dT%H:%M:%SZ -d "@$SOURCE_DATE_EPOCH")" '
	def library($path; $v): ("pkg:golang/" + $path + "@" + $v | gsub("\\+"; "%2B")) as $purl |
		{type: "library", "bom-ref": $purl, name: $path, version: $v, purl: $purl};
	[inputs] as $lines
	| ([$lines[] | capture("^\\S+: go(?<v>[0-9.]+)") | library("std"; .v)]
		+ [$lines[] | capture("^\\tdep\\t(?<path>[^\\t]+)\\t(?<v>[^\\t]+)") | library(.path; .v)]
		| unique_by(."bom-ref")) as $modules
	| (if $addin == "" then [] else [
		{type: "library", "bom-ref": "pns4ones-addin", name: "pns4ones-addin", version: $addin, licenses: [{license: {id: "Apache-2.0"}}]},
		{type: "library", "bom-ref": "bearssl", name: "BearSSL", licenses: [{license: {id: "MIT"}}]}] end) as $native
	| {"$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json", bomFormat: "CycloneDX", specVersion: "1.6", serialNumber: "urn:uuid:\($serial)", version: 1,
		metadata: {timestamp: $time, component: {
			type: "application", "bom-ref": "pns4ones", name: "pns4ones", version: $version, description: $file,
			hashes: [{alg: "SHA-256", content: $sum}], licenses: [{license: {id: "Apache-2.0"}}]}},
		components: ($modules + $native),
		dependencies: (
			[{ref: "pns4ones", dependsOn: [($modules + $native)[]."bom-ref" | select(. != "bearssl")]}]
			+ if $addin == "" then [] else [{ref: "pns4ones-addin", dependsOn: ["bearssl"]}] end)}'
