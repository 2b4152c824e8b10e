#!/usr/bin/env bash
# The add-in that was released in 2022 and ours, one after the other in the same host
# against the same daemon: the table of packaging/doc/en/addin.md, seen. addin.sh
# calls it.
#
#   addin-released.sh PROGRAMS TOOLS RELEASED.zip NEW-LIBRARY SYSTEM
#
# SYSTEM is linux or windows (Wine x86_64, whose environment is set by the caller).
. "$(dirname "$0")/lib.sh"
shopt -s extglob
programs=$(realpath "$1") tools=$(realpath "$2") zip=$(realpath "$3") ours=$(realpath "$4") system=$5
need clang curl jq unzip
work=$(mktemp -d)
trap 'kill $daemon 2>/dev/null || true; rm -rf "$work"' EXIT
daemon=''
unzip -q "$zip" -d "$work/released"
case $system in
linux)
	printf 'OPENSSL_1_1_0 { global: *; };\n' >"$work/crypto.map"
	clang -shared -fPIC -Wl,-soname,libcrypto.so.1.1 "-Wl,--version-script=$work/crypto.map" "$here/testdata/libcrypto-1.1.c" -ldl -o "$work/libcrypto.so.1.1"
	released=$work/released/PNS4OneSComp_Lin64.so
	host() { LD_LIBRARY_PATH=$work timeout 120 "$tools/host" "$@"; }
	;;
windows)
	released=$work/released/PNS4OneSComp_Win64.dll
	host() { timeout 120 "$WINELOADER" "$tools/host64.exe" "$@" | tr -d '\r'; }
	;;
esac

http=$((21000 + RANDOM % 5000)) tcp=$((26001 + RANDOM % 5000)) nobody=$((19000 + RANDOM % 900))
admin() { "$programs/pns4onesadmin" --control "$work/control.sock" --json "$@" 2>/dev/null; }
serve() {
	XDG_CONFIG_HOME=$work "$programs/pns4ones" -listen "127.0.0.1:$http" -service "127.0.0.1:$tcp" -data_dir "$work" -control "$work/control.sock" >>"$work/daemon.log" 2>&1 &
	daemon=$!
	eventually "the start of the daemon" admin status
}
serve
admin create proof >"$work/app.json"
id=$(jq -r .id "$work/app.json") key=$(jq -r .client_key "$work/app.json")
wrong=IAAAABAAAACuIhXtnw4Yb3vmhLdsIEx1HYXDRq/tlUF4cgOdBPQ9mC1jpOaN/UVko/Fi3HMX7/E=

# row runs steps with both add-ins; what each did is one line of words: results of
# connect and error, events, and «died» when the host has.
row() {
	local what=$1 want_released=$2 want_ours=$3 library want got status
	shift 3
	for library in "$released" "$ours"; do
		status=0
		host "$library" "$@" >"$work/out" 2>/dev/null || status=$?
		got=$(jq -r 'if .event then .data elif .did == "connect" or .did == "error" then .result else empty end' "$work/out" 2>/dev/null | tr '\n' ' ') || true
		[ "$status" = 0 ] || got="$got died"
		want=$want_ours
		[ "$library" = "$ours" ] || want=$want_released
		# shellcheck disable=SC2053
		[[ $got == $want ]] || fail "$system, $what, $(basename "$library"): «$got», want «$want»"
		printf '  %-28s %-28s %s\n' "$what" "$(basename "$library")" "$got"
	done
}

stopped='*Сервис уведомлений прекратил работу*'
with=("$id" ib user group "$key")
row "nobody there" 'false Не удалось установить соединение*' 'true null ' new 1 connect 1 127.0.0.1 "$nobody" "${with[@]}" error 1
row "unknown name" 'false Указан неверный адрес*' 'true null ' new 1 connect 1 no-such-host.invalid 36695 "${with[@]}" error 1
# The released one reads what lies behind its memory: what it does differs from run to run.
row "key AAAA" '@(*died|false Некорректный ключ клиента *)' 'false Некорректный ключ клиента ' new 1 connect 1 127.0.0.1 "$tcp" "$id" ib user group AAAA error 1
row "key of wrong lengths" '*died' 'false Некорректный ключ клиента ' new 1 connect 1 127.0.0.1 "$tcp" "$id" ib user group "/////xAAAAC${wrong:11}" error 1
row "wrong key" "true $stopped" 'true *Сервис уведомлений не принимает подключение*' new 1 connect 1 127.0.0.1 "$tcp" "$id" ib user group "$wrong" events 1 1 20000
row "Shutdown" "$([ "$system" = linux ] && echo 'true *died' || echo 'true *error*')" 'true ' new 1 connect 1 127.0.0.1 "$tcp" "${with[@]}" sleep 600 shutdown 1 sleep 300

sessions() { [ "$(admin status | jq .sessions)" = "$1" ]; }
say_all() {
	eventually "a session" sessions 1
	admin send --app "$id" --ib ib --group group --title 'группе' >"$work/group"
	admin send --app "$id" --ib ib --all --title '😀' >/dev/null
}
for library in "$released" "$ours"; do
	eventually "the end of the sessions before" sessions 0
	say_all &
	saying=$!
	host "$library" new 1 connect 1 127.0.0.1 "$tcp" "${with[@]}" events 1 "$([ "$library" = "$ours" ] && echo 2 || echo 1)" 60000 >"$work/out" 2>/dev/null || true
	wait "$saying"
	got="$(jq -r .sessions "$work/group") $(jq -r 'select(.event) | .data' "$work/out" | grep -oE '"title":"[^"]*"' | tr '\n' ' ' || true)"
	want='1 "title":"группе" "title":"😀" '
	[ "$library" = "$ours" ] || want='0 "title":"*�*" '
	# shellcheck disable=SC2053
	[[ $got == $want ]] || fail "$system, group and emoji, $(basename "$library"): «$got», want «$want»"
	printf '  %-28s %-28s %s\n' "group, emoji" "$(basename "$library")" "$got"
done

mkfifo "$work/steps"
again() {
	kill -9 "$daemon"
	wait "$daemon" 2>/dev/null || true
	serve
}
for library in "$released" "$ours"; do
	eventually "the end of the sessions before" sessions 0
	host "$library" - <"$work/steps" >"$work/out" 2>/dev/null &
	waiting=$!
	exec 8>"$work/steps"
	printf 'new\t1\n' >&8
	(IFS=$'\t' && printf '%s\n' "connect	1	127.0.0.1	$tcp	${with[*]}") >&8
	eventually "a session" sessions 1
	again
	got=lost
	for _ in $(seq 80); do
		if sessions 1; then got=back; break; fi
		sleep 0.1
	done
	exec 8>&-  # the end of the steps is that of the host
	wait "$waiting" || true
	got="$got $(jq -r 'select(.event) | .data' "$work/out")"
	want='back '
	[ "$library" = "$ours" ] || want="lost $stopped"
	# shellcheck disable=SC2053
	[[ $got == $want ]] || fail "$system, service killed, $(basename "$library"): «$got», want «$want»"
	printf '  %-28s %-28s %s\n' "service killed and started" "$(basename "$library")" "$got"
done
proven "$system: the add-in of 2022 and ours, in one host"
