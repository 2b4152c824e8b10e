# What the installations have in common. $program is the folder of the programs.

user=pns4ones
settings=/etc/pns4ones
unit=pns4ones.service

say() { printf 'pns4ones: %s\n' "$*"; }

systemd_runs() { [ -d /run/systemd/system ]; }

# make_user makes the user that the service runs as; the old product's is the same.
make_user() {
	getent group "$user" >/dev/null || groupadd --system "$user"
	getent passwd "$user" >/dev/null ||
		useradd --system --gid "$user" --home-dir /var/lib/pns4ones --no-create-home --shell /usr/sbin/nologin \
			--comment 'pns4ones push notifications' "$user"
}

# own gives a file or folder to root and the service, unless the administrator
# has said otherwise (dpkg-statoverride).
own() {
	mode=$1 path=$2
	if command -v dpkg-statoverride >/dev/null && dpkg-statoverride --list "$path" >/dev/null 2>&1; then
		return
	fi
	chown "root:$user" "$path"
	chmod "$mode" "$path"
}

# readable_by_service lets the service read what the old product left. Its files
# stay, and stay whose they are.
readable_by_service() {
	for path in "$settings/pns4ones.ini" "$settings/keys"; do
		if [ -f "$path" ] && ! runuser -u "$user" -- test -r "$path"; then
			chgrp "$user" "$path"
			chmod g+r "$path"
			say "$path may now be read by the group $user."
		fi
	done
}

# secure_settings closes the folder of the settings to others.
secure_settings() {
	mkdir -p "$settings"
	own 0750 "$settings"
	[ ! -f "$settings/pns4ones.toml" ] || own 0640 "$settings/pns4ones.toml"
	readable_by_service
}

# check_settings tells whether the programs that are installed now could run with
# the settings, and says what is wrong with them.
check_settings() {
	# The variables are those that the unit gives.
	if problems=$(runuser -u "$user" -- env STATE_DIRECTORY=/var/lib/pns4ones RUNTIME_DIRECTORY=/run/pns4ones \
		"$program/pns4ones" -check 2>&1 >/dev/null); then
		[ -z "$problems" ] || say "$problems"
		return 0
	fi
	say "$problems"
	return 1
}

# own_unit tells whether the unit in /etc is one of ours for the programs that are
# being installed. The old product's may start a program of the same path, but does
# not know our manual.
own_unit() {
	grep -q "^ExecStart=$program/pns4ones" "/etc/systemd/system/$unit" && grep -q '^Documentation=.*man:pns4ones(8)' "/etc/systemd/system/$unit"
}

# foreign_unit tells whether a unit of our name in /etc hides the one that is being
# installed: that of the old product, or of an installation into /opt.
foreign_unit() {
	[ -f "/etc/systemd/system/$unit" ] && [ ! -L "/etc/systemd/system/$unit" ] && ! own_unit
}

# replace_foreign_unit stops that service, which frees its ports, and puts its unit
# aside.
replace_foreign_unit() {
	if systemd_runs; then
		systemctl disable --now "$unit" >/dev/null 2>&1 || true
	else
		rm -f "/etc/systemd/system/multi-user.target.wants/$unit"
	fi
	mv "/etc/systemd/system/$unit" "/etc/systemd/system/$unit.replaced"
	say "another service of the same name was stopped; its unit is now /etc/systemd/system/$unit.replaced."
}

# tell_failure says why the service did not start: its own words, which name the
# port or the setting.
tell_failure() {
	say "the service does not run:"
	journalctl --unit "$unit" --lines 5 --no-pager --output cat 2>/dev/null | sed 's/^/  /'
	say "when it is mended: systemctl restart pns4ones"
}
