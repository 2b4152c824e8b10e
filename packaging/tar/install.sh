#!/bin/sh
# Installs pns4ones from this folder, /opt/pns4ones, as a service; run again after
# another version was unpacked, it upgrades.
#
#   install.sh                installs or upgrades, and starts the service
#   install.sh --uninstall    removes the service and the programs, keeps settings and data
#   install.sh --purge        removes those as well
set -e
program=/opt/pns4ones
# shared: setup.sh

fail() {
	say "$*" >&2
	exit 1
}

usage() {
	sed -n '2,8s/^# \{0,1\}//p' "$0"
	exit "$1"
}

action=install
case "$#-$1" in
0-) ;;
1---uninstall) action=uninstall ;;
1---purge) action=purge ;;
1--h | 1---help) usage 0 ;;
*) usage 2 >&2 ;;
esac

[ "$(id -u)" = 0 ] || fail "installing takes root: sudo $0 $*"
here=$(cd "$(dirname "$0")" && pwd -P)
[ "$here" = "$program" ] || fail "this folder must be $program: tar xzf pns4ones-*.tar.gz -C /opt/"
if [ -e /usr/bin/pns4ones ]; then
	fail "a package of pns4ones is installed. Remove it first (apt remove pns4ones, or dnf remove pns4ones); settings and data stay."
fi

# Programs that are found without their folder, their manual pages, and the
# completion of the shell.
links='
/usr/local/bin/pns4ones /opt/pns4ones/pns4ones
/usr/local/bin/pns4onesadmin /opt/pns4ones/pns4onesadmin
/usr/local/share/man/man8/pns4ones.8.gz /opt/pns4ones/man/man8/pns4ones.8.gz
/usr/local/share/man/man8/pns4onesadmin.8.gz /opt/pns4ones/man/man8/pns4onesadmin.8.gz
/usr/local/share/man/man5/pns4ones.toml.5.gz /opt/pns4ones/man/man5/pns4ones.toml.5.gz
/usr/local/share/man/ru/man8/pns4ones.8.gz /opt/pns4ones/man/ru/man8/pns4ones.8.gz
/usr/local/share/man/ru/man8/pns4onesadmin.8.gz /opt/pns4ones/man/ru/man8/pns4onesadmin.8.gz
/usr/local/share/man/ru/man5/pns4ones.toml.5.gz /opt/pns4ones/man/ru/man5/pns4ones.toml.5.gz
/usr/local/share/bash-completion/completions/pns4onesadmin /opt/pns4ones/completions/pns4onesadmin
'

each_link() {
	echo "$links" | while read -r link target; do
		[ -z "$link" ] || "$1" "$link" "$target"
	done
}

make_link() {
	if [ -L "$1" ] || [ ! -e "$1" ]; then
		mkdir -p "$(dirname "$1")"
		ln -sfn "$2" "$1"
	else
		say "$1 is there already and was left alone."
	fi
}

remove_link() {
	if [ "$(readlink "$1")" = "$2" ]; then
		rm "$1"
	fi
}

install_files() {
	# Whoever packed the archive, nobody but root may change what root starts.
	chown -R root:root "$program"
	chmod -R go-w "$program"
	each_link make_link
	make_user
	# Only into a folder that nobody else writes: a link there would be followed.
	if settings_are_ours && [ ! -e "$settings/pns4ones.toml" ] && [ ! -L "$settings/pns4ones.toml" ]; then
		cp "$program/pns4ones.toml" "$settings/pns4ones.toml"
	fi
	secure_settings
}

without_systemd() {
	[ ! -L /var/lib/pns4ones ] || fail "/var/lib/pns4ones is a link. Make it a folder, and run $0 again."
	mkdir -p /var/lib/pns4ones
	chown -h "$user:$group" /var/lib/pns4ones
	chmod 0700 /var/lib/pns4ones
	say "there is no systemd here. Have your service manager start, as the user $user and with 1000000 open files:"
	say "  env STATE_DIRECTORY=/var/lib/pns4ones RUNTIME_DIRECTORY=/run/pns4ones $program/pns4ones"
	say "with a folder /run/pns4ones of that user, mode 0750. SIGTERM ends it, SIGHUP has it read its settings again."
}

install_service() {
	first=
	if foreign_unit; then
		replace_foreign_unit
		first=yes
	elif [ ! -e "/etc/systemd/system/$unit" ]; then
		first=yes
	fi
	cp "$program/systemd/pns4ones.service" "/etc/systemd/system/$unit.new"
	chmod 0644 "/etc/systemd/system/$unit.new"
	mv "/etc/systemd/system/$unit.new" "/etc/systemd/system/$unit"
	[ -z "$first" ] || systemctl enable "$unit" >/dev/null 2>&1 || true
	if ! systemd_runs; then
		say "systemd is not running: the service starts with the system."
		return
	fi
	systemctl daemon-reload
	if [ -n "$first" ]; then
		systemctl start "$unit" >/dev/null 2>&1 || { tell_failure; exit 1; }
		say "installed and started: systemctl status pns4ones"
	elif systemctl --quiet is-active "$unit"; then
		systemctl restart "$unit" >/dev/null 2>&1 || { tell_failure; exit 1; }
		say "upgraded and started again: systemctl status pns4ones"
	else
		say "upgraded. The service was not running and is not started: systemctl start pns4ones"
	fi
	say "what to do next: pns4onesadmin create 'My infobase'; pns4onesadmin tui"
}

uninstall() {
	if [ -f "/etc/systemd/system/$unit" ] && own_unit; then
		if systemd_runs; then
			systemctl disable --now "$unit" >/dev/null 2>&1 || true
		else
			rm -f "/etc/systemd/system/multi-user.target.wants/$unit"
		fi
		rm -f "/etc/systemd/system/$unit"
		! systemd_runs || systemctl daemon-reload
	fi
	each_link remove_link
	if [ "$action" = purge ]; then
		rm -rf /var/lib/pns4ones
		rm -f "$settings/pns4ones.toml" 2>/dev/null || true # a folder is named below
		# What is not ours stays: certificates, the old product's settings and keys.
		if [ -d "$settings" ] && ! rmdir "$settings" 2>/dev/null; then
			say "left in $settings: $(ls -q "$settings")"
		fi
		say "removed, with its data."
	else
		say "removed. Settings and data are kept: $settings, /var/lib/pns4ones. To remove them as well: $0 --purge"
	fi
	# An old product in the same folder keeps its files.
	for name in 1c completions doc man systemd LICENSE pns4ones pns4onesadmin pns4ones.toml; do
		rm -rf "${program:?}/$name"
	done
	if [ "$action" = purge ]; then
		rm -f "$program/install.sh"
		rmdir "$program" 2>/dev/null || true
	fi
}

if [ "$action" != install ]; then
	uninstall
	exit 0
fi
install_files
if ! command -v systemctl >/dev/null; then
	without_systemd
	exit 0
fi
check_settings || fail "nothing was started, and what runs goes on. When the settings are mended, run $0 again."
install_service
