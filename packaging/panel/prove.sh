#!/usr/bin/env bash
# Proves the panel with the real binaries in a real terminal (tmux): a person
# creates an app, copies a key, sees a session, writes to it, rotates the key,
# disconnects the session, removes the app, and loses and finds the daemon.
#
#   packaging/panel/prove.sh             checks, and changes nothing
#   packaging/panel/prove.sh PICTURES    also draws the README's pictures into a folder
#
# Needs go, tmux and jq.
set -euo pipefail
cd "$(dirname "$0")/../.."
pictures=${1:-}
if [ -n "$pictures" ]; then
	mkdir -p "$pictures"
	pictures=$(cd "$pictures" && pwd)
fi

work=$(mktemp -d)
[ -z "$pictures" ] || { rm -rf /tmp/pns4ones && mv "$work" /tmp/pns4ones && work=/tmp/pns4ones; } # a path to show
export PNS4ONES_LANG=ru LC_ALL=C.UTF-8 COLORTERM=
unset NO_COLOR TMUX
tmux() { command tmux -L "panel-$$" -f /dev/null "$@"; }
daemon=
cleanup() {
	tmux kill-server 2>/dev/null || true
	[ -z "$daemon" ] || kill "$daemon" 2>/dev/null || true
	pids=$(jobs -p)
	[ -z "$pids" ] || kill $pids 2>/dev/null || true
	rm -rf "$work"
}
trap cleanup EXIT

go build -o "$work" ./cmd/pns4ones ./cmd/pns4onesadmin
go build -o "$work/svg" ./packaging/panel/svg
admin() { "$work/pns4onesadmin" --control "$work/control.sock" "$@"; }

fail() {
	printf 'prove: %s\n' "$1" >&2
	screen >&2 || true
	exit 1
}

# eventually waits for a command to succeed.
eventually() {
	for _ in $(seq 150); do
		if "$@" >/dev/null 2>&1; then return 0; fi
		sleep 0.1
	done
	return 1
}

start_daemon() {
	"$work/pns4ones" -listen "localhost:$http" -service "localhost:$tcp" -data_dir "$work/data" \
		-control "$work/control.sock" -log_level Information >>"$work/log" 2>&1 &
	daemon=$!
	eventually admin status || { cat "$work/log" >&2; fail "the daemon does not start"; }
}

# Ports that are free now, if not for certain in a moment, and none that outgoing
# connections are given.
free() { (echo >"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return 1 || return 0; }
http=$((20000 + RANDOM % 12000))
until free "$http" && free $((http + 1)); do http=$((20000 + RANDOM % 12000)); done
tcp=$((http + 1))

screen() { tmux capture-pane -p -t panel; }
shows() { screen | grep -qF -- "$1"; }
await() { eventually shows "$1" || fail "the panel never showed: $1"; }
hides() { ! shows "$1" || fail "the panel shows: $1"; }
press() { for key in "$@"; do tmux send-keys -t panel "$key"; done; }
type_in() { tmux send-keys -t panel -l -- "$1"; }

# open WIDTH HEIGHT [OPTION]... opens the panel in a terminal of that size.
open() {
	local width=$1 height=$2
	shift 2
	columns=$width lines=$height theme=dark
	case " $* " in *" light "*) theme=light ;; esac
	# The server ends with its last session, and a new one that comes meanwhile is lost.
	tmux has-session -t keep 2>/dev/null || tmux new-session -d -s keep "sleep 3600"
	tmux kill-session -t panel 2>/dev/null || true
	tmux new-session -d -s panel -x "$width" -y "$height" \
		"TERM=tmux-256color '$work/pns4onesadmin' --control '$work/control.sock' tui $*; echo \$? >'$work/status'"
	tmux set -s set-clipboard on
	await "на связи"
}

# picture NAME draws the screen, if pictures are wanted.
picture() {
	[ -n "$pictures" ] || return 0
	sleep 0.3 # what is being painted
	tmux capture-pane -e -N -p -t panel |
		"$work/svg" -width "$columns" -height "$lines" -theme "$theme" >"$pictures/$1.svg"
}

start_daemon
open 80 24 --background dark
await "Предупреждений нет"

# An app is created, and its keys are copied without being seen.
press 2 n
await "Новое приложение"
type_in "Склад"
press Enter
await "Создано: «Склад»"
press Down c
await "Отправлено терминалу: Ключ сервера"
key=$(admin show "Склад" --json | jq -r .server_key)
[ "$(tmux show-buffer)" = "$key" ] || fail "the clipboard does not hold the key"
hides "${key:0:20}"
press v
await "${key:0:20}"
press v

# A session appears, gets a message, and stays while the key is rotated.
admin listen --app "Склад" --ib demo --user ivanov --json >"$work/received" 2>"$work/listener" &
listener=$!
press 3
await "ivanov"
press w
await "[5 Отправить]"
type_in "Обед в 12:00"
press C-s
await "Отправлено 1 сеансу."
eventually grep -q "Обед в 12:00" "$work/received" || fail "the session got no message"
press Escape
await "[3 Сеансы]"

press 2
await "ID приложения"
press C
await "прежний ключ работает ещё 24 часа"
press Enter
await "сеансы с прежним работают ещё 24 часа"
await "Прежний ключ клиента"
picture rotated

# What the person sees of it all.
press 4
await "открыт: "
press 3
await "ivanov"
press e
await "ivanov в базе demo"
await "поколение ключа 1"
press Escape

# The session is disconnected, only when that is confirmed.
press x
await "Отключить сеанс?"
press Enter
sleep 0.2
kill -0 "$listener" || fail "the session was disconnected without being asked"
press x
await "Отключить сеанс?"
press Down Enter
await "отключён."
await "Никто не подключён"
wait "$listener" || true

# The daemon goes away and comes back.
kill -9 "$daemon"
{ wait "$daemon" || true; } 2>/dev/null
await "▲ нет связи"
await "Данные на"
start_daemon
await "на связи"

# The app is removed by its title.
press 2 Escape
await "Прежние ключи"
press d
await "Удалить «Склад»?"
type_in "Скл"
press Enter
await "Не совпадает"
type_in "ад"
press Enter
await "Удалено: «Склад»"
[ "$(admin list --json)" = "[]" ] || fail "the app is still there"

press q
eventually test -s "$work/status" || fail "q does not leave"
[ "$(cat "$work/status")" = 0 ] || fail "the panel ended with status $(cat "$work/status")"

# Terminals that cannot show it get a hint instead.
if TERM=dumb admin tui >"$work/out" 2>&1; then fail "TERM=dumb is not refused"; fi
grep -q "list, create" "$work/out" || fail "the refusal does not name the commands: $(cat "$work/out")"

if [ -n "$pictures" ]; then
	for title in "Склад" "Бухгалтерия предприятия" "Интернет-магазин"; do admin create "$title" >/dev/null 2>&1; done
	admin upd_cli_key "Склад" --grace 24h >/dev/null 2>&1
	for user in ivanov petrova sidorov kuznetsova smirnov popova vasiliev sokolova mikhailov novikova fedorov morozova; do
		for app in "Склад" "Бухгалтерия предприятия"; do
			admin listen --app "$app" --ib "$([ "$app" = "Склад" ] && echo warehouse || echo accounting)" \
				--user "$user" >/dev/null 2>&1 &
		done
	done
	admin listen --app "Склад" --client-key "$(admin show "Интернет-магазин" --json | jq -r .client_key)" \
		--ib warehouse --user guest >/dev/null 2>&1 || true # a warning
	draw() { # NAME KEYS...
		press "${@:2}"
		sleep 1
		picture "$1-$size-$shade"
	}
	for size in 80x24 120x40; do
		for shade in dark light; do
			open "${size%x*}" "${size#*x}" --background "$shade"
			for i in $(seq 60); do
				for _ in $(seq $((1 + (i * i) % 7))); do
					admin send --app "Склад" --ib warehouse --all --title "Обед" >/dev/null 2>&1
				done
				sleep 0.3
			done
			draw overview 1
			draw apps 2
			draw app Enter
			draw rotate C
			draw sessions Escape 3 Down
			draw session Enter
			draw explain e
			press Escape
			draw journal 4
			press 3 Down w
			sleep 0.3
			type_in "Накладная № 17"
			press Tab
			type_in "Ожидает подписи"
			press C-s
			await "Отправлено"
			picture "send-$size-$shade"
			draw help Escape '?'
		done
	done
fi
echo "the panel is proven"
