#!/usr/bin/env bash
# Makes of the packages in dist/ a repository for apt and one for dnf, both signed, or
# adds them to one that is there.
#
#   packaging/repository.sh KEY FOLDER [URL]
#
# KEY is a secret key of gpg, by fingerprint or address. FOLDER becomes what a web server
# gives out at URL: deb/ and rpm/, the public key pns4ones.asc, and the files that name
# the repository to a machine, pns4ones.sources and pns4ones.repo. DIST=… takes the
# packages from another folder. Needs dpkg-deb, apt-ftparchive (apt-utils), createrepo_c
# (createrepo-c), rpmsign (rpm) and gpg; prints what is missing before it begins.
set -euo pipefail
[ $# -ge 2 ] || {
	sed -n '2,12s/^# \{0,1\}//p' "$0" >&2
	exit 2
}
key=$1 folder=$2 url=${3:-https://packages.example.com/pns4ones}
dist=$(realpath "${DIST:-$(dirname "$0")/../dist}")
umask 022
export LC_ALL=C.UTF-8

missing=
for tool in dpkg-deb:dpkg apt-ftparchive:apt-utils createrepo_c:createrepo-c rpmsign:rpm gpg:gnupg; do
	command -v "${tool%%:*}" >/dev/null || missing+=" ${tool%%:*} (${tool##*:})"
done
[ -z "$missing" ] || {
	echo "repository.sh: missing$missing" >&2
	exit 1
}
gpg --batch --list-secret-keys "$key" >/dev/null 2>&1 || {
	echo "repository.sh: gpg has no secret key $key" >&2
	exit 1
}
shopt -s nullglob
debs=("$dist"/*.deb) rpms=("$dist"/*.rpm)
[ ${#debs[@]} -gt 0 ] || [ ${#rpms[@]} -gt 0 ] || {
	echo "repository.sh: there is no deb and no rpm in $dist: packaging/build.sh deb rpm makes them" >&2
	exit 1
}

mkdir -p "$folder"/{deb/pool,rpm}
folder=$(realpath "$folder")
gpg --batch --yes --armor --export "$key" >"$folder/pns4ones.asc"
sign() { gpg --batch --yes --local-user "$key" --digest-algo SHA512 "$@"; }

# apt: the lists of each architecture, and Release, which has their sums and is signed.
# It tells architectures apart by the names of files.
for deb in "${debs[@]}"; do
	# shellcheck disable=SC2016 # dpkg-deb's own names
	cp "$deb" "$folder/deb/pool/$(dpkg-deb -W --showformat '${Package}_${Version}_${Architecture}' "$deb").deb"
done
(
	cd "$folder/deb"
	for arch in amd64 arm64; do
		lists=dists/stable/main/binary-$arch
		mkdir -p "$lists"
		apt-ftparchive --arch "$arch" packages pool >"$lists/Packages"
		gzip -n9 <"$lists/Packages" >"$lists/Packages.gz"
	done
	rm -f dists/stable/{InRelease,Release,Release.gpg}
	apt-ftparchive -o APT::FTPArchive::Release::Origin=pns4ones -o APT::FTPArchive::Release::Label=pns4ones \
		-o APT::FTPArchive::Release::Suite=stable -o APT::FTPArchive::Release::Codename=stable \
		-o APT::FTPArchive::Release::Components=main -o APT::FTPArchive::Release::Architectures='amd64 arm64' \
		release dists/stable >dists/Release
	mv dists/Release dists/stable/Release
	sign --clearsign --output dists/stable/InRelease dists/stable/Release
	sign --armor --detach-sign --output dists/stable/Release.gpg dists/stable/Release
)

# dnf: each package is signed, and the list of them. One that is there stays as it is.
for rpm in "${rpms[@]}"; do
	[ ! -e "$folder/rpm/$(basename "$rpm")" ] || continue
	cp "$rpm" "$folder/rpm/.new"
	rpmsign --define "_gpg_name $key" --define "__gpg $(command -v gpg)" --addsign "$folder/rpm/.new" >/dev/null
	mv "$folder/rpm/.new" "$folder/rpm/$(basename "$rpm")"
done
createrepo_c --quiet --update "$folder/rpm" >/dev/null
sign --armor --detach-sign --output "$folder/rpm/repodata/repomd.xml.asc" "$folder/rpm/repodata/repomd.xml"

cat >"$folder/pns4ones.sources" <<SOURCES
Types: deb
URIs: $url/deb
Suites: stable
Components: main
Signed-By: /etc/apt/keyrings/pns4ones.asc
SOURCES
cat >"$folder/pns4ones.repo" <<REPO
[pns4ones]
name=pns4ones
baseurl=$url/rpm
enabled=1
gpgcheck=1
repo_gpgcheck=1
gpgkey=$url/pns4ones.asc
REPO
echo "repository.sh: ${#debs[@]} deb, ${#rpms[@]} rpm in $folder, for $url"
