#!/bin/sh
# Runs in a root where the package is installed and the daemon runs: an app is
# created, a session waits, a message is sent over HTTP and arrives.
#
#   use.sh [TITLE]    the app, which is created if there is none of that name
set -eu
title=${1:-proof}
out=$(mktemp -d)
trap 'kill $listening 2>/dev/null || true; rm -rf "$out"' EXIT
listening=
pns4onesadmin show "$title" >/dev/null 2>&1 || pns4onesadmin create "$title" >/dev/null 2>&1
key=$(pns4onesadmin show "$title" --json | sed -n 's/.*"server_key": *"\([^"]*\)".*/\1/p')
listen=$(pns4onesadmin status --json | sed -n 's/.*"listen": *"[^"]*:\([0-9]*\)".*/\1/p')
pns4onesadmin listen --app "$title" --ib demo --user ann --json >"$out/got" 2>"$out/log" &
listening=$!
n=0
until pns4onesadmin sessions --json | grep -q '"user_id": *"ann"'; do
	n=$((n + 1))
	[ "$n" -lt 100 ] || { cat "$out/log" >&2; echo "use: no session" >&2; exit 1; }
	sleep 0.1
done
pns4onesadmin send --http "http://localhost:$listen" --server-key "$key" --ib demo --user ann --title 'It works' \
	>"$out/sent" 2>&1 || { cat "$out/sent" >&2; exit 1; }
n=0
until grep -q 'It works' "$out/got"; do
	n=$((n + 1))
	[ "$n" -lt 100 ] || { echo "use: the message did not arrive" >&2; exit 1; }
	sleep 0.1
done
