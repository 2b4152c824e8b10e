#!/usr/bin/env bash
# Proves the rpm with rpm itself and with dnf, in fresh roots in which systemd does
# not run: rpmlint, installing, using, upgrading, removing, taking over from the old
# product.
#
#   rpm.sh NEW.rpm OLD.rpm
#
# The roots are Debian's: what is missing there of an rpm distribution is stood in
# for by an empty package. Paths and macros of Fedora and RHEL are judged by reading.
. "$(dirname "$0")/lib.sh"
new=$(realpath "$1") old=$(realpath "$2")
need rpm rpmlint dnf createrepo-c
own_namespaces "$new" "$old"

version() { rpm -qp --qf '%{VERSION}' "$1"; }
release() { echo "$(version "$1")-1"; }

# The stand-in provides what the package depends on.
mkdir -p "$work/stand-in"
{
	printf 'Name: stand-in\nVersion: 1\nRelease: 1\nSummary: An rpm distribution\nLicense: none\nBuildArch: noarch\n'
	rpm -qp --requires "$new" | grep -v '^rpmlib' | sed 's/^/Provides: /'
	printf '%%description\nAn rpm distribution.\n%%files\n'
} >"$work/stand-in.spec"
rpmbuild --quiet --define "_rpmdir $work/stand-in" --define "_topdir $work/build" -bb "$work/stand-in.spec" \
	>/dev/null 2>&1 || fail "no stand-in"
standin=$(find "$work/stand-in" -name '*.rpm')

rpm_in_root() { env LC_ALL=C.UTF-8 PNS4ONES_LANG=en rpm --force-debian --root "$root" "$@"; }

# install installs or upgrades.
install() {
	cp "$1" "$root/run/package.rpm"
	rpm_in_root -U "$root/run/package.rpm" >"$work/install.log" 2>&1 ||
		fail "rpm -U $(basename "$1"): $(cat "$work/install.log")"
}

fresh_rpm_root() {
	fresh_root "$@"
	mount_system
	cp "$here/use.sh" "$here/testdata/keys" "$root/run"
	rpm --root "$root" --initdb
	rpm_in_root -i "$standin"
}

### rpmlint
rpmlint -c "$project/packaging/rpm/rpmlint.toml" "$new" >"$work/rpmlint" 2>&1 || fail "rpmlint: $(cat "$work/rpmlint")"
grep -q ' 0 errors, 0 warnings' "$work/rpmlint" || fail "rpmlint: $(cat "$work/rpmlint")"
proven "rpmlint: $(tail -n 1 "$work/rpmlint")"

### installing and using
fresh_rpm_root use
install "$new"
expect_files "installed" <<-FILES
	0750 root pns4ones /etc/pns4ones
	0640 root pns4ones /etc/pns4ones/pns4ones.toml
	0755 root root /usr/bin/pns4ones
	0755 root root /usr/bin/pns4onesadmin
	0644 root root /usr/lib/systemd/system/pns4ones.service
	0644 root root /usr/share/man/man8/pns4ones.8.gz
	0644 root root /usr/share/man/ru/man8/pns4onesadmin.8.gz
	0644 root root /usr/share/zsh/site-functions/_pns4onesadmin
	0644 root root /usr/share/licenses/pns4ones/LICENSE
	0777 root root /etc/systemd/system/multi-user.target.wants/pns4ones.service
	absent /var/lib/pns4ones
FILES
in_root sh -c 'test -s /usr/share/pns4ones/1c/pns4ones-addin-*.zip' || fail "no add-in for 1C"
in_root sh -c 'test -s /usr/share/pns4ones/1c/pns4ones-1c-*.zip' || fail "no extension for 1C"
rpm_in_root -V pns4ones >"$work/verify" || fail "rpm -V: $(cat "$work/verify")"
[ "$(in_root pns4ones -version)" = "pns4ones $(version "$new")" ] || fail "the version is $(in_root pns4ones -version)"
start_daemon
in_root /run/use.sh
stop_daemon
proven "used: a message arrives; rpm -V finds nothing changed"

### removing
rpm_in_root -e pns4ones
expect_files "removed" <<-FILES
	absent /usr/bin/pns4ones
	absent /usr/lib/systemd/system/pns4ones.service
	absent /etc/systemd/system/multi-user.target.wants/pns4ones.service
	0600 pns4ones pns4ones /var/lib/pns4ones/pns4ones.db
FILES

### upgrading, with dnf
fresh_rpm_root upgrade
mkdir -p "$work/repo"
cp "$old" "$standin" "$work/repo"
dnf_in_root() {
	createrepo_c -q "$work/repo" >/dev/null
	PNS4ONES_LANG=en dnf -q -y --installroot="$root" --releasever=1 --repofrompath="local,$work/repo" --repo=local --nogpgcheck \
		--setopt=cachedir="$work/dnf" --setopt=metadata_expire=0 "$@" >"$work/install.log" 2>&1 ||
		fail "dnf $*: $(cat "$work/install.log")"
}
dnf_in_root install pns4ones
printf 'log_level = "Error"\n' >>"$root/etc/pns4ones/pns4ones.toml"
start_daemon
in_root /run/use.sh before
key=$(in_root pns4onesadmin show before --json | keys)
cp "$new" "$work/repo"
dnf_in_root upgrade pns4ones
stop_daemon
start_daemon
[ "$(in_root pns4ones -version)" = "pns4ones $(version "$new")" ] ||
	fail "the upgrade left $(in_root pns4ones -version)"
[ "$(in_root pns4onesadmin show before --json | keys)" = "$key" ] || fail "the upgrade changed the keys"
in_root /run/use.sh before
stop_daemon
expect "$root/etc/pns4ones/pns4ones.toml" 'log_level = "Error"' "settings after the upgrade"
expect_files "upgraded" <<-FILES
	0750 root pns4ones /etc/pns4ones
	0640 root pns4ones /etc/pns4ones/pns4ones.toml
	0600 pns4ones pns4ones /var/lib/pns4ones/pns4ones.db
	0777 root root /etc/systemd/system/multi-user.target.wants/pns4ones.service
FILES
dnf_in_root remove pns4ones
expect_files "removed by dnf" <<-FILES
	absent /usr/bin/pns4ones
	absent /etc/systemd/system/multi-user.target.wants/pns4ones.service
	0600 pns4ones pns4ones /var/lib/pns4ones/pns4ones.db
FILES

### taking over from the old product
fresh_rpm_root takeover
old_product
install "$new"
taken_over
