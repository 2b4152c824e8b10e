#!/usr/bin/env bash
# Proves that the scripts of the packages, which run as root, change nothing but what
# is theirs in a folder of settings that the service's user could write: no link is
# followed, what belongs to others stays, and the rest is done. Needs root.
set -euo pipefail
cd "$(dirname "$0")/../.."
[ "$(id -u)" = 0 ] || { echo "links.sh: needs root" >&2; exit 2; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
fail() { echo "links.sh: $*" >&2; exit 1; }

# victim is a file of root's that nobody may read.
victim=$work/shadow
new_victim() { rm -f "$victim"; echo secret >"$victim"; chmod 600 "$victim"; }
untouched() { [ "$(stat -c '%U:%G %a %s' "$victim")" = "root:root 600 7" ] ||
	fail "$1: the file behind it is now $(stat -c '%U:%G %a %s' "$victim")"; }

# run has a function of the scripts do its work in the folder, with nobody for the
# service's user.
run() {
	new=$work/settings
	sh -ec ". packaging/scripts/setup.sh; user=nobody; group=nogroup; settings=$new; $1" >"$work/out" 2>&1 ||
		{ cat "$work/out" >&2; fail "$1 failed"; }
}
fresh() { rm -rf "$work/settings"; mkdir "$work/settings"; chown nobody:nogroup "$work/settings"; new_victim; }
says() { grep -qF -- "$1" "$work/out" || { cat "$work/out" >&2; fail "it does not say: $1"; }; }

for name in pns4ones.toml pns4ones.ini PNS4OneS.ini keys; do
	fresh
	ln -s "$victim" "$work/settings/$name"
	run secure_settings
	untouched "a link $name"
	says "$name is a link"
	fresh
	ln "$victim" "$work/settings/$name"
	run secure_settings
	untouched "another name $name"
	says "has another name"
	fresh
	echo x >"$work/settings/$name"
	chown daemon "$work/settings/$name"
	chmod 600 "$work/settings/$name"
	run secure_settings
	[ "$(stat -c '%U %a' "$work/settings/$name")" = "daemon 600" ] || fail "$name of somebody else was touched"
	says "belongs to daemon"
done

fresh
for name in PNS4ONES.INI keys; do
	echo x >"$work/settings/$name"
	chmod 600 "$work/settings/$name" # root's: the service cannot read it
done
echo x >"$work/settings/pns4ones.ini"
chown nobody "$work/settings/pns4ones.ini"
chmod 600 "$work/settings/pns4ones.ini"
run secure_settings
[ "$(stat -c '%U:%G %a' "$work/settings")" = "root:nogroup 750" ] ||
	fail "the folder is $(stat -c '%U:%G %a' "$work/settings")"
for name in PNS4ONES.INI keys; do
	[ "$(stat -c '%U:%G %a' "$work/settings/$name")" = "root:nogroup 640" ] ||
		fail "$name is $(stat -c '%U:%G %a' "$work/settings/$name")"
done
[ "$(stat -c '%U %a' "$work/settings/pns4ones.ini")" = "nobody 600" ] ||
	fail "the old product's file is not whose it was"

fresh
rm -rf "$work/settings"
mkdir "$work/elsewhere"
ln -s "$work/elsewhere" "$work/settings"
run secure_settings
says "is a link or no folder"
[ "$(stat -c '%U:%G %a' "$work/elsewhere")" = "root:root 755" ] || fail "the folder behind a link was touched"
echo "links.sh: no link is followed, what belongs to others stays, the rest is done"
