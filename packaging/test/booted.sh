#!/usr/bin/env bash
# Proves the packages where systemd really runs: in a container that boots. The deb
# is installed, hardened, used, reloaded, restarted, upgraded and removed; the port
# is taken, or below 1024; the old product runs; install.sh does its work.
#
#   booted.sh NEW.deb OLD.deb NEW.tar.gz
#
# ADDIN=FOLDER has the add-in for 1C and its host (packaging/1c/addin/build.sh): then one
# is connected over everything that sessions outlive.
. "$(dirname "$0")/lib.sh"
new=$(realpath "$1") old=$(realpath "$2") tar=$(realpath "$3")
need systemd-container util-linux
fire=${FIRE:-$(mktemp -d)/fire} # holds sessions and sends
export FIRE=$fire
[ -e "$fire" ] || (cd "$project" && CGO_ENABLED=0 go test -c -o "$fire" ./cmd/pns4ones)
own_namespaces "$new" "$old" "$tar"

# boot starts the root and waits until it is up.
boot() {
	mkdir "$root/packages"
	cp "$new" "$root/packages/new.deb"
	cp "$old" "$root/packages/old.deb"
	cp "$tar" "$root/packages/new.tar.gz"
	cp "$here/use.sh" "$here/testdata/keys" "$fire" "$root/packages"
	[ -z "${ADDIN:-}" ] || cp "$ADDIN"/PNS4OneSComp_Lin64_*.so "$ADDIN/host" "$root/packages"
	UNIFIED_CGROUP_HIERARCHY=no setsid systemd-nspawn -q -D "$root" -M "pns4ones-$$" \
		--boot --register=no --keep-unit --private-network \
		--console=read-only >"$work/boot.log" 2>&1 </dev/null &
	nspawn=$!
	for _ in $(seq 300); do
		leader=$(pgrep -P "$nspawn" | head -n 1 || true)
		if [ -n "$leader" ]; then
			case $(inside systemctl is-system-running 2>/dev/null || true) in
			running | degraded) return ;;
			esac
		fi
		sleep 0.1
	done
	fail "the container does not boot: $(tail -n 20 "$work/boot.log")"
}

halt() {
	inside systemctl poweroff >/dev/null 2>&1 || true
	wait "$nspawn" || true
}

# inside runs a command in the booted container.
inside() {
	nsenter --target "$leader" --all env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		HOME=/root LC_ALL=C.UTF-8 LANG=C.UTF-8 \
		PNS4ONES_LANG=en DEBIAN_FRONTEND=noninteractive "$@"
}
view=inside
sh_inside() { inside sh -ec "$1"; }

install() { inside dpkg -i "/packages/$1" >"$work/install.log" 2>&1 || fail "dpkg -i $1: $(cat "$work/install.log")"; }
active() { inside systemctl --quiet is-active pns4ones; }
main_pid() { inside systemctl show --property MainPID --value pns4ones; }

fresh_root deb
boot

### installing, hardening, using
install old.deb
active || fail "the service does not run: $(inside journalctl -u pns4ones --no-pager)"
inside systemctl --quiet is-enabled pns4ones || fail "the service is not enabled"
inside /packages/use.sh before
inside runuser -u nobody -- pns4onesadmin status >"$work/nobody" 2>&1 && fail "anybody may administer"
inside usermod --append --groups pns4ones nobody
inside runuser -u nobody -- pns4onesadmin status >/dev/null || fail "the group may not administer"
expect_files "running" <<-FILES
	0750 pns4ones pns4ones /run/pns4ones
	0660 pns4ones pns4ones /run/pns4ones/control.sock
	0700 pns4ones pns4ones /var/lib/pns4ones
	0600 pns4ones pns4ones /var/lib/pns4ones/pns4ones.db
FILES
# A container may have a lower limit that it cannot raise: only what is asked for is
# looked at.
[ "$(inside systemctl show --property LimitNOFILE --value pns4ones)" = 1000000 ] ||
	fail "the unit asks for another limit of open files"
inside grep -q '^NoNewPrivs:\s*1' "/proc/$(main_pid)/status" || fail "the service can get privileges"
inside grep -q '^CapEff:\s*0000000000000400' "/proc/$(main_pid)/status" ||
	fail "the service has other privileges than its ports"
for property in FileDescriptorStoreMax=4 NotifyAccess=all OOMPolicy=continue; do
	[ "$(inside systemctl show --property "${property%=*}" pns4ones)" = "$property" ] ||
		fail "systemd does not take $property"
done
exposure=$(inside systemd-analyze security --no-pager pns4ones.service | tail -n 1)
case $exposure in
*OK* | *SAFE*) proven "hardened: ${exposure#→ }" ;;
*) fail "systemd-analyze security: $exposure" ;;
esac

### reloading and restarting
sh_inside 'echo "log_level = \"Information\"" >>/etc/pns4ones/pns4ones.toml; systemctl reload pns4ones'
eventually "the reload" sh_inside 'pns4onesadmin status --json | grep -q "\"log_level\": *\"Information\""'
sh_inside 'echo "lissen = 1" >>/etc/pns4ones/pns4ones.toml'
inside systemctl reload pns4ones >/dev/null 2>&1 && fail "a reload with bad settings passes"
inside journalctl -u pns4ones --no-pager >"$work/journal"
expect "$work/journal" "lissen" "the journal after a reload with bad settings"
active || fail "a reload with bad settings ended the service"
sh_inside 'sed -i /lissen/d /etc/pns4ones/pns4ones.toml'
pid=$(main_pid)
inside systemctl restart pns4ones
[ "$(main_pid)" != "$pid" ] || fail "it was not restarted"
inside /packages/use.sh before
sh_inside "kill -KILL $(main_pid)"
eventually "the restart after a crash" sh_inside "systemctl is-active pns4ones && [ \$(systemctl show -P MainPID pns4ones) != $pid ] && pns4onesadmin status"
inside /packages/use.sh before
proven "reloaded, restarted, and back by itself after it was killed"

### sessions outlive restarts and upgrades
# hold opens sessions and sends to them until release, which reads what came of it.
hold() {
	mkfifo "$root/packages/hold"
	inside sh -c 'exec /packages/fire -test.run WhateverHappens -test.v -fire.sessions 2000 -fire.control /run/pns4ones/control.sock </packages/hold' >"$work/held" 2>&1 &
	holding=$!
	exec 8>"$root/packages/hold"
	eventually "2000 sessions" grep -q ready "$work/held"
	[ -z "${ADDIN:-}" ] || hold_addin
}
release() {
	[ -z "${ADDIN:-}" ] || release_addin "$1"
	exec 8>&-
	wait "$holding" || fail "$1: $(cat "$work/held"; inside journalctl -u pns4ones --no-pager -n 30)"
	rm "$root/packages/hold"
	proven "$1: $(sed -n 's/.*go:[0-9]*: \([0-9]* messages\)/\1/p' "$work/held")"
}
# hold_addin connects an add-in; release_addin wants that it has noticed nothing, and that
# messages arrive.
hold_addin() {
	local key
	key=$(inside pns4onesadmin show before --json)
	of_app() { grep -o "\"$1\": *\"[^\"]*\"" <<<"$key" | cut -d'"' -f4; }
	mkfifo "$root/packages/steps"
	inside sh -c 'exec /packages/host /packages/PNS4OneSComp_Lin64_*.so - </packages/steps' >"$work/said" 2>&1 &
	adding=$!
	exec 7>"$root/packages/steps"
	printf 'new\t1\nconnect\t1\tlocalhost\t36695\t%s\tdemo\tbob\t\t%s\nstate\t1\tconnected\t20000\n' "$(of_app id)" \
		"$(of_app client_key)" >&7
	eventually "the connection of the add-in" grep -q '"did":"state".*"connected"' "$work/said"
}
release_addin() {
	inside pns4onesadmin send --app before --ib demo --user bob --title "$1" >"$work/sent" 2>&1
	eventually "a message to the add-in after $1" grep -qF "$1" "$work/said"
	printf 'get\t1\tStatistics\nrelease\t1\n' >&7
	exec 7>&-
	wait "$adding" || fail "the add-in's host: $(cat "$work/said")"
	rm "$root/packages/steps"
	expect "$work/said" 'reconnects\":0,' "$1, to the add-in"
	! grep -qF '"data":"{\"error' "$work/said" || fail "$1: the add-in shows an error: $(cat "$work/said")"
	proven "$1: the add-in stays connected"
}
hold
for _ in 1 2 3; do
	pid=$(main_pid)
	inside systemctl restart pns4ones
	[ "$(main_pid)" != "$pid" ] || fail "it was not restarted"
done
pid=$(main_pid)
inside pns4onesadmin upgrade >"$work/upgrade" 2>&1 || fail "the upgrade ends with status $?: $(cat "$work/upgrade")"
eventually "systemd follows the new process" sh_inside "[ \$(systemctl show -P MainPID pns4ones) != $pid ] && systemctl is-active pns4ones"
pid=$(main_pid)
cat >"$root/packages/broken" <<-'BROKEN'
	#!/bin/sh
	case "$*" in *-check*) exit 0 ;; esac
	exit 3
BROKEN
sh_inside 'chmod 755 /packages/broken; mv /usr/bin/pns4ones /usr/bin/pns4ones.good; cp /packages/broken /usr/bin/pns4ones'
status=0
inside pns4onesadmin upgrade >"$work/upgrade" 2>&1 || status=$?
[ "$status" = 1 ] || fail "an upgrade to a program that ends has status $status: $(cat "$work/upgrade")"
expect "$work/upgrade" "cannot take over" "an upgrade to a program that ends"
[ "$(main_pid)" = "$pid" ] && active ||
	fail "after a failed upgrade the service is $(inside systemctl is-active pns4ones)"
sh_inside 'mv /usr/bin/pns4ones.good /usr/bin/pns4ones'
inside systemctl restart pns4ones
release "three restarts, an upgrade, one that fails, a restart"

# Upgrades in a row, with the settings read again in between: systemd follows each process.
hold
for _ in 1 2 3; do
	pid=$(main_pid)
	inside pns4onesadmin upgrade >"$work/upgrade" 2>&1 || fail "an upgrade in a row: $(cat "$work/upgrade")"
	eventually "systemd follows the new process" sh_inside \
		"[ \$(systemctl show -P MainPID pns4ones) != $pid ] && systemctl is-active pns4ones"
	inside systemctl reload pns4ones
	inside test -d "/proc/$(main_pid)" || fail "systemd follows a process that is gone"
done
# Two restarts, the second one amid the first.
inside systemctl restart --no-block pns4ones
sleep 0.079
inside systemctl restart pns4ones
# A start that fails, while systemd waits to try again: the store is kept.
sh_inside 'echo "lissen = 1" >>/etc/pns4ones/pns4ones.toml'
inside systemctl restart pns4ones >/dev/null 2>&1 && fail "it starts with bad settings"
eventually "systemd tries again" sh_inside '[ "$(systemctl show -P NRestarts pns4ones)" -ge 1 ]'
active && fail "it runs with bad settings"
sh_inside 'sed -i /lissen/d /etc/pns4ones/pns4ones.toml'
eventually "the service starts again by itself" active
release "upgrades and reloads in a row, two restarts at once, a start that fails"

# Either process of an upgrade is killed: whatever that costs, the service is there again,
# and systemd follows the process that serves.
for victim in old new; do
	for delay in 0.05 0.15 0.3; do
		pid=$(main_pid)
		inside pns4onesadmin upgrade >"$work/upgrade" 2>&1 &
		asking=$!
		sleep "$delay" # any moment will do
		if [ "$victim" = old ]; then
			sh_inside "kill -KILL $pid" || true
		else
			sh_inside "for p in \$(pidof pns4ones); do [ \$p = $pid ] || kill -KILL \$p; done" || true
		fi
		wait "$asking" || true
		# In a container with the old control groups nobody tells systemd that the successor,
		# which it did not start, has ended too: it waits for TimeoutStopSec and RestartSec.
		patience=60 eventually "the service after the $victim process was killed" sh_inside \
			'systemctl is-active pns4ones && [ "$(pns4onesadmin status --json | tr -d " " | grep -o "\"pid\":[0-9]*" | cut -d: -f2)" = "$(systemctl show -P MainPID pns4ones)" ]'
	done
done
inside /packages/use.sh before
proven "either process of an upgrade killed: the service comes back, and systemd follows it"

### upgrading
hold
key=$(inside pns4onesadmin show before --json | keys)
pid=$(main_pid)
install new.deb
active || fail "the service does not run after the upgrade: $(cat "$work/install.log")"
[ "$(main_pid)" != "$pid" ] || fail "the old version still runs"
[ "$(inside pns4onesadmin show before --json | keys)" = "$key" ] || fail "the upgrade changed the keys"
sh_inside 'pns4onesadmin status --json' | grep -qF "\"$(dpkg-deb -f "$new" Version)\"" || fail "another version runs"
inside /packages/use.sh before
release "upgraded: the new version runs, with settings and keys"

### a version that could not start does not stop the one that runs
pid=$(main_pid)
sh_inside 'echo "lissen = 1" >>/etc/pns4ones/pns4ones.toml'
install new.deb
expect "$work/install.log" "lissen" "the log of an upgrade with bad settings"
[ "$(main_pid)" = "$pid" ] || fail "an upgrade with bad settings stopped the service"
inside /packages/use.sh before
sh_inside 'sed -i /lissen/d /etc/pns4ones/pns4ones.toml'
proven "an upgrade with bad settings leaves the service running"

### a stopped service stays stopped
inside systemctl stop pns4ones
install new.deb
active && fail "an upgrade started a service that was stopped"
inside systemctl start pns4ones

### a port below 1024
sh_inside 'echo "listen = \"localhost:443\"" >>/etc/pns4ones/pns4ones.toml; systemctl restart pns4ones'
inside /packages/use.sh before
proven "a port below 1024"

### removing, and a port that is taken
inside dpkg -P pns4ones >/dev/null 2>&1
inside systemctl --quiet is-active pns4ones && fail "the service runs after its removal"
inside systemctl list-units --all --no-pager 'pns4ones*' | grep -q 'pns4ones.service' &&
	fail "systemd still knows the unit"
inside systemd-socket-activate --listen=36696 sleep 600 >/dev/null 2>&1 &
eventually "the port is taken" sh_inside 'grep -q ":8F58 .* 0A " /proc/net/tcp /proc/net/tcp6'
install new.deb
expect "$work/install.log" "36696" "the log of an installation whose port is taken"
[ "$(inside dpkg-query -W -f '${Status}' pns4ones)" = "install ok installed" ] ||
	fail "a taken port left the package half installed"
sh_inside 'for p in /proc/[0-9]*; do case $(cat $p/comm) in systemd-socket-*|sleep) kill ${p#/proc/};; esac; done'
eventually "the service starts when the port is free" inside systemctl is-active pns4ones
inside /packages/use.sh
proven "a port that is taken at installation is named; the service starts when it is free"
inside dpkg -P pns4ones >/dev/null 2>&1

### the old product runs, with its ports
old_product
cat >"$root/opt/pns4ones/pns4ones" <<-'OLD'
	#!/bin/sh
	exec systemd-socket-activate --listen=127.0.0.1:7777 --listen=127.0.0.1:8270 sleep 600
OLD
chmod +x "$root/opt/pns4ones/pns4ones"
sh_inside 'systemctl daemon-reload; systemctl start pns4ones'
eventually "the old product listens" sh_inside 'grep -q ":1E61 .* 0A " /proc/net/tcp'
install new.deb
expect "$work/install.log" "another service of the same name was stopped" "the log of the installation"
active || fail "the service does not run: $(cat "$work/install.log")"
inside /packages/use.sh 'Склад'
sh_inside 'pns4onesadmin status --json' >"$work/status"
expect "$work/status" ":7777" "the old port"
proven "the old product's place is taken: settings, keys and ports"
inside dpkg -P pns4ones >/dev/null 2>&1
sh_inside 'rm -rf /etc/pns4ones /etc/systemd/system/pns4ones.service.replaced /opt/pns4ones; systemctl daemon-reload'

### install.sh
sh_inside 'tar xzf /packages/new.tar.gz -C /opt/; /opt/pns4ones/install.sh' >"$work/install.log" 2>&1 ||
	fail "install.sh: $(cat "$work/install.log")"
active || fail "install.sh did not start the service"
inside /packages/use.sh before
pid=$(main_pid)
sh_inside /opt/pns4ones/install.sh >/dev/null
[ "$(main_pid)" != "$pid" ] || fail "install.sh did not start the new version"
inside /packages/use.sh before
install new.deb # which takes its place
active || fail "the deb did not take the place of install.sh"
inside /packages/use.sh before
sh_inside /opt/pns4ones/install.sh >"$work/install.log" 2>&1 && fail "install.sh installs beside a package"
inside dpkg -r pns4ones >/dev/null
sh_inside '/opt/pns4ones/install.sh; /opt/pns4ones/install.sh --purge' >/dev/null
active && fail "the service runs after --purge"
proven "install.sh installs, upgrades, gives way to the deb, and removes"

halt
