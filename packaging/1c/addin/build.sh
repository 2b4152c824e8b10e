#!/usr/bin/env bash
# Builds the add-in. Two builds of the same sources are the same, byte for byte.
#
#   build.sh bundle FOLDER           pns4ones-addin-VERSION.zip, which goes into the 1C
#                                    extension, and the libraries that are in it
#   build.sh host FOLDER             host (Linux) and host64.exe, host32.exe
#   build.sh codec FOLDER            test/codec for Linux and Windows
#   build.sh sanitized KIND FOLDER   library, host and codec for this machine, with
#                                    clang's sanitizer: address, thread
#   build.sh fuzz FOLDER             the fuzz targets of test/fuzz, with clang
#
# toolchain.sh tells what it needs.
set -euo pipefail
shopt -s extglob
mkdir -p "${*: -1}"
out=$(cd "${*: -1}" && pwd)
cd "$(dirname "$0")"

version=$(cat VERSION)
underscored=${version//./_}
bearssl=third_party/bearssl
common=(-std=c++17 -Wall -Wextra -Werror -Wno-non-virtual-dtor -fno-rtti "-DADDIN_VERSION=\"$version\"")
lean=(-Os -fvisibility=hidden -ffunction-sections -fdata-sections)
windows=(-D_WIN32_WINNT=0x0601 -DWIN32_LEAN_AND_MEAN -DNOMINMAX -static)
portable=(addresses.cpp backoff.cpp clientkey.cpp connection.cpp exports.cpp frame.cpp object.cpp outlet.cpp registration.cpp text.cpp variant.cpp)
codec=(test/codec.cpp addresses.cpp clientkey.cpp frame.cpp registration.cpp text.cpp)
host=(host/main.cpp host/platform.cpp host/storm.cpp host/value.cpp text.cpp)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# bear compiles the sources of BearSSL with the given compiler into $work/NAME.
bear() {
	local name=$1 file
	shift
	mkdir -p "$work/$name"
	while read -r file; do
		"$@" -Os -fPIC -ffunction-sections -fdata-sections "-I$bearssl/inc" "-I$bearssl/src" -c "$file" -o "$work/$name/$(basename "$file" .c).o"
	done < <(find "$bearssl/src" -name '*.c' | sort)
}

# linux builds a library for a processor with zig, for systems from glibc 2.17 on.
linux() {
	local target=$1 library=$2 zig
	zig=$(./toolchain.sh zig)
	bear "$target" "$zig" cc -target "$target-linux-gnu.2.17"
	"$zig" c++ -target "$target-linux-gnu.2.17" "${common[@]}" "${lean[@]}" -fPIC -shared "${portable[@]}" crypto_bearssl.cpp system_linux.cpp \
		"$work/$target"/*.o "-I$bearssl/inc" -o "$out/$library" -Wl,-z,nodelete -Wl,-z,now -Wl,-z,relro -Wl,--gc-sections \
		-Wl,--version-script=exports.map -s
}

# mingw builds a program or library for Windows. The base address is given, for the
# linker would make one from the path.
mingw() {
	local processor=$1 result=$2 flags=()
	shift 2
	case $processor in
	x86_64) flags=('-Wl,--image-base,0x180000000' '-Wl,--high-entropy-va') ;;
	i686) flags=('-Wl,--image-base,0x10000000' '-Wl,--kill-at' -mstackrealign) ;;
	esac
	"$processor-w64-mingw32-g++-win32" "${common[@]}" "${lean[@]}" "${windows[@]}" "$@" -o "$out/$result" -lws2_32 -lbcrypt -Wl,--gc-sections \
		-Wl,--no-insert-timestamp -Wl,--nxcompat,--dynamicbase -Wl,--major-os-version,6,--minor-os-version,1 \
		-Wl,--major-subsystem-version,6,--minor-subsystem-version,1 "${flags[@]}" -s
}

dll() {
	local processor=$1 library=$2
	"$processor-w64-mingw32-windres" "-DADDIN_NUMBERS=${version//./,},0" "-DADDIN_VERSION=\\\"$version\\\"" "-DADDIN_FILE=\\\"$library\\\"" \
		version.rc "$work/version-$processor.o"
	mingw "$processor" "$library" -shared "${portable[@]}" crypto_cng.cpp system_windows.cpp "$work/version-$processor.o"
}

manifest() {
	printf '<?xml version="1.0" encoding="UTF-8" ?>\n'
	printf '<bundle xmlns="http://v8.1c.ru/8.2/addin/bundle" name="com_ptolkachev_PNS4OneSComp">\n'
	printf '<component os="Windows" path="%s" type="native" arch="i386" />\n' "$win32"
	printf '<component os="Windows" path="%s" type="native" arch="x86_64" />\n' "$win64"
	printf '<component os="Linux" path="%s" type="native" arch="x86_64" />\n' "$lin64"
	printf '<component os="Linux" path="%s" type="native" arch="i386" />\n' "$lin32"
	printf '<component os="Linux" path="%s" type="native" arch="ARM64" />\n' "$arm64"
	printf '</bundle>\n'
}

# 1C keeps an add-in that it has installed under the names of its files: another
# version needs other names.
bundle() {
	win32=PNS4OneSComp_Win32_$underscored.dll win64=PNS4OneSComp_Win64_$underscored.dll
	lin64=PNS4OneSComp_Lin64_$underscored.so lin32=PNS4OneSComp_Lin32_$underscored.so arm64=PNS4OneSComp_LinARM64_$underscored.so
	dll i686 "$win32"
	dll x86_64 "$win64"
	linux x86_64 "$lin64"
	linux x86 "$lin32"
	linux aarch64 "$arm64"
	manifest >"$out/manifest.xml"
	(cd "$out" && python3 - "pns4ones-addin-$version.zip" manifest.xml "$win32" "$win64" "$lin64" "$lin32" "$arm64") <<-'PYTHON'
		import sys, zipfile
		target, *names = sys.argv[1:]
		with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9, allowZip64=False) as bundle:
		    for name in names:
		        entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
		        entry.create_system = 0
		        entry.compress_type = zipfile.ZIP_DEFLATED
		        with open(name, "rb") as content:
		            bundle.writestr(entry, content.read())
	PYTHON
	(cd "$out" && chmod 644 "pns4ones-addin-$version.zip" manifest.xml "$win32" "$win64" "$lin64" "$lin32" "$arm64")
}

# native links with what the system brings.
native() { "$@" -pthread -ldl; }

sanitized() {
	local kind=$1 flags
	flags=("-fsanitize=$kind" -g -O1 -fno-omit-frame-pointer)
	[ "$kind" != address ] || flags=('-fsanitize=address,undefined' -fno-sanitize=vptr -fno-sanitize-recover=undefined -g -O1 -fno-omit-frame-pointer)
	bear "$kind" clang "${flags[@]}"
	# The runtime of the sanitizer is in the host, and the library finds it there.
	native clang++ "${common[@]}" "${flags[@]}" -fPIC -shared "${portable[@]}" crypto_bearssl.cpp system_linux.cpp "$work/$kind"/*.o "-I$bearssl/inc" \
		-Wl,-z,nodelete -Wl,--version-script=exports.map -o "$out/addin.so"
	native clang++ "${common[@]}" "${flags[@]}" "${host[@]}" host/library_linux.cpp system_linux.cpp -o "$out/host"
	native clang++ "${common[@]}" "${flags[@]}" "${codec[@]}" crypto_bearssl.cpp "$work/$kind"/*.o "-I$bearssl/inc" -o "$out/codec"
}

case $1 in
bundle) bundle ;;
host)
	zig=$(./toolchain.sh zig)
	"$zig" c++ -target x86_64-linux-gnu.2.17 "${common[@]}" "${lean[@]}" "${host[@]}" host/library_linux.cpp system_linux.cpp -o "$out/host" -ldl -lpthread -s
	mingw x86_64 host64.exe "${host[@]}" host/library_windows.cpp system_windows.cpp
	mingw i686 host32.exe "${host[@]}" host/library_windows.cpp system_windows.cpp
	;;
codec)
	zig=$(./toolchain.sh zig)
	bear codec "$zig" cc -target x86_64-linux-gnu.2.17
	"$zig" c++ -target x86_64-linux-gnu.2.17 "${common[@]}" "${lean[@]}" "${codec[@]}" crypto_bearssl.cpp "$work/codec"/*.o "-I$bearssl/inc" -o "$out/codec" -s
	mingw x86_64 codec64.exe "${codec[@]}" crypto_cng.cpp
	mingw i686 codec32.exe "${codec[@]}" crypto_cng.cpp
	;;
sanitized) sanitized "$2" ;;
fuzz)
	bear fuzz clang -fsanitize=address
	for target in test/fuzz/*.cpp; do
		clang++ "${common[@]}" -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize=vptr -fno-sanitize-recover=undefined "$target" \
			addresses.cpp clientkey.cpp frame.cpp registration.cpp text.cpp crypto_bearssl.cpp "$work/fuzz"/*.o "-I$bearssl/inc" \
			-o "$out/$(basename "$target" .cpp)"
	done
	;;
*)
	sed -n '4,12s/^# \{0,3\}//p' "$0" >&2
	exit 2
	;;
esac
