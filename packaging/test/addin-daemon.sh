#!/usr/bin/env bash
# An add-in that is connected and idle wakes up for nothing, and takes little: what
# strace and /proc say. addin.sh calls it.
#
#   addin-daemon.sh PROGRAMS TOOLS LIBRARY SECONDS
. "$(dirname "$0")/lib.sh"
programs=$(realpath "$1") tools=$(realpath "$2") library=$(realpath "$3") seconds=$4
need strace jq
work=$(mktemp -d)
trap 'kill $daemon $host 2>/dev/null || true; rm -rf "$work"' EXIT
daemon='' host=''
http=$((21000 + RANDOM % 5000)) tcp=$((26001 + RANDOM % 5000))
admin() { "$programs/pns4onesadmin" --control "$work/control.sock" --json "$@"; }
XDG_CONFIG_HOME=$work "$programs/pns4ones" -listen "127.0.0.1:$http" -service "127.0.0.1:$tcp" -data_dir "$work" \
	-control "$work/control.sock" >"$work/daemon.log" 2>&1 &
daemon=$!
eventually "the start of the daemon" admin status
admin create proof >"$work/app.json" 2>/dev/null

mkfifo "$work/steps"
"$tools/host" "$library" - <"$work/steps" >"$work/said" 2>&1 &
host=$!
exec 8>"$work/steps"
step() { (IFS=$'\t' && printf '%s\n' "$*") >&8; }
figure() { awk -v name="$1:" '$1 == name { print $2 }' "/proc/$host/status"; }
step new 1
eventually "an object" grep -q '"did":"new"' "$work/said"
threads_before=$(figure Threads) memory_before=$(figure VmRSS)
step connect 1 127.0.0.1 "$tcp" "$(jq -r .id "$work/app.json")" ib user '' "$(jq -r .client_key "$work/app.json")"
step state 1 connected 20000
eventually "a connection" grep -q '"did":"state".*"connected"' "$work/said"
threads=$(figure Threads) memory=$(figure VmRSS)
worker=$(find "/proc/$host/task" -mindepth 1 -maxdepth 1 -printf '%f\n' | grep -vx "$host")
[ "$threads_before/$threads" = 1/2 ] || fail "$threads_before threads before Connect, $threads after it"
timeout -s INT "$seconds" strace -f -qq -o "$work/trace" -p "$worker" || true
! grep -vE 'strace|<unfinished|restart_syscall|resumed|detached|\+\+\+|---' "$work/trace" ||
	fail "an idle connection is not idle: $(cat "$work/trace")"
step release 1
exec 8>&-
wait "$host" || fail "the host: $(cat "$work/said")"
host=
proven "idle for $seconds s: no system call; one thread an object; $memory_before kB before Connect, $memory kB after it"
