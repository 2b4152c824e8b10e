# What the installations have in common. $program is the folder of the programs.

user=pns4ones
group=pns4ones
settings=/etc/pns4ones
unit=pns4ones.service

say() { printf 'pns4ones: %s\n' "$*"; }

systemd_runs() { [ -d /run/systemd/system ]; }

# make_user makes the user that the service runs as; the old product's is the same.
make_user() {
	getent group "$group" >/dev/null || groupadd --system "$group"
	getent passwd "$user" >/dev/null ||
		useradd --system --gid "$group" --home-dir /var/lib/pns4ones --no-create-home --shell /usr/sbin/nologin \
			--comment 'pns4ones push notifications' "$user"
}

# settings_are_ours takes the folder of the settings for root before anything in it is
# looked at, and tells whether that succeeded. The old product's may be one that the
# service's user writes, and who runs as that user could put a link into it, to have
# root change the file it leads to. Whatever is done with a file comes after this.
settings_are_ours() {
	if [ -L "$settings" ] || { [ -e "$settings" ] && [ ! -d "$settings" ]; }; then
		say "$settings is a link or no folder; it was left as it is, and so were the files in it."
		return 1
	fi
	mkdir -p "$settings"
	if ! overridden "$settings"; then
		chown -h "root:$group" "$settings"
		chmod 0750 "$settings"
	fi
	case $(stat -c '%u %a' "$settings") in
	'0 '*[2367]? | '0 '*[2367]) ;;
	'0 '*) return 0 ;;
	esac
	say "others than root may write into $settings; the files in it were left as they are."
	return 1
}

# overridden tells whether the administrator has said whose a file is.
overridden() {
	command -v dpkg-statoverride >/dev/null && dpkg-statoverride --list "$1" >/dev/null 2>&1
}

# may_touch tells whether a file in the folder of the settings is one that root may
# change: a plain file under this name alone, of root or the service's user.
may_touch() {
	if [ -L "$1" ]; then
		say "$1 is a link; what it leads to was not touched."
		return 1
	fi
	[ -f "$1" ] || return 1
	if [ "$(stat -c %h "$1")" != 1 ]; then
		say "$1 has another name, too, and was not touched."
		return 1
	fi
	case $(stat -c %U "$1") in
	root | "$user") return 0 ;;
	esac
	say "$1 belongs to $(stat -c %U "$1") and was not touched. The service has to be able to read it."
	return 1
}

# readable_by_service lets the service read what the old product left, in whatever
# letter case it is written. Its files stay, and stay whose they are.
readable_by_service() {
	for path in "$settings"/[Pp][Nn][Ss]4[Oo][Nn][Ee][Ss].[Ii][Nn][Ii] "$settings/keys"; do
		if { [ -e "$path" ] || [ -L "$path" ]; } && may_touch "$path" && ! runuser -u "$user" -- test -r "$path"; then
			chgrp -h "$group" "$path"
			chmod g+r "$path"
			say "$path may now be read by the group $group."
		fi
	done
}

# secure_settings closes the folder of the settings to others.
secure_settings() {
	settings_are_ours || return 0
	path=$settings/pns4ones.toml
	if { [ -e "$path" ] || [ -L "$path" ]; } && ! overridden "$path" && may_touch "$path"; then
		chown -h "root:$group" "$path"
		chmod 0640 "$path"
	fi
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
	grep -q "^ExecStart=$program/pns4ones" "/etc/systemd/system/$unit" &&
		grep -q '^Documentation=.*man:pns4ones(8)' "/etc/systemd/system/$unit"
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
