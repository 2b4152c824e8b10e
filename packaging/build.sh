#!/usr/bin/env bash
# Builds what is given to users into dist/: deb and rpm packages and archives for
# Linux (amd64, arm64), images for containers, the archive and the installer for
# Windows; beside each of them what it is made of (CycloneDX); and their SHA256SUMS.
# Two builds of one commit are the same, byte for byte.
#
#   packaging/build.sh                 all of it
#   packaging/build.sh deb tar         only these: deb rpm tar oci windows
#   packaging/build.sh --without-1c …  without add-in and extension for 1C, which need
#                                      C++ compilers; the names of the files say so
#
# What is missing here is said before anything is built. Asked for all of it, the
# script then builds what it can, and ends with 1; asked for a format, it builds nothing.
#
# ARCHES="amd64" leaves out the other one, VERSION=… names another version, DIST=…
# another folder, ADDIN_BUNDLE=… an add-in that is built already. Needs go, git, gzip,
# jq and tar; for Windows also makensis and python3; for the add-in what
# packaging/1c/addin/toolchain.sh tells.
set -euo pipefail
cd "$(dirname "$0")/.."

without_1c=''
if [ "${1:-}" = --without-1c ]; then
	without_1c=-no1c
	shift
fi
formats=${*:-deb rpm tar oci windows}
arches=${ARCHES:-amd64 arm64}
dist=${DIST:-dist}
packager='pns4ones developers <pns4ones@users.noreply.github.com>'
nfpm=github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.44.0 # later ones need modules that not every registry has

# absent prints which of the tools are not here, and the Debian package of each.
absent() {
	local tool missing=()
	for tool; do
		command -v "${tool%%:*}" >/dev/null || missing+=("${tool%%:*} (${tool##*:})")
	done
	[ ${#missing[@]} -eq 0 ] || echo "${missing[*]}"
}

# tools checks for what a format needs, and adapts $formats and $without_1c if all was
# asked for.
left_out=
tools() {
	local missing format possible='' asked=$1
	missing=$(absent go:golang-go git:git gzip:gzip tar:tar jq:jq sha256sum:coreutils)
	if [ -n "$missing" ]; then
		echo "build.sh: nothing can be built: missing $missing" >&2
		exit 1
	fi
	for format in $formats; do
		case $format in
		deb | rpm | tar | oci) missing= ;;
		windows) missing=$(absent makensis:nsis python3:python3) ;;
		*)
			echo "build.sh: unknown format $format: expected deb, rpm, tar, oci or windows" >&2
			exit 2
			;;
		esac
		if [ -z "$missing" ]; then
			possible+="$format "
			continue
		fi
		echo "build.sh: $format cannot be built: missing $missing" >&2
		left_out+="$format "
	done
	if [ -z "$without_1c" ] && [ -z "${ADDIN_BUNDLE:-}" ] && ! packaging/1c/addin/toolchain.sh; then
		echo "build.sh: the add-in for 1C cannot be built. packaging/1c/addin/toolchain.sh install gets what is missing; --without-1c leaves the add-in out." >&2
		left_out+='the add-in'
		without_1c=-no1c
	fi
	[ -z "$left_out" ] || [ -z "$asked" ] || exit 1
	formats=${possible% }
}
tools "$*"

# The version is that of the tag. Between tags it sorts before the one that the top of
# CHANGELOG.md is about, or else after the last one; by the time of the commit.
commit_version() {
	local dirty='' tag next
	[ -z "$(git status --porcelain)" ] || dirty=.dirty
	tag=$(git describe --tags --match 'v[0-9]*' --abbrev=0 2>/dev/null || echo v0.0.0)
	if [ -z "$dirty" ] && [ "$(git rev-list -n 1 "$tag" 2>/dev/null)" = "$(git rev-parse HEAD)" ]; then
		echo "${tag#v}"
		return
	fi
	next=$(packaging/changelog.sh next)
	next=${next:+$next~}
	echo "${next:-${tag#v}+}git$(TZ=UTC git log -1 --format=%cd --date=format-local:%Y%m%d%H%M%S).$(git rev-parse --short=8 HEAD)$dirty"
}
VERSION=${VERSION:-$(commit_version)}
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export VERSION SOURCE_DATE_EPOCH TZ=UTC LC_ALL=C.UTF-8
umask 022

mkdir -p "$dist"
dist=$(cd "$dist" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# addin puts the bundle of the add-in into a folder, and the extension for 1C that has
# it inside. The bundle has a version of its own: to 1C each other name is another
# add-in.
addin() {
	mkdir -p "$1"
	if [ -n "${ADDIN_BUNDLE:-}" ]; then
		cp "$ADDIN_BUNDLE" "$1"
	else
		packaging/1c/addin/build.sh bundle "$work/addin"
		cp "$work/addin"/pns4ones-addin-*.zip "$1"
	fi
	go run ./packaging/1c/pack "$1"/pns4ones-addin-*.zip "$1/pns4ones-1c-$VERSION.zip"
}

# compile builds both programs for a system into a folder.
compile() {
	local os=$1 arch=$2 folder=$3 name
	mkdir -p "$folder"
	for name in pns4ones pns4onesadmin; do
		CGO_ENABLED=0 GOOS=$os GOARCH=$arch go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$VERSION" \
			-o "$folder/$name$([ "$os" != windows ] || echo .exe)" "./cmd/$name"
	done
}

# licenses collects those of all modules that are part of the programs, as they ask.
licenses() {
	local modules path version folder file
	modules=$(go list -deps -f '{{with .Module}}{{if .Version}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}' ./cmd/pns4ones ./cmd/pns4onesadmin | sort -u)
	while read -r path version folder; do
		printf '%s\n%s %s\n%s\n\n' "$(printf '=%.0s' {1..78})" "$path" "$version" "$(printf '=%.0s' {1..78})"
		for file in "$folder"/LICEN[CS]E* "$folder"/COPYING* "$folder"/NOTICE* "$folder"/PATENTS*; do
			[ ! -f "$file" ] || { tr -d '\r' <"$file"; echo; }
		done
	done <<<"$modules"
	if [ -z "$without_1c" ]; then
		printf '%s\nBearSSL, in the add-in for 1C on Linux\n%s\n' "$(printf '=%.0s' {1..78})" "$(printf '=%.0s' {1..78})"
		cat packaging/1c/addin/third_party/bearssl/LICENSE.txt
	fi
}

# stage makes what does not depend on the processor: settings, manual, man pages,
# completions, all with the time of the commit.
stage() {
	local here=$work/stage admin=$work/native/pns4onesadmin name
	compile "$(go env GOHOSTOS)" "$(go env GOHOSTARCH)" "$work/native"
	mkdir -p "$here"/{doc,man,completions}
	{
		cat packaging/linux/pns4ones.toml.head
		# No settings of this machine are read; what lies beside them by default is shown where it will be.
		STATE_DIRECTORY=/var/lib/pns4ones RUNTIME_DIRECTORY=/run/pns4ones CONFIGURATION_DIRECTORY="$work/nothing" \
			"$work/native/pns4ones" -print_config | sed "s,$work/nothing/,/etc/pns4ones/,"
	} >"$here/pns4ones.toml"
	"$admin" man "$here/man" >/dev/null
	find "$here/man" -type f -exec gzip -n9 {} +
	"$admin" completion bash >"$here/completions/pns4onesadmin"
	"$admin" completion zsh >"$here/completions/_pns4onesadmin"
	"$admin" completion fish >"$here/completions/pns4onesadmin.fish"

	cp -R packaging/doc/. "$here/doc"
	rm "$here/doc/readme.ru.md" # tells of the source
	cp -R packaging/panel/pictures "$here/doc/pictures"
	mkdir "$here/doc/monitoring"
	cp packaging/monitoring/{alerts.yml,grafana.json,grafana.ru.json,zabbix.json,zabbix.ru.json} "$here/doc/monitoring"
	cp packaging/oci/compose.yaml "$here/doc"
	find "$here/doc" -name '*.md' -exec sed -i 's,\.\./\.\./panel/pictures/,../pictures/,g; s,\.\./\.\./oci/compose,../compose,g' {} +
	cp LICENSE "$here/LICENSE"
	[ -n "$without_1c" ] || addin "$here/1c"
	licenses >"$here/doc/third-party-licenses.txt"
	gzip -n9 "$here/doc/third-party-licenses.txt"
	packaging/changelog.sh deb "$VERSION" "$packager" | gzip -n9 >"$here/changelog.gz"
	packaging/changelog.sh rpm "$VERSION" "$packager" >"$here/changelog.yaml"
	for name in deb/preinst deb/postinst deb/prerm deb/postrm rpm/pre rpm/post rpm/preun rpm/postun tar/install.sh; do
		mkdir -p "$here/${name%/*}"
		sed -e '/^# shared: setup.sh/{r packaging/scripts/setup.sh' -e 'd}' "packaging/$name" >"$here/$name"
		chmod 755 "$here/$name"
	done
	find "$here" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
}

# parts writes what a package is made of, going by the programs in it.
addin_version=
[ -n "$without_1c" ] || addin_version=$(cat packaging/1c/addin/VERSION)
parts() {
	local package=$1
	shift
	packaging/sbom.sh "$package" "$VERSION" "$addin_version" "$@" >"$package.cdx.json"
}

# documents lists the files of a folder of the stage for a package. An rpm knows
# which of its files are documents.
documents() {
	local format=$1 from=$work/stage/$2 to=$3 type='' file
	[ "$format" != rpm ] || type='type: doc, '
	(cd "$from" && find . -type f -printf '%P\n' | sort) | while read -r file; do
		printf '  - {src: "%s", dst: "%s", %sfile_info: {mode: 0644}}\n' "$from/$file" "$to/$file" "$type"
	done
}

# package makes a deb or an rpm.
package() {
	local format=$1 arch=$2
	sed -e "s|\${STAGE}|$work/stage|g; s|\${BIN}|$work/linux-$arch|g; s|\${ARCH}|$arch|g; s|\${VERSION}|$VERSION|g" \
		-e "s|\${RELEASE}|$([ "$format" = deb ] || echo 1)|g" packaging/nfpm.yaml >"$work/nfpm.yaml"
	if [ "$format" = rpm ]; then
		printf 'changelog: %s\n' "$work/stage/changelog.yaml" | cat - "$work/nfpm.yaml" >"$work/rpm.yaml"
		mv "$work/rpm.yaml" "$work/nfpm.yaml"
	fi
	documents "$format" man /usr/share/man >>"$work/nfpm.yaml"
	documents "$format" doc /usr/share/doc/pns4ones >>"$work/nfpm.yaml"
	[ -n "$without_1c" ] || documents files 1c /usr/share/pns4ones/1c >>"$work/nfpm.yaml"
	mkdir -p "$work/package"
	"$work/nfpm" package --config "$work/nfpm.yaml" --packager "$format" --target "$work/package/" >"$work/nfpm.log" || {
		cat "$work/nfpm.log" >&2
		return 1
	}
	local file
	for file in "$work/package"/*."$format"; do
		mv "$file" "$dist/$(basename "$file" ".$format")$without_1c.$format"
		parts "$dist/$(basename "$file" ".$format")$without_1c.$format" "$work/linux-$arch"/*
	done
}

# archive makes the tar.gz that is unpacked into /opt.
archive() {
	local arch=$1
	local top=$work/tar-$arch/pns4ones
	mkdir -p "$top"
	cp -R "$work/linux-$arch/." "$work/stage/doc" "$work/stage/man" "$work/stage/completions" "$work/stage/pns4ones.toml" "$work/stage/LICENSE" "$work/stage/tar/install.sh" "$top"
	[ -n "$without_1c" ] || cp -R "$work/stage/1c" "$top"
	mkdir "$top/systemd"
	sed 's,/usr/bin/,/opt/pns4ones/,g' packaging/linux/pns4ones.service >"$top/systemd/pns4ones.service"
	cp packaging/linux/pns4ones.sysusers "$top/systemd/pns4ones.conf"
	tar --create --sort=name --format=gnu --owner=root:0 --group=root:0 --mtime="@$SOURCE_DATE_EPOCH" --mode=u=rwX,go=rX \
		-C "$work/tar-$arch" pns4ones | gzip -n9 >"$dist/pns4ones-$VERSION-linux-$arch$without_1c.tar.gz"
	parts "$dist/pns4ones-$VERSION-linux-$arch$without_1c.tar.gz" "$work/linux-$arch"/*
}

# image makes one for containers. The add-in is not in it.
image() {
	local file=$dist/pns4ones-$VERSION-oci-$1.tar addin_version=
	packaging/oci/build.sh "$work/linux-$1" "$work/stage" "$file" "$VERSION" "$1"
	parts "$file" "$work/linux-$1"/*
}

stage
case " $formats " in
*" deb "* | *" rpm "*)
	GOFLAGS='' GOBIN=$work GOOS='' GOARCH='' go install "$nfpm"
	;;
esac
for arch in $arches; do
	case " $formats " in *" deb "* | *" rpm "* | *" tar "* | *" oci "*) compile linux "$arch" "$work/linux-$arch" ;; esac
done
for format in $formats; do
	case $format in
	deb | rpm) for arch in $arches; do package "$format" "$arch"; done ;;
	tar) for arch in $arches; do archive "$arch"; done ;;
	oci) for arch in $arches; do image "$arch"; done ;;
	windows)
		compile windows amd64 "$work/windows"
		cp -R "$work/stage/doc" "$work/stage/pns4ones.toml" "$work/stage/LICENSE" "$work/windows"
		[ -n "$without_1c" ] || cp -R "$work/stage/1c" "$work/windows"
		packaging/windows/build.sh "$work/windows" "$dist" "$VERSION" "$without_1c"
		for file in "$dist/pns4ones-$VERSION-windows-amd64$without_1c"{.zip,-setup.exe}; do parts "$file" "$work/windows"/*.exe; done
		;;
	esac
done
bundle=
if [ -z "$without_1c" ]; then
	cp "$work/stage/1c"/*.zip "$dist"
	bundle=$(basename "$work/stage/1c"/pns4ones-addin-*.zip)
fi
# shellcheck disable=SC2086
(cd "$dist" && sha256sum -- *"$VERSION"* $bundle >SHA256SUMS && cat SHA256SUMS)
if [ -n "$left_out" ]; then
	echo "build.sh: left out for want of tools: $left_out" >&2
	exit 1
fi
