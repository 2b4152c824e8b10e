#!/usr/bin/env bash
# A link that goes down under a connected add-in, and comes back: nothing is shown, the
# session is there again, messages arrive. Machines are network namespaces. addin.sh
# calls it in its long form.
#
#   addin-link.sh PROGRAMS TOOLS LIBRARY SECONDS...
. "$(dirname "$0")/lib.sh"
programs=$(realpath "$1") tools=$(realpath "$2") library=$(realpath "$3")
shift 3
need iproute2 jq
work=$(mktemp -d)
service=pns-service-$$ client=pns-client-$$
daemon='' host=''
trap 'kill $daemon $host 2>/dev/null || true; ip netns del "$service"; ip netns del "$client"; rm -rf "$work"' EXIT
ip netns add "$service"
ip netns add "$client"
ip link add veth-s netns "$service" type veth peer name veth-c netns "$client"
ip -n "$service" address add 10.99.0.1/24 dev veth-s
ip -n "$client" address add 10.99.0.2/24 dev veth-c
for one in "$service lo" "$service veth-s" "$client lo" "$client veth-c"; do
	ip -n "${one% *}" link set "${one#* }" up
done
admin() { "$programs/pns4onesadmin" --control "$work/control.sock" --json "$@" 2>/dev/null; }
XDG_CONFIG_HOME=$work ip netns exec "$service" "$programs/pns4ones" -data_dir "$work" \
	-control "$work/control.sock" >"$work/daemon.log" 2>&1 &
daemon=$!
eventually "the start of the daemon" admin status
admin create proof >"$work/app.json"
mkfifo "$work/steps"
ip netns exec "$client" "$tools/host" "$library" - <"$work/steps" >"$work/said" 2>&1 &
host=$!
exec 8>"$work/steps"
step() { (IFS=$'\t' && printf '%s\n' "$*") >&8; }
step new 1
step connect 1 10.99.0.1 36695 "$(jq -r .id "$work/app.json")" ib user '' "$(jq -r .client_key "$work/app.json")"
sessions() { [ "$(admin status | jq .sessions)" = "$1" ]; }
eventually "a session" sessions 1
for seconds; do
	ip -n "$client" link set veth-c down
	sleep "$seconds"
	ip -n "$client" link set veth-c up
	began=$(date +%s)
	# The longest pause of the add-in is a minute, and a probe may be as late.
	for _ in $(seq 1500); do
		admin send --app "$(jq -r .id "$work/app.json")" --ib ib --user user --title "after $seconds" >/dev/null
		! grep -q "after $seconds" "$work/said" || break
		sleep 0.1
	done
	eventually "a message after $seconds s" grep -q "after $seconds" "$work/said"
	proven "a link that was down for $seconds s: messages again after $(($(date +%s) - began)) s"
done
step release 1
exec 8>&-
wait "$host" || fail "the host: $(cat "$work/said")"
host=
! grep -q '"error":' "$work/said" || fail "the user is told: $(cat "$work/said")"
