#!/usr/bin/env bash
# Proves the deb in fresh Debian roots in which systemd does not run: lintian, man pages,
# installing, using, upgrading, removing and purging it, taking over from the old
# product, and what can go wrong.
#
#   deb.sh NEW.deb OLD.deb
#
# What systemd has to do with it is proven by booted.sh.
. "$(dirname "$0")/lib.sh"
new=$(realpath "$1") old=$(realpath "$2")
need lintian man-db groff-base
own_namespaces "$new" "$old"

version() { dpkg-deb -f "$1" Version; }

# install installs a package that fresh_deb_root has put there; what was said is in
# install.log.
install() { in_root dpkg -i "/run/$1.deb" >"$work/install.log" 2>&1 || fail "dpkg -i $1: $(cat "$work/install.log")"; }

fresh_deb_root() {
	fresh_root "$@"
	mount_system
	cp "$new" "$root/run/new.deb"
	cp "$old" "$root/run/old.deb"
	cp "$here/use.sh" "$here/testdata/keys" "$root/run"
}

### lintian
lintian --allow-root --fail-on error,warning --profile debian "$new" >"$work/lintian" 2>&1 ||
	fail "lintian: $(cat "$work/lintian")"
proven "lintian: $(grep -c . "$work/lintian" || true) tags"

### man pages
dpkg-deb -x "$new" "$work/files"
"$here/man.sh" "$work/files/usr/share/man"

### installing and using
fresh_deb_root use
install new
expect_files "installed" <<-FILES
	0750 root pns4ones /etc/pns4ones
	0640 root pns4ones /etc/pns4ones/pns4ones.toml
	0755 root root /usr/bin/pns4ones
	0755 root root /usr/bin/pns4onesadmin
	0644 root root /usr/lib/systemd/system/pns4ones.service
	0644 root root /usr/lib/sysusers.d/pns4ones.conf
	0644 root root /usr/share/man/man8/pns4ones.8.gz
	0644 root root /usr/share/man/man8/pns4onesadmin.8.gz
	0644 root root /usr/share/man/man5/pns4ones.toml.5.gz
	0644 root root /usr/share/man/ru/man8/pns4onesadmin.8.gz
	0644 root root /usr/share/bash-completion/completions/pns4onesadmin
	0644 root root /usr/share/zsh/vendor-completions/_pns4onesadmin
	0644 root root /usr/share/fish/vendor_completions.d/pns4onesadmin.fish
	0644 root root /usr/share/doc/pns4ones/copyright
	0777 root root /etc/systemd/system/multi-user.target.wants/pns4ones.service
	absent /var/lib/pns4ones
FILES
in_root sh -c 'test -s /usr/share/pns4ones/1c/pns4ones-addin-*.zip' || fail "no add-in for 1C"
in_root sh -c 'test -s /usr/share/pns4ones/1c/pns4ones-1c-*.zip' || fail "no extension for 1C"
[ "$(in_root pns4ones -version)" = "pns4ones $(version "$new")" ] || fail "the version is $(in_root pns4ones -version)"
in_root runuser -u nobody -- cat /etc/pns4ones/pns4ones.toml >/dev/null 2>&1 && fail "nobody can read the settings"
start_daemon
in_root /run/use.sh
stop_daemon
proven "used: a message arrives"
expect_files "used" <<-FILES
	0700 pns4ones pns4ones /var/lib/pns4ones
	0600 pns4ones pns4ones /var/lib/pns4ones/pns4ones.db
FILES

### removing and purging
in_root dpkg -r pns4ones >/dev/null
expect_files "removed" <<-FILES
	absent /usr/bin/pns4ones
	absent /usr/lib/systemd/system/pns4ones.service
	0640 root pns4ones /etc/pns4ones/pns4ones.toml
	0600 pns4ones pns4ones /var/lib/pns4ones/pns4ones.db
FILES
in_root dpkg -P pns4ones >/dev/null 2>&1
expect_files "purged" <<-FILES
	absent /etc/pns4ones
	absent /var/lib/pns4ones
	absent /etc/systemd/system/multi-user.target.wants/pns4ones.service
FILES

### upgrading
fresh_deb_root upgrade
install old
printf 'log_level = "Error"\n' >>"$root/etc/pns4ones/pns4ones.toml"
start_daemon
in_root /run/use.sh before
key=$(in_root pns4onesadmin show before --json | keys)
install new
in_root pns4onesadmin status --json | grep -qF "\"$(version "$old")\"" ||
	fail "the upgrade stopped a daemon that it does not manage"
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
FILES

### a disk that is full while upgrading
fresh_deb_root full 64m
install old
start_daemon
in_root /run/use.sh before
stop_daemon
head -c 100m /dev/zero >"$root/filler" 2>/dev/null || true
in_root dpkg -i /run/new.deb >"$work/install.log" 2>&1 && fail "the disk was not full"
expect "$work/install.log" "No space left on device" "a full disk"
rm "$root/filler"
[ "$(in_root pns4ones -version)" = "pns4ones $(version "$old")" ] ||
	fail "a full disk left $(in_root pns4ones -version)"
start_daemon
in_root /run/use.sh before
stop_daemon
proven "a full disk: the old version still starts, with its keys"

### taking over from the old product
fresh_deb_root takeover
old_product
install new
taken_over
in_root dpkg -P pns4ones >"$work/purge.log" 2>&1
expect "$work/purge.log" "left in /etc/pns4ones" "purging beside the old product's files"
expect_files "purged, the old product's files stay" <<-FILES
	0600 pns4ones pns4ones /etc/pns4ones/pns4ones.ini
	0600 pns4ones pns4ones /etc/pns4ones/keys
	absent /etc/pns4ones/pns4ones.toml
FILES

### old settings with an unknown key
fresh_deb_root unknown
mkdir -p "$root/etc/pns4ones"
printf 'listen=localhost\nlissen=*\n' >"$root/etc/pns4ones/pns4ones.ini"
install new
expect "$work/install.log" "pns4ones.ini:2" "the log of the installation names file and line"
expect "$work/install.log" "lissen" "the log of the installation names the key"
expect "$work/install.log" "not started" "the log of the installation says that nothing was started"
in_root pns4ones -check >"$work/check" 2>&1 && fail "-check passes an unknown key"
expect "$work/check" "pns4ones.ini:2" "-check"
[ "$(in_root dpkg-query -W -f '${Status}' pns4ones)" = "install ok installed" ] || fail "the package is half installed"
[ "$(cat "$root/etc/pns4ones/pns4ones.ini")" = "$(printf 'listen=localhost\nlissen=*')" ] ||
	fail "the old settings were changed"
sed -i 2d "$root/etc/pns4ones/pns4ones.ini"
in_root pns4ones -check >/dev/null || fail "the mended settings are refused"
proven "an unknown key in the old settings is named; nothing is lost or half done"
