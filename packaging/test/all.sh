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
# All that the proofs need, for two of them cannot install at once.
need xz-utils zip unzip python3 nsis jq lintian man-db groff-base runc python3-jsonschema rpm rpmlint dnf createrepo-c \
	apt-utils gnupg systemd-container util-linux
work=$(mktemp -d) beside=()
trap 'kill "${beside[@]%%:*}" 2>/dev/null || true; rm -rf "$work"' EXIT

# prove runs a proof, and says how long it took.
prove() {
	local began=$SECONDS
	"$here/$1.sh" "${@:2}"
	proven "$1: $((SECONDS - began)) s"
}
# beside runs one beside the others, until join, which says what it has said.
beside() {
	prove "$@" >"$work/$1.said" 2>&1 &
	beside+=("$!:$1")
}
join() {
	local one
	for one in "${beside[@]}"; do
		wait "${one%%:*}" || fail "${one#*:}: $(cat "$work/${one#*:}.said")"
		cat "$work/${one#*:}.said"
	done
	beside=()
}

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
prove links
prove check
prove examples install # likewise
beside reproducible "$new" # it needs a processor, and little else does
beside examples
prove parts "$new"
prove oci "$new"/*-oci-amd64.tar "$new"/*-oci-arm64.tar
prove deb "$new"/*_amd64.deb "$old"/*_amd64.deb
prove rpm "$new"/*.x86_64.rpm "$old"/*.x86_64.rpm
prove repository "$new"/*_amd64.deb "$old"/*_amd64.deb "$new"/*.x86_64.rpm "$old"/*.x86_64.rpm
prove tar "$new"/*-linux-amd64.tar.gz "$old"/*-linux-amd64.tar.gz
prove booted "$new"/*_amd64.deb "$old"/*_amd64.deb "$new"/*-linux-amd64.tar.gz
join
[ "${1:-}" != short ] || exit 0
prove windows "$new"
