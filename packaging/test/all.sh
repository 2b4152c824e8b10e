#!/usr/bin/env bash
# Builds all packages and proves them: the deb, the rpm and the tar.gz in fresh roots,
# with and without systemd, the image in runc, a repository, the Windows programs and their installer
# under Wine, the examples of the manual, and that a second build gives the same bytes.
# Needs root and a Debian machine; installs what it needs.
#
#   all.sh [short]     short: all but Wine, and without an add-in that is connected
#                      over restarts and upgrades
. "$(dirname "$0")/lib.sh"
cd "$project"
need xz-utils zip unzip python3 nsis jq
work=$(mktemp -d) reproducible=''
trap '[ -z "$reproducible" ] || kill "$reproducible" 2>/dev/null || true; rm -rf "$work"' EXIT

new=$work/new old=$work/old
packaging/1c/addin/toolchain.sh install
DIST=$new packaging/build.sh
VERSION=0.0.0 ARCHES=amd64 DIST=$old ADDIN_BUNDLE=$(echo "$new"/pns4ones-addin-*.zip) packaging/build.sh deb rpm tar \
	>/dev/null
proven "built: $(cd "$new" && du -h --apparent-size -- *amd64* *x86_64* | tr '\n\t' '; ')"

if [ "${1:-}" != short ]; then
	mkdir "$work/addin"
	unzip -q "$new"/pns4ones-addin-*.zip -d "$work/addin"
	packaging/1c/addin/build.sh host "$work/addin"
	export ADDIN=$work/addin
fi

base_root
packaging/test/links.sh
packaging/test/check.sh
packaging/test/reproducible.sh "$new" >"$work/reproducible" 2>&1 & # it needs a processor, and little else does
reproducible=$!
packaging/test/examples.sh
packaging/test/parts.sh "$new"
packaging/test/oci.sh "$new"/*-oci-amd64.tar "$new"/*-oci-arm64.tar
packaging/test/deb.sh "$new"/*_amd64.deb "$old"/*_amd64.deb
packaging/test/rpm.sh "$new"/*.x86_64.rpm "$old"/*.x86_64.rpm
packaging/test/repository.sh "$new"/*_amd64.deb "$old"/*_amd64.deb "$new"/*.x86_64.rpm "$old"/*.x86_64.rpm
packaging/test/tar.sh "$new"/*-linux-amd64.tar.gz "$old"/*-linux-amd64.tar.gz
packaging/test/booted.sh "$new"/*_amd64.deb "$old"/*_amd64.deb "$new"/*-linux-amd64.tar.gz
wait "$reproducible" || fail "another build: $(cat "$work/reproducible")"
reproducible=''
cat "$work/reproducible"
[ "${1:-}" != short ] || exit 0
packaging/test/windows.sh "$new"
