#!/usr/bin/env bash
# Builds all packages and proves them: the deb, the rpm and the tar.gz in fresh roots,
# with and without systemd, the Windows programs and their installer under Wine, the
# examples of the manual, and that a second build gives the same bytes. Needs root
# and a Debian machine; installs what it needs.
#
#   all.sh [short]     short: all but Wine
. "$(dirname "$0")/lib.sh"
cd "$project"
need xz-utils zip python3 nsis
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

new=$work/new old=$work/old
packaging/1c/addin/toolchain.sh install
DIST=$new packaging/build.sh
VERSION=0.0.0 ARCHES=amd64 DIST=$old ADDIN_BUNDLE=$(echo "$new"/pns4ones-addin-*.zip) packaging/build.sh deb rpm tar >/dev/null
proven "built: $(cd "$new" && du -h --apparent-size -- *amd64* *x86_64* | tr '\n\t' '; ')"

base_root
packaging/test/links.sh
packaging/test/check.sh
packaging/test/reproducible.sh "$new"
packaging/test/examples.sh
packaging/test/deb.sh "$new"/*_amd64.deb "$old"/*_amd64.deb
packaging/test/rpm.sh "$new"/*.x86_64.rpm "$old"/*.x86_64.rpm
packaging/test/tar.sh "$new"/*-linux-amd64.tar.gz "$old"/*-linux-amd64.tar.gz
packaging/test/booted.sh "$new"/*_amd64.deb "$old"/*_amd64.deb "$new"/*-linux-amd64.tar.gz
[ "${1:-}" != short ] || exit 0
packaging/test/windows.sh "$new"
