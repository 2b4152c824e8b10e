#!/usr/bin/env bash
# Proves the tar.gz and its install.sh in fresh roots in which systemd does not run:
# installing, using, upgrading, uninstalling and purging, taking over from the old
# product in the same folder, and a machine without systemd.
#
#   tar.sh NEW.tar.gz OLD.tar.gz
#
# What systemd has to do with it is proven by booted.sh.
. "$(dirname "$0")/lib.sh"
new=$(realpath "$1") old=$(realpath "$2")
own_namespaces "$new" "$old"

fresh_tar_root() {
	fresh_root "$@"
	mount_system
	cp "$here/use.sh" "$here/testdata/keys" "$root/run"
}

version() { basename "$1" | sed 's/^pns4ones-\(.*\)-linux-.*/\1/'; }

unpack() { tar xzf "$1" -C "$root/opt/"; }

# install runs install.sh; what it says is in install.log.
install() { in_root /opt/pns4ones/install.sh "$@" >"$work/install.log" 2>&1 ||
	fail "install.sh $*: $(cat "$work/install.log")"; }

refuses() {
	local what=$1
	shift
	in_root /opt/pns4ones/install.sh "$@" >"$work/install.log" 2>&1 && fail "install.sh $*: not refused"
	expect "$work/install.log" "$what" "install.sh $*"
}

### installing and using
fresh_tar_root use
unpack "$new"
install
expect "$work/install.log" "starts with the system" "install.sh"
installed=$(
	cat <<-FILES
		0755 root root /opt/pns4ones
		0755 root root /opt/pns4ones/pns4ones
		0755 root root /opt/pns4ones/pns4onesadmin
		0750 root pns4ones /etc/pns4ones
		0640 root pns4ones /etc/pns4ones/pns4ones.toml
		0644 root root /etc/systemd/system/pns4ones.service
		0777 root root /etc/systemd/system/multi-user.target.wants/pns4ones.service
		0777 root root /usr/local/bin/pns4onesadmin
		0777 root root /usr/local/share/man/man8/pns4ones.8.gz
	FILES
)
expect_files "installed" <<<"$installed"
in_root sh -c 'test -s /opt/pns4ones/1c/pns4ones-addin-*.zip' || fail "no add-in for 1C"
in_root sh -c 'test -s /opt/pns4ones/1c/pns4ones-1c-*.zip' || fail "no extension for 1C"
start_daemon
in_root /run/use.sh before
proven "used: a message arrives"

### upgrading: the same again, with other files
key=$(in_root pns4onesadmin show before --json | keys)
printf 'log_level = "Error"\n' >>"$root/etc/pns4ones/pns4ones.toml"
stop_daemon
unpack "$old"
install
[ "$(in_root pns4ones -version)" = "pns4ones $(version "$old")" ] ||
	fail "the older version is $(in_root pns4ones -version)"
unpack "$new"
install
[ "$(in_root pns4ones -version)" = "pns4ones $(version "$new")" ] ||
	fail "the upgrade left $(in_root pns4ones -version)"
start_daemon
[ "$(in_root pns4onesadmin show before --json | keys)" = "$key" ] || fail "the upgrade changed the keys"
in_root /run/use.sh before
stop_daemon
expect "$root/etc/pns4ones/pns4ones.toml" 'log_level = "Error"' "settings after the upgrade"
expect_files "upgraded" <<<"$installed"

### uninstalling and purging
refuses "--uninstall" --remove
install --uninstall
expect_files "uninstalled" <<-FILES
	absent /opt/pns4ones/pns4ones
	absent /etc/systemd/system/pns4ones.service
	absent /etc/systemd/system/multi-user.target.wants/pns4ones.service
	absent /usr/local/bin/pns4onesadmin
	absent /usr/local/share/man/man8/pns4ones.8.gz
	0640 root pns4ones /etc/pns4ones/pns4ones.toml
	0600 pns4ones pns4ones /var/lib/pns4ones/pns4ones.db
FILES
install --purge
expect_files "purged" <<-FILES
	absent /opt/pns4ones
	absent /etc/pns4ones
	absent /var/lib/pns4ones
FILES

### taking over from the old product, which lives in the same folder
fresh_tar_root takeover
old_product
printf 'its program\n' >"$root/opt/pns4ones/PNS4OneS"
unpack "$new"
install
expect "$work/install.log" "another service of the same name was stopped" "install.sh"
start_daemon
expect "$work/daemon.log" "pns4ones.ini" "the daemon's greeting"
in_root /run/use.sh 'Склад'
stop_daemon
expect_files "taken over" <<-FILES
	0600 pns4ones pns4ones /etc/pns4ones/pns4ones.ini
	0600 pns4ones pns4ones /etc/pns4ones/keys
	0644 root root /etc/systemd/system/pns4ones.service.replaced
	0644 root root /etc/systemd/system/pns4ones.service
	0777 root root /etc/systemd/system/multi-user.target.wants/pns4ones.service
FILES
install --purge
expect_files "purged, the old product's files stay" <<-FILES
	0600 pns4ones pns4ones /etc/pns4ones/keys
	0644 root root /opt/pns4ones/PNS4OneS
FILES

### settings with a mistake
fresh_tar_root mistake
unpack "$new"
mkdir "$root/etc/pns4ones"
printf 'lissen = "*"\n' >"$root/etc/pns4ones/pns4ones.toml"
refuses "pns4ones.toml:1"
[ ! -e "$root/etc/systemd/system/pns4ones.service" ] || fail "a service was made with settings that do not do"
proven "a mistake in the settings is named, and nothing is started"

### where it must not be
mv "$root/opt/pns4ones" "$root/opt/elsewhere"
in_root /opt/elsewhere/install.sh >"$work/install.log" 2>&1 && fail "installed from elsewhere"
expect "$work/install.log" "/opt/pns4ones" "install.sh elsewhere"
proven "another folder is refused"

### without systemd
fresh_tar_root without
rm "$root/bin/systemctl"
unpack "$new"
install
expect "$work/install.log" "there is no systemd here" "install.sh without systemd"
start_daemon
in_root /run/use.sh
stop_daemon
install --uninstall
proven "without systemd it says what to do instead, and that works"
