#!/usr/bin/env bash
# Proves that another build of the same commit, in another folder and at another
# time, gives the same bytes.
#
#   reproducible.sh DIST    where the first build is
. "$(dirname "$0")/lib.sh"
dist=$(realpath "$1")
if [ -n "$(git -C "$project" status --porcelain)" ]; then
	proven "left out: there are changes that are not committed"
	exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git clone -q "$project" "$work/elsewhere"
DIST=$work/again "$work/elsewhere/packaging/build.sh" >/dev/null
diff "$dist/SHA256SUMS" "$work/again/SHA256SUMS" || fail "another build gives other bytes"
(cd "$dist" && sha256sum --quiet --check SHA256SUMS) || fail "SHA256SUMS is wrong"
proven "two builds are the same: $(wc -l <"$dist/SHA256SUMS") files"
