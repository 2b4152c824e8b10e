#!/usr/bin/env bash
# A Wine for 32-bit Windows programs in a folder, beside the packages of this machine:
# its package manager learns of no other processor. addin.sh uses it.
#
#   wine32.sh FOLDER      ends with 1 if the mirror does not serve it
#
# FOLDER/wine is the loader, FOLDER/wineserver the server. FOLDER/zlib1.dll must be in a
# prefix's system32 before its first start.
. "$(dirname "$0")/lib.sh"
[ $# = 1 ] || { sed -n '5,8s/^# \{0,1\}//p' "$0" >&2; exit 2; }
mkdir -p "$1"
folder=$(realpath "$1")
[ ! -e "$folder/done" ] || exit 0
need patchelf
# Those of main: a mirror may be at odds with its own index of security updates.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{etc,state/lists/partial,cache/archives/partial,debs}
: >"$work/state/status"
printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s bookworm main\n' \
	"${MIRROR:-http://deb.debian.org/debian}" >"$work/etc/sources.list"
of_i386() {
	apt-get -q -o Dir::Etc::sourcelist="$work/etc/sources.list" -o Dir::Etc::sourceparts=- -o Dir::State="$work/state" \
		-o Dir::State::status="$work/state/status" -o Dir::Cache="$work/cache" -o APT::Architecture=i386 \
		-o APT::Architectures=i386 \
		-o APT::Sandbox::User=root "$@"
}
of_i386 update >"$work/log" 2>&1 && (
	cd "$work/debs"
	# Its bcrypt decrypts only with GnuTLS; the rest is what the loader and these need.
	of_i386 download wine32 libwine libc6 libgcc-s1 libunwind8 liblzma5 libcrypt1 libgnutls30 libhogweed6 libnettle8 libgmp10 \
		libidn2-0 libp11-kit0 libtasn1-6 libunistring2 libffi8 libz-mingw-w64 >>"$work/log" 2>&1
) || {
	cat "$work/log" >&2
	exit 1
}
for deb in "$work"/debs/*.deb; do dpkg -x "$deb" "$folder/root"; done
root=$folder/root
# Without a libc of its kind on this machine the programs need to be told where it is.
libraries=$root/lib/i386-linux-gnu:$root/usr/lib/i386-linux-gnu
for program in wine wineserver32; do
	patchelf --set-interpreter "$root/lib/i386-linux-gnu/ld-linux.so.2" "$root/usr/lib/wine/$program"
done
for pair in wine:wine wineserver:wineserver32; do
	cat >"$folder/${pair%:*}" <<-SCRIPT
		#!/bin/sh
		LD_LIBRARY_PATH=$libraries WINESERVER=$root/usr/lib/wine/wineserver32 WINELOADER=$root/usr/lib/wine/wine exec $root/usr/lib/wine/${pair#*:} "\$@"
	SCRIPT
	chmod +x "$folder/${pair%:*}"
done
cp "$(find "$root/usr/i686-w64-mingw32" -name zlib1.dll)" "$folder/zlib1.dll"
touch "$folder/done"
