#!/usr/bin/env bash
# Proves packaging/repository.sh: apt and dnf install and upgrade from what it makes, in
# fresh roots, and refuse what somebody else has touched or signed.
#
#   repository.sh NEW.deb OLD.deb NEW.rpm OLD.rpm
. "$(dirname "$0")/lib.sh"
debs=("$(realpath "$1")" "$(realpath "$2")") rpms=("$(realpath "$3")" "$(realpath "$4")")
need apt-utils createrepo-c rpm dnf gnupg
own_namespaces "${debs[@]}" "${rpms[@]}"

export GNUPGHOME=$work/gnupg
mkdir -m 0700 "$GNUPGHOME"
trap 'gpgconf --kill all' EXIT
for name in packager stranger; do
	gpg --batch --quiet --pinentry-mode loopback --passphrase '' --quick-gen-key "$name@example.com" rsa3072 sign \
		never 2>"$work/gpg.log" || fail "no key: $(cat "$work/gpg.log")"
done
publish() { DIST=$1 "$project/packaging/repository.sh" "$2@example.com" "$work/repository" "file:///repository" \
	>"$work/publish.log" 2>&1 || fail "repository.sh: $(cat "$work/publish.log")"; }

# What an rpm distribution would have, as in rpm.sh.
{
	printf 'Name: stand-in\nVersion: 1\nRelease: 1\nSummary: An rpm distribution\nLicense: none\nBuildArch: noarch\n'
	rpm -qp --requires "${rpms[0]}" | grep -v '^rpmlib' | sed 's/^/Provides: /'
	printf '%%description\nAn rpm distribution.\n%%files\n'
} >"$work/stand-in.spec"
mkdir "$work/old" "$work/new"
rpmbuild --quiet --define "_rpmdir $work/stand-in" --define "_topdir $work/build" -bb "$work/stand-in.spec" \
	>/dev/null 2>&1 || fail "no stand-in"
cp "$work"/stand-in/*/*.rpm "${debs[1]}" "${rpms[1]}" "$work/old"
cp "${debs[0]}" "${rpms[0]}" "$work/new"
publish "$work/old" packager

### apt
fresh_root apt
mount_system
mkdir -p "$root/repository" "$root/etc/apt/keyrings"
mount --bind "$work/repository" "$root/repository"
cp "$work/repository/pns4ones.asc" "$root/etc/apt/keyrings"
rm -f "$root/etc/apt/sources.list"
cp "$work/repository/pns4ones.sources" "$root/etc/apt/sources.list.d"
apt_in_root() { in_root apt-get -q -y -o APT::Sandbox::User=root "$@" >"$work/apt.log" 2>&1; }
apt_in_root update || fail "apt-get update: $(cat "$work/apt.log")"
apt_in_root install --no-install-recommends pns4ones || fail "apt-get install: $(cat "$work/apt.log")"
[ "$(in_root pns4ones -version)" = "pns4ones $(dpkg-deb -f "${debs[1]}" Version)" ] ||
	fail "apt installed $(in_root pns4ones -version)"
publish "$work/new" packager
apt_in_root update || fail "apt-get update: $(cat "$work/apt.log")"
apt_in_root upgrade || fail "apt-get upgrade: $(cat "$work/apt.log")"
[ "$(in_root pns4ones -version)" = "pns4ones $(dpkg-deb -f "${debs[0]}" Version)" ] ||
	fail "apt upgraded to $(in_root pns4ones -version)"
in_root apt-cache madison pns4ones | grep -q "$(dpkg-deb -f "${debs[1]}" Version)" ||
	fail "the version before is not there any more"
proven "apt installs and upgrades, signed-by the packager's key"

### dnf
fresh_root dnf
mount_system
rpm --root "$root" --initdb
mkdir "$work/repos.d"
sed "s,file:///repository,file://$work/repository," "$work/repository/pns4ones.repo" >"$work/repos.d/pns4ones.repo"
dnf_in_root() {
	PNS4ONES_LANG=en dnf -q -y --installroot="$root" --releasever=1 --setopt=reposdir="$work/repos.d" --setopt=cachedir="$root.cache" --setopt=metadata_expire=0 \
		"$@" >"$work/dnf.log" 2>&1
}
# dnf reads the key from the root when there is one.
mkdir -p "$root$work"
mkdir "$root$work/repository"
mount --bind "$work/repository" "$root$work/repository"
before=$(rpm -qp --qf '%{VERSION}' "${rpms[1]}") after=$(rpm -qp --qf '%{VERSION}' "${rpms[0]}")
dnf_in_root install "pns4ones-$before" || fail "dnf install: $(cat "$work/dnf.log")"
[ "$(in_root pns4ones -version)" = "pns4ones $before" ] || fail "dnf installed $(in_root pns4ones -version)"
dnf_in_root upgrade pns4ones || fail "dnf upgrade: $(cat "$work/dnf.log")"
[ "$(in_root pns4ones -version)" = "pns4ones $after" ] || fail "dnf upgraded to $(in_root pns4ones -version)"
proven "dnf installs and upgrades, packages and lists signed"

### what is refused
echo >>"$work/repository/deb/dists/stable/InRelease"
sed -i 's/^Suite: stable/Suite: stabel/' "$work/repository/deb/dists/stable/InRelease" \
	"$work/repository/deb/dists/stable/Release"
root=$work/apt/root
in_root sh -c 'rm -rf /var/lib/apt/lists/*'
apt_in_root update && ! grep -q '^[EW]: .*sign' "$work/apt.log" &&
	fail "apt takes a list that was touched: $(cat "$work/apt.log")"
publish "$work/new" stranger # signs all lists anew
in_root sh -c 'rm -rf /var/lib/apt/lists/*'
apt_in_root update && ! grep -q 'NO_PUBKEY' "$work/apt.log" &&
	fail "apt takes the list of a stranger: $(cat "$work/apt.log")"
gpg --armor --export packager@example.com >"$work/repository/pns4ones.asc"
fresh_root dnf-again
mount_system
rpm --root "$root" --initdb
mkdir -p "$root$work/repository"
mount --bind "$work/repository" "$root$work/repository"
dnf_in_root install pns4ones && fail "dnf takes the list of a stranger"
in_root test ! -e /usr/bin/pns4ones || fail "dnf installed what a stranger had signed"
proven "lists that were touched, and those of a stranger, are refused by both"
