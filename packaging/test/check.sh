#!/usr/bin/env bash
# Proves that `pns4ones -check`, run by root, checks as the user of the service, too:
# root can read what the service cannot. Everything happens in a copy of /etc that
# ends with the script. Needs root.
set -euo pipefail
cd "$(dirname "$0")/../.."
[ "$(id -u)" = 0 ] || { echo "check.sh: needs root" >&2; exit 2; }
if [ "${1:-}" != inside ]; then
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	chmod 755 "$work"
	CGO_ENABLED=0 go build -o "$work/pns4ones" ./cmd/pns4ones
	mkdir "$work/memory"
	unshare --mount --propagation private "$0" inside "$work"
	exit
fi

work=$2
fail() {
	cat "$work/memory/out" >&2
	echo "check.sh: $*" >&2
	exit 1
}
check() { PNS4ONES_LANG=en timeout 10 "$work/pns4ones" -check >"$work/memory/out" 2>&1; }
says() { grep -qF -- "$1" "$work/memory/out" || fail "it does not say: $1"; }

mount -t tmpfs tmpfs "$work/memory"
mkdir "$work/memory/up" "$work/memory/work"
mount -t overlay overlay -o "lowerdir=/etc,upperdir=$work/memory/up,workdir=$work/memory/work" /etc
getent group pns4ones >/dev/null || groupadd --system pns4ones
getent passwd pns4ones >/dev/null || useradd --system --gid pns4ones --shell /usr/sbin/nologin pns4ones
mkdir -p /etc/systemd/system
cp packaging/linux/pns4ones.service /etc/systemd/system/
rm -rf /etc/pns4ones
install -d -m 0750 -g pns4ones /etc/pns4ones
cd /etc/pns4ones
openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -days 365 -keyout a.key -out a.crt 2>/dev/null
printf 'ssl_mode=2\nssl_certificate=a.crt\nssl_certificate_key=a.key\n' >PNS4OneS.ini
chgrp pns4ones ./*
chmod 640 ./*

check || fail "what both can read is refused"
says "Checked as root and as the user pns4ones"
chmod 600 a.key
check && fail "a key that only root can read is passed"
says "PNS4OneS.ini:3: ssl_certificate_key"
chmod 640 a.key
chmod 600 PNS4OneS.ini
check && fail "settings that only root can read are passed"
says "PNS4OneS.ini: no permission to read it"
echo "check.sh: root's -check finds what only root can read"
