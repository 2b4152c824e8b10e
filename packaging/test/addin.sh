#!/usr/bin/env bash
# Proves the native add-in for 1C: the files, its behaviour on Linux and under Wine
# against a service that misbehaves and against the real daemon, under sanitizers and
# a fuzzer, in a host that is not ours, and with the extension.
#
#   addin.sh [long]       long: thousands of messages and clients, ten minutes of
#                         fuzzing for each target, links that go down for minutes
#
# ADDIN=FOLDER takes the files of a build (bundle, host, codec) that is there
# already. What is beside the project in ../shared (the add-in of 2022, OneScript) is
# used if it is there. Installs what it needs; as root, on Debian.
. "$(dirname "$0")/lib.sh"
long=${1:-}
addin=$project/packaging/1c/addin
shared=$project/../shared
need binutils clang iproute2 libclang-rt-14-dev openssl python3 strace unzip wine64 xz-utils
"$addin/toolchain.sh" install
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$project"
version=$(cat "$addin/VERSION")
names=${version//./_}

### the files
built=${ADDIN:-$work/built}
[ -n "${ADDIN:-}" ] || for what in bundle host codec; do "$addin/build.sh" "$what" "$built"; done
lin64=$built/PNS4OneSComp_Lin64_$names.so
win64=$built/PNS4OneSComp_Win64_$names.dll
win32=$built/PNS4OneSComp_Win32_$names.dll

# A change without a new version would never reach a client that has installed the
# add-in: 1C goes by the names of the files.
sources=$(cd "$addin" && LC_ALL=C find . -maxdepth 1 -type f \
	\( -name '*.?pp' -o -name '*.rc' -o -name '*.map' -o -name build.sh \) | LC_ALL=C sort |
	while read -r file; do sha256sum "$file"; done | sha256sum | cut -d' ' -f1)
[ "$version $sources" = "$(cat "$addin/SOURCES")" ] ||
	fail "the sources of the add-in have changed. Once a version is released, each change takes a new one in" \
		"packaging/1c/addin/VERSION. Then write into packaging/1c/addin/SOURCES: $version $sources"

five="DestroyObject GetAttachType GetClassNames GetClassObject SetPlatformCapabilities"
for library in "$built"/*.so; do
	[ "$(nm -D --defined-only "$library" | awk '{ print $3 }' | sort | xargs)" = "$five" ] ||
		fail "$library exports $(nm -D --defined-only "$library")"
	needed=$(readelf -d "$library" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' | sort | xargs)
	for one in $needed; do
		case $one in
		libc.so.6 | libpthread.so.0 | libdl.so.2 | ld-linux*.so.*) ;;
		*) fail "$library needs $one" ;;
		esac
	done
	newest=$(objdump -T "$library" | grep -oE 'GLIBC_[0-9.]+' | sort -Vu | tail -n 1)
	[ "$(printf '%s\nGLIBC_2.17\n' "$newest" | sort -V | tail -n 1)" = GLIBC_2.17 ] || fail "$library needs $newest"
	readelf -d "$library" | grep -q NODELETE || fail "$library can be unloaded from under its thread"
	readelf -d "$library" | grep -qE 'BIND_NOW|FLAGS.* NOW' || fail "$library binds late"
done
for library in "$win64" "$win32"; do
	dump=$(x86_64-w64-mingw32-objdump -p "$library")
	needed=$(sed -n 's/.*DLL Name: //p' <<<"$dump" | tr '[:upper:]' '[:lower:]' | sort | xargs)
	[ "$needed" = "bcrypt.dll kernel32.dll msvcrt.dll ws2_32.dll" ] ||
		fail "$library needs $(grep 'DLL Name' <<<"$dump")"
	grep -qE 'MajorSubsystemVersion\s+6' <<<"$dump" && grep -qE 'MajorOSystemVersion\s+6' <<<"$dump" ||
		fail "$library is not for Windows 7"
	# A function that is younger than Windows 7 would come to light here.
	sed -n '/Import Tables/,/Export Tables/p' <<<"$dump" |
		awk 'NF == 3 && $3 ~ /^[A-Za-z_][^.]*$/ { print $3 }' | sort -u >"$work/imports"
	[ -s "$work/imports" ] || fail "no imports of $library"
	unknown=$(LC_ALL=C comm -23 <(LC_ALL=C sort -u "$work/imports") <(LC_ALL=C sort -u "$here/testdata/windows7-imports"))
	[ -z "$unknown" ] || fail "$library imports what is not in testdata/windows7-imports: $unknown"
	exports=$(sed -n '/Ordinal\/Name Pointer/,/^$/p' <<<"$dump" | awk '/\[ *[0-9]+\]/ { print $NF }' | sort | xargs)
	[ "$exports" = "$five" ] || fail "$library exports $exports"
	strings -el "$library" | grep -qx "$version" || fail "$library does not tell its version"
done
unzip -q -o "$built/pns4ones-addin-$version.zip" -d "$work/bundle"
for file in "$work/bundle"/*; do
	cmp -s "$file" "$built/$(basename "$file")" || fail "$(basename "$file") in the bundle is another one"
done
grep -o 'path="[^"]*"' "$work/bundle/manifest.xml" | cut -d'"' -f2 | while read -r path; do
	[ -s "$work/bundle/$path" ] || fail "the manifest names $path"
done
proven "files: five exports, glibc 2.17, four DLLs of Windows 7;" \
	"bundle $(stat -c %s "$built/pns4ones-addin-$version.zip") bytes"

### behaviour on Linux, against a service that misbehaves and the daemon
# The add-in of 2022 runs beside ours, with a stand-in for the OpenSSL that it wants.
released=''
if [ -f "$shared/released/PNS4OneSComp-1.0.zip" ]; then
	released=$work/released
	unzip -q "$shared/released/PNS4OneSComp-1.0.zip" -d "$released"
	printf 'OPENSSL_1_1_0 { global: *; };\n' >"$work/crypto.map"
	clang -shared -fPIC -Wl,-soname,libcrypto.so.1.1 "-Wl,--version-script=$work/crypto.map" \
		"$here/testdata/libcrypto-1.1.c" -ldl \
		-o "$released/libcrypto.so.1.1"
else
	proven "left out: the add-in of 2022 is not beside the project"
fi

# prove runs the Go tests with a library, a host, and a file of the add-in of 2022.
prove() {
	local what=$1 library=$2 host=$3 codec=$4 runner=$5 old=${6:+${released:+$released/$6}} log=$work/$1.log
	shift 6
	PNS4ONES_ADDIN_SANITIZED=${sanitized:-} LSAN_OPTIONS=suppressions=$here/testdata/leaks:print_suppressions=0 \
		PNS4ONES_ADDIN=$library PNS4ONES_ADDIN_HOST=$host PNS4ONES_ADDIN_CODEC=$codec PNS4ONES_ADDIN_RUNNER=$runner \
		PNS4ONES_ADDIN_LONG=$long \
		PNS4ONES_ADDIN_RELEASED=$old PNS4ONES_ADDIN_RELEASED_LIBRARIES=$released \
		go test -count=1 -timeout 60m -v "$@" ./packaging/1c/addin/prove >"$log" 2>&1 ||
		fail "$what: $(grep -vE '^ *(=== |--- PASS)' "$log" | tail -n 60)"
	sed -nE 's/^ *table_linux_test.go:[0-9]+: ((ours|released), .*)/  \1/p' "$log"
	proven "$what: $(grep -cE '^--- PASS' "$log") tests; $(sed -nE 's/^ok.*\t([0-9.]+s)$/\1/p' "$log")"
}

# loads runs host and add-in with the C library of another system.
loads() {
	local root=$1 what=$2 loader
	# Its usual name is a link that leads out of the root.
	loader=$(find "$root/lib/x86_64-linux-gnu/" -maxdepth 1 -type f -name 'ld-*.so*' | head -n 1)
	"$loader" --library-path "$root/lib/x86_64-linux-gnu" "$built/host" "$lin64" new 1 connect 1 127.0.0.1 1 a b c d "" \
		error 1 release 1 memory >"$work/said" 2>&1 || fail "$what: $(cat "$work/said")"
	expect "$work/said" "Некорректный ключ клиента" "$what"
	proven "$what loads it"
}
base_root
loads "$base" "Debian 12"
if [ -n "$long" ]; then
	if [ -e "$cache/bullseye.done" ] ||
		debootstrap --variant=minbase bullseye "$cache/bullseye" >"$cache/bullseye.log" 2>&1; then
		touch "$cache/bullseye.done"
		loads "$cache/bullseye" "Debian 11"
	else
		rm -rf "$cache/bullseye"
		proven "left out: the mirror does not serve Debian 11"
	fi
fi

go build -o "$work" ./cmd/pns4ones ./cmd/pns4onesadmin

# What follows waits more than it computes, so it goes side by side.
on_linux() {
	prove "Linux x86_64" "$lin64" "$built/host" "$built/codec" '' PNS4OneSComp_Lin64.so
	# Idle: no wake-ups but those of the kernel.
	"$here/addin-daemon.sh" "$work" "$built" "$lin64" "$([ -n "$long" ] && echo 60 || echo 10)"
	[ -z "$long" ] || "$here/addin-link.sh" "$work" "$built" "$lin64" 20 300
}

under_sanitizers() {
	local kind tests=(-skip '^TestDaemon')
	[ -z "$long" ] || tests=()
	for kind in address thread; do
		"$addin/build.sh" sanitized "$kind" "$work/$kind"
		sanitized=$kind prove "$kind sanitizer" "$work/$kind/addin.so" "$work/$kind/host" "$work/$kind/codec" '' '' \
			"${tests[@]}"
	done
}

fuzzed() {
	local target seconds one fuzzing=()
	"$addin/build.sh" fuzz "$work/fuzz"
	seconds=$([ -n "$long" ] && echo 600 || echo 20)
	for target in frames clientkey addresses; do
		mkdir -p "$work/corpus/$target"
		cp "$addin/test/fuzz/corpus/$target"/* "$work/corpus/$target"
		"$work/fuzz/$target" -max_total_time="$seconds" -rss_limit_mb=512 -max_len=4096 -artifact_prefix="$work/$target-" \
			"$work/corpus/$target" >"$work/$target.log" 2>&1 &
		fuzzing+=("$!:$target")
	done
	for one in "${fuzzing[@]}"; do
		wait "${one%%:*}" || fail "fuzz ${one#*:}: $(tail -n 40 "$work/${one#*:}.log")"
		proven "fuzz ${one#*:}: $(grep -oE '^Done [0-9]+ runs in [0-9]+' "$work/${one#*:}.log") s"
	done
}

# wine_proofs runs the proofs with a Wine, for a processor. Its server stays between the
# tests, so that each of them need not start one; it is there first, for a second one
# would end at once.
wine_proofs() {
	local arch=$1 loader=$2 server=$3 bits=$4
	export WINEPREFIX=$work/$arch WINEARCH=$arch WINEDEBUG=-all WINEDLLOVERRIDES='mscoree=;mshtml='
	export DISPLAY='' LC_ALL=C.UTF-8
	mkdir -p "$WINEPREFIX/drive_c/windows/system32"
	[ "$arch" = win64 ] || cp "$cache/wine32/zlib1.dll" "$WINEPREFIX/drive_c/windows/system32"
	"$server" -p || fail "the server of Wine $arch does not start"
	# shellcheck disable=SC2064
	trap "'$server' -k || true" EXIT
	timeout 300 "$loader" wineboot -i >"$work/wineboot.log" 2>&1 ||
		fail "Wine $arch does not start: $(tail -n 5 "$work/wineboot.log")"
	prove "Wine $arch" "$built/PNS4OneSComp_Win${bits}_$names.dll" "$built/host$bits.exe" "$built/codec$bits.exe" "$loader" \
		"PNS4OneSComp_Win$bits.dll"
}
under_wine64() { WINELOADER=/usr/lib/wine/wine64 wine_proofs win64 /usr/lib/wine/wine64 /usr/lib/wine/wineserver64 64; }
under_wine32() {
	if [ -z "$long" ]; then
		proven "left to the long form: Windows i386"
	elif "$here/wine32.sh" "$cache/wine32"; then
		wine_proofs win32 "$cache/wine32/wine" "$cache/wine32/wineserver" 32
	else
		proven "left out: Windows i386, since the mirror does not serve a 32-bit Wine"
	fi
}

# A host that is not ours, and the extension in it: its client's half with this add-in.
engine=$shared/onescript/onescript-2.0.0-linux-x64.tar.xz
bundle=$built/pns4ones-addin-$version.zip
if [ -f "$engine" ]; then
	need libicu72
	tar xf "$engine" -C "$work"
	oscript=$work/onescript/oscript
else
	oscript=''
	proven "left out: OneScript is not beside the project"
fi
in_onescript() { [ -z "$oscript" ] || "$here/addin-onescript.sh" "$work" "$bundle" "$oscript"; }
in_the_extension() {
	local log=$work/extension.log
	[ -n "$oscript" ] || return 0
	ONESCRIPT=$oscript ADDIN_BUNDLE=$(realpath "$bundle") \
		go test -count=1 -timeout 20m -v -run TestWithTheAddIn ./packaging/1c/tests >"$log" 2>&1 ||
		fail "the extension: $(grep -v '^ *=== ' "$log" | tail -n 60)"
	proven "the extension: $(grep -c '^ *--- PASS: TestWithTheAddIn/' "$log") scenarios and demonstrations"
}

lanes=()
for lane in on_linux under_sanitizers fuzzed under_wine64 under_wine32 in_onescript in_the_extension; do
	("$lane") >"$work/$lane.said" 2>&1 &
	lanes+=("$!:$lane")
done
failed=''
for lane in "${lanes[@]}"; do
	wait "${lane%%:*}" || failed="$failed ${lane#*:}"
	cat "$work/${lane#*:}.said"
done
[ -z "$failed" ] || fail "$failed"
