#!/usr/bin/env bash
# Proves the Windows programs, their archive and their installer under Wine.
#
#   windows.sh [DIST]    where packaging/build.sh has put them; else they are built
#
# What Wine cannot do, and what is therefore not proven: accounts (its services run as
# the one user it has, whatever the account; here that user's folder is registered as
# the account's), the firewall (netsh does nothing), rights of administrators and
# on files, the start menu (only the files are looked at), and a certificate in the
# system's store.
. "$(dirname "$0")/lib.sh"

if [ "${PNS4ONES_TEST_INSIDE:-}" != "$proof" ]; then
	need wine wine64 nsis gcc-mingw-w64-x86-64 unzip zip curl jq python3 util-linux
	builds=$(mktemp -d)
	trap 'rm -rf "$builds"' EXIT
	cd "$project"
	dist=${1:-}
	if [ -z "$dist" ]; then
		packaging/1c/addin/toolchain.sh install
		DIST=${dist:=$builds/dist} packaging/build.sh windows >/dev/null
	fi
	cp "$dist"/pns4ones-*-windows-amd64.zip "$builds/new.zip"
	cp "$dist"/pns4ones-*-windows-amd64-setup.exe "$builds/new-setup.exe"
	unzip -q "$builds/new.zip" -d "$builds"

	# The version before, one whose program finds that it cannot start, for its database
	# has a name that no file can have, and one that learns it only when it starts: its
	# control channel would lie where no pipe can be.
	for version in 0.0.1 98.0.0 99.0.0; do
		mkdir "$builds/$version"
		cp -R "$builds"/pns4ones/{doc,pns4onesadmin.exe} LICENSE "$builds/$version"
	done
	for name in pns4ones pns4onesadmin; do
		CGO_ENABLED=0 GOOS=windows GOARCH=amd64 go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=0.0.1" -o "$builds/0.0.1/$name.exe" "./cmd/$name"
	done
	sed 's,pns4ones\.db,pns4ones?db,g' "$builds/pns4ones/pns4ones.exe" >"$builds/98.0.0/pns4ones.exe"
	sed 's,\\pipe\\pns4ones,\\pixe\\pns4ones,g' "$builds/pns4ones/pns4ones.exe" >"$builds/99.0.0/pns4ones.exe"
	for version in 0.0.1 98.0.0 99.0.0; do
		SOURCE_DATE_EPOCH=1700000000 packaging/windows/build.sh "$builds/$version" "$builds" "$version"
	done
	GOOS=windows GOARCH=amd64 go test -c -o "$builds/pns4ones.test.exe" ./cmd/pns4ones

	PNS4ONES_TEST_INSIDE=$proof timeout 500 unshare --mount --propagation private \
		--net --pid --fork --kill-child --mount-proc "$0" "$builds"
	exit
fi
builds=$1
own_namespaces

### Wine
unset "${!PNS4ONES_@}"
export WINEPREFIX=$work/wine WINEDEBUG=-all DISPLAY= PNS4ONES_LANG=en
trap 'wineserver -k || true' EXIT
drive=$WINEPREFIX/drive_c
wineboot --init >/dev/null 2>&1
# Go's runtime wants a function that Wine 8 lacks.
cat >"$work/stub.c" <<'C'
#include <windows.h>
BOOLEAN NTAPI SystemFunction036(PVOID, ULONG);
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T size) { return SystemFunction036(data, (ULONG)size); }
C
x86_64-w64-mingw32-gcc -shared -o "$drive/windows/system32/bcryptprimitives.dll" "$work/stub.c" -ladvapi32
wine winecfg -v win10 >/dev/null 2>&1
folder=$drive/users/root/AppData/Local/PNS4OneS
program="$drive/Program Files/pns4ones"
menu="$drive/ProgramData/Microsoft/Windows/Start Menu/Programs/PNS4OneS"

# Windows makes a profile for each account; Wine does not.
virtual=S-1-5-80-$(python3 -c 'import hashlib, struct; print(*struct.unpack("<5I", hashlib.sha1("PNS4ONES".encode("utf-16le")).digest()), sep="-")')
for sid in "$virtual" S-1-5-18; do
	wine reg add "HKLM\\Software\\Microsoft\\Windows NT\\CurrentVersion\\ProfileList\\$sid" /v ProfileImagePath \
		/d 'C:\users\root' /f >/dev/null
done

# A prefix that has just been made is started anew. Then one program is kept running:
# without any, Wine shuts down, and starts the services again with the next one.
wineserver -k -w
sleep infinity | wine cmd >/dev/null 2>&1 &

# Wine's pipes end when the program does, before all is read: by way of a file.
win() {
	local status=0
	timeout 60 wine "$@" >"$work/out" 2>&1 </dev/null || status=$?
	tr -d '\r' <"$work/out"
	return "$status"
}
service() { win "$program/pns4ones.exe" "$@"; }
admin() { win "$program/pns4onesadmin.exe" "$@"; }
registry() { win reg query "HKLM\\$1" /v "$2" | sed -n "s/^ *$2 *REG_[A-Z_]* *//p"; }
image() { registry 'SYSTEM\CurrentControlSet\Services\PNS4OneS' ImagePath; }
running() { win sc query PNS4OneS | grep -q RUNNING; }
version() { admin status --json | jq -r .version; }
keys() { admin list --json | jq -S -c 'map(del(.sessions, .server_key_tokens, .server_key_last_used_at))'; }

# setup runs an installer silently and wants a status of it; what it did is in
# setup.log.
setup() {
	local want=$1 status=0
	shift
	timeout 100 wine "$@" >/dev/null 2>&1 </dev/null || status=$?
	tr -d '\r' <"$drive/users/root/Temp/pns4ones-setup.log" >"$work/setup.log"
	[ "$status" = "$want" ] || fail "$1 ended with $status, want $want: $(cat "$work/setup.log")"
}

# uninstall runs the uninstaller, and waits for it: by itself it goes on after its
# end, from a copy. The folder must not be in quotes, so it is given as two words.
uninstall() { setup 0 "$program/uninstall.exe" /S "$@" '_?=C:\Program' 'Files\pns4ones'; }

# take holds a port until release.
take() {
	python3 -c 'import socket, sys, time
s = socket.socket(); s.bind(("0.0.0.0", int(sys.argv[1]))); s.listen()
open(sys.argv[2], "w").close(); time.sleep(300)' "$1" "$work/taken" &
	holder=$!
	eventually "holding port $1" test -e "$work/taken"
}
release() {
	rm "$work/taken"
	kill "$holder"
	wait "$holder" 2>/dev/null || true
}

# use sends to a session, which the Windows program is, with the Windows program and
# from Linux, to the programs in a folder.
use() {
	local programs=$1 title=$2 key token
	win "$programs/pns4onesadmin.exe" show "$title" >/dev/null ||
		win "$programs/pns4onesadmin.exe" create "$title" >/dev/null || fail "no app: $(cat "$work/out")"
	key=$(win "$programs/pns4onesadmin.exe" show "$title" --json | jq -r .server_key)
	wine "$programs/pns4onesadmin.exe" listen --app "$title" --ib demo --user ann \
		--json >"$work/got" 2>"$work/listen.log" </dev/null &
	listening=$!
	registered() { win "$programs/pns4onesadmin.exe" sessions --json | jq -e 'any(.user_id == "ann")'; }
	eventually "a session" registered
	win "$programs/pns4onesadmin.exe" send --app "$title" --ib demo --user ann --title 'through the pipe' >/dev/null ||
		fail "send: $(cat "$work/out")"
	win "$programs/pns4onesadmin.exe" send --http http://localhost:36696 --server-key "$key" --ib demo --user ann \
		--title 'over HTTP' >/dev/null || fail "send --http: $(cat "$work/out")"
	token=$(curl -sS "http://127.0.0.1:36696/auth?server_key=$key" | jq -r .access_token)
	curl -sS -f -o /dev/null -H "Authorization: Bearer $token" http://127.0.0.1:36696/sendmessage \
		-d '{"Recipient": {"Type": "user", "IbId": "demo", "UserId": "ann"}, "Message": {"Notification": {"Title": "from Linux"}}}'
	for text in 'through the pipe' 'over HTTP' 'from Linux'; do eventually "the message «$text»" grep -q "$text" "$work/got"; done
	kill "$listening"
	wait "$listening" 2>/dev/null || true
}

### the archive, in the foreground
zip=$builds/pns4ones
expect <(unzip -l "$builds/new.zip") "pns4ones/doc/ru/install.md" "the archive"
expect <(unzip -l "$builds/new.zip") "pns4ones/1c/pns4ones-addin-" "the archive"
expect <(unzip -l "$builds/new.zip") "pns4ones/1c/pns4ones-1c-" "the archive"
wine "$zip/pns4ones.exe" >"$work/daemon.log" 2>&1 </dev/null &
daemon=$!
eventually "the start of the daemon" win "$zip/pns4onesadmin.exe" status
use "$zip" proof
expect "$work/daemon.log" 'C:\users\root\AppData\Local\PNS4OneS\pns4ones.db' "the greeting"
[ -s "$folder/pns4ones.db" ] || fail "no database in $folder"
win "$zip/pns4ones.exe" >"$work/second" && fail "a second daemon starts"
expect "$work/second" "netstat -ano -p tcp | findstr :36696" "a second daemon"
kill "$daemon"
wait "$daemon" 2>/dev/null || true
proven "the archive: the daemon in the foreground; messages through the pipe, over HTTP, from Linux"
rm -r "$folder"

### the tests of the service's code that need Windows
# Its status tells of a temporary folder, too, that Go cannot remove under Wine 8.
(cd "$project/cmd/pns4ones" && win "$builds/pns4ones.test.exe" -test.run '^TestService' >"$work/tests") || true
expect "$work/tests" PASS "the tests that need Windows"
proven "the tests of cmd/pns4ones that need Windows"

### the commands for the service
win "$zip/pns4ones.exe" start >"$work/said" && fail "a service that is not there starts"
expect "$work/said" "To install it: pns4ones install" "start without a service"
win "$zip/pns4ones.exe" start -h >"$work/said" || fail "the help: $(cat "$work/said")"
expect "$work/said" "uninstall" "the help"
win "$zip/pns4ones.exe" install -lissen=localhost >"$work/said" && fail "an unknown flag is installed"
expect "$work/said" "Did you mean “listen”" "install with an unknown flag"
win "$zip/pns4ones.exe" install -log_level=Information >"$work/said" || fail "install: $(cat "$work/said")"
expect "$work/said" 'NT SERVICE\PNS4OneS' "the account"
expect "$work/said" 'C:\users\root\AppData\Local\PNS4OneS' "the folder"
[ "$(registry 'SYSTEM\CurrentControlSet\Services\PNS4OneS' ObjectName)" = 'NT SERVICE\PNS4OneS' ] ||
	fail "another account"
[ "$(registry 'SYSTEM\CurrentControlSet\Services\PNS4OneS' Start)" = 0x2 ] ||
	fail "the service does not start with Windows"
win "$zip/pns4ones.exe" start >"$work/said" || fail "start: $(cat "$work/said")"
running || fail "the service does not run"
[ "$(win "$zip/pns4ones.exe" where)" = 'C:\users\root\AppData\Local\PNS4OneS' ] || fail "where"
[ "$(win "$zip/pns4onesadmin.exe" status --json | jq -r .log_level)" = Information ] || fail "the flag is not in force"
# The settings are all comments, and in the language of the service.
grep -q '^# listen = ' "$folder/pns4ones.toml" || fail "no sample of the settings"
grep -vq '^#\|^$' "$folder/pns4ones.toml" && fail "the sample sets something"
win "$zip/pns4ones.exe" install >"$work/said" || fail "install again: $(cat "$work/said")"
expect "$work/said" "brought up to date" "install again"
expect "$work/said" "-log_level=Information" "flags after install again"
win "$zip/pns4ones.exe" stop >/dev/null || fail "stop: $(cat "$work/out")"
running && fail "the service still runs"
win "$zip/pns4ones.exe" stop >"$work/said" || fail "stop again: $(cat "$work/said")"
expect "$work/said" "was not running" "stop again"

take 36695
win "$zip/pns4ones.exe" start >"$work/said" && fail "it starts though its port is taken"
release
expect "$work/said" "36695" "a taken port"
win "$zip/pns4ones.exe" stop >/dev/null # Wine's service manager tries again, too
mkdir "$work/elsewhere"
cp "$zip/pns4ones.exe" "$work/elsewhere"
win "$work/elsewhere/pns4ones.exe" uninstall >"$work/said" || fail "uninstall from elsewhere: $(cat "$work/said")"
expect "$work/said" "left alone" "uninstall from elsewhere"
win "$zip/pns4ones.exe" uninstall -purge >"$work/said" || fail "uninstall: $(cat "$work/said")"
win sc query PNS4OneS >/dev/null && fail "the service is still there"
[ ! -e "$folder" ] || fail "uninstall -purge leaves $(ls "$folder")"
proven "install, start, stop, uninstall; a taken port is named"

### the installer
setup 0 "$builds/pns4ones-0.0.1-windows-amd64-setup.exe" /S
running || fail "the service does not run"
[ "$(image)" = '"C:\Program Files\pns4ones\pns4ones.exe"' ] || fail "the service starts $(image)"
[ "$(version)" = 0.0.1 ] || fail "it is $(version)"
[ "$(registry 'Software\Microsoft\Windows\CurrentVersion\Uninstall\PNS4OneS' DisplayVersion)" = 0.0.1 ] ||
	fail "Windows is told another version"
[ "$(find "$menu" -name '*.lnk' | wc -l)" = 4 ] || fail "the start menu has $(ls "$menu")"
expect <(tr -d '\0' <"$menu/Settings folder.lnk") 'C:\users\root\AppData\Local\PNS4OneS' "the link to the settings"
expect "$work/setup.log" 'localport=36695,36696 program="C:\Program Files\pns4ones\pns4ones.exe"' "the firewall rule"
use "$program" before
before=$(keys)
proven "installed silently"

setup 0 "$builds/new-setup.exe" /S
running || fail "the upgrade leaves a service that does not run"
[ "pns4ones $(version)" = "$(win "$zip/pns4ones.exe" -version)" ] || fail "the upgrade left $(version)"
[ "$(keys)" = "$before" ] || fail "the upgrade changed the keys"
[ ! -e "$program/pns4ones.exe.old" ] || fail "the old program is left"
use "$program" before
proven "upgraded: the keys are the same"

setup 2 "$builds/pns4ones-98.0.0-windows-amd64-setup.exe" /S
expect "$work/setup.log" "pns4ones?db" "a version that cannot start"
grep -q 'pns4ones.exe" stop$' "$work/setup.log" && fail "the service was stopped: $(cat "$work/setup.log")"
running || fail "a version that cannot start stops what runs"
proven "a new version that cannot start says why, and what runs goes on"

setup 2 "$builds/pns4ones-99.0.0-windows-amd64-setup.exe" /S
expect "$work/setup.log" "pixe" "a version that does not start"
expect "$work/setup.log" 'pns4ones.exe" stop' "the log of the installer"
running || fail "a version that does not start leaves a service that does not run"
cmp -s "$program/pns4ones.exe" "$zip/pns4ones.exe" || fail "the old program is not back"
[ "$(keys)" = "$before" ] || fail "the keys were changed"
proven "a new version that does not start: the old one is back and runs"

printf 'listen = "localhost"\nlissen = "*"\n' >"$folder/pns4ones.toml"
setup 2 "$builds/new-setup.exe" /S
expect "$work/setup.log" "pns4ones.toml:2: lissen" "settings with a mistake"
grep -q 'pns4ones.exe" stop$' "$work/setup.log" && fail "the service was stopped: $(cat "$work/setup.log")"
running || fail "settings with a mistake stop what runs"
rm "$folder/pns4ones.toml"
proven "settings with a mistake: named, and what runs goes on"

service stop >/dev/null
setup 0 "$builds/new-setup.exe" /S
running && fail "the upgrade starts a service that was stopped"
proven "an upgrade leaves a stopped service stopped"

touch "$folder/my.crt" "$program/mine.txt"
uninstall
win sc query PNS4OneS >/dev/null && fail "the service is still there"
[ -s "$folder/pns4ones.db" ] || fail "the keys are gone"
[ "$(ls "$program")" = "$(printf 'mine.txt\nuninstall.exe')" ] || fail "left in the program folder: $(ls "$program")"
[ ! -e "$menu" ] || fail "left in the start menu: $(ls "$menu")"
win reg query 'HKLM\Software\Microsoft\Windows\CurrentVersion\Uninstall\PNS4OneS' >/dev/null &&
	fail "Windows still lists it"
proven "uninstalled: settings and keys are kept, and what is not ours"

take 36696
setup 3 "$builds/new-setup.exe" /S
release
expect "$work/setup.log" "36696" "a taken port"
service stop >/dev/null
service start >/dev/null || fail "it does not start though its port is free: $(cat "$work/out")"
[ "$(keys)" = "$before" ] || fail "the keys of the earlier installation are gone"
uninstall /PURGE
[ "$(ls "$folder")" = my.crt ] || fail "/PURGE leaves $(ls "$folder")"
proven "a taken port is named; /PURGE removes settings and keys, and nothing else"
rm -r "$folder"

### the old product, of which an earlier version of ours plays the part
mkdir -p "$folder" "$drive/old product"
printf 'listen=localhost:7777\nlog_level=Error\n' >"$folder/pns4ones.ini"
cp "$here/testdata/keys" "$folder/keys"
cp "$builds/0.0.1/pns4ones.exe" "$drive/old product/PNS4OneS.exe"
old='C:\old product\PNS4OneS.exe -service=localhost:8270'
win sc create PNS4OneS binPath= "$old" start= demand obj= LocalSystem >/dev/null || fail "sc create: $(cat "$work/out")"
win sc start PNS4OneS >/dev/null || fail "sc start: $(cat "$work/out")"
setup 2 "$builds/pns4ones-99.0.0-windows-amd64-setup.exe" /S
[ "$(image)" = "$old" ] || fail "the service starts $(image)"
[ "$(win "$builds/0.0.1/pns4onesadmin.exe" status --json | jq -r .version)" = 0.0.1 ] ||
	fail "the old product does not run: $(cat "$work/out")"
[ "$(ls "$program")" = "$(printf 'mine.txt\nuninstall.exe')" ] || fail "left: $(ls "$program")"
proven "a new version that does not start beside the old product: that runs again"

win sc stop PNS4OneS >/dev/null || fail "sc stop: $(cat "$work/out")"
stopped() { win sc query PNS4OneS | grep -q STOPPED; }
eventually "the end of the old product" stopped
rm "$folder/pns4ones.db"
setup 0 "$builds/new-setup.exe" /S
expect "$work/setup.log" 'C:\old product\PNS4OneS.exe' "taking over"
[ "$(image)" = '"C:\Program Files\pns4ones\pns4ones.exe" -service=localhost:8270' ] ||
	fail "the service starts $(image)"
[ "$(registry 'SYSTEM\CurrentControlSet\Services\PNS4OneS' ObjectName)" = LocalSystem ] ||
	fail "the account was changed"
[ "$(registry 'SYSTEM\CurrentControlSet\Services\PNS4OneS' Start)" = 0x3 ] || fail "the start type was changed"
service start >/dev/null || fail "start: $(cat "$work/out")"
admin list | grep -q 'Склад' || fail "the old keys were not taken over"
admin status --json >"$work/status"
expect "$work/status" ":7777" "the old port"
expect "$work/status" ":8270" "the old flag"
[ ! -e "$folder/pns4ones.toml" ] || fail "a second settings file beside the old one"
uninstall /PURGE
[ "$(ls "$folder")" = "$(printf 'keys\npns4ones.ini')" ] || fail "/PURGE leaves $(ls "$folder")"
proven "the old product's service is taken over, with account, start type, flags, settings and keys"
