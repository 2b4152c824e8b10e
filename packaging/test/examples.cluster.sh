# The part «cluster» of examples.sh, which reads this file: what cluster.md says is done
# with three NATS servers, three daemons, nginx and HAProxy, on addresses of their own.

nats_port='' routes_port='' senders_from='' balancer='' net=''

# a_port is one that nothing listens on, below those that Linux gives outgoing connections.
a_port() {
	python3 - <<'PY'
import random, socket
while True:
    port = random.randrange(10000, 32000)
    with socket.socket() as s:
        try:
            s.bind(("", port))
        except OSError:
            continue
    print(port)
    break
PY
}

# here puts this machine in place of the three of the page: addresses, ports, files.
here() { # NODE
	sed -e "s/web\([123]\):4222/$net.1\1:$nats_port/g; s/web\([123]\):6222/$net.1\1:$routes_port/g" \
		-e "s/\"0\.0\.0\.0:4222\"/\"$net.1${1#web}:$nats_port\"/; s/\"0\.0\.0\.0:6222\"/\"$net.1${1#web}:$routes_port\"/" \
		-e "s/192\.168\.10\./$net./g; s/:36696/:$senders_from/g; s/36690/$balancer/g" \
		-e "s/\"web1\"/\"$1\"/; s,/var/lib/nats,$work/$1/nats,; s,/etc/pns4ones\b,$work/$1,g"
}

# on does what a block of the page says, as if on the machine of a node.
on() { # NODE BLOCK [LANG]
	local name=$1
	block "${3:-en}" cluster "$2" | here "$name" >"$work/$name/commands"
	PATH=$work/$name/programs:$PATH timeout 60 bash -euo pipefail "$work/$name/commands" >"$work/$name/said" 2>&1 ||
		{ cat "$work/$name/said" >&2; fail "cluster.md: $2 on $name"; }
}

# machine makes the folder of a node, with the programs that the page calls.
machine() { # NODE
	mkdir -p "$work/$1/programs"
	printf '#!/bin/sh\nexec %q --control %q --lang en "$@"\n' "$work/bin/pns4onesadmin" "$work/$1/control.sock" \
		>"$work/$1/programs/pns4onesadmin"
	printf '#!/bin/sh\nexec "$@"\n' >"$work/$1/programs/sudo"
	printf '#!/bin/sh\n' >"$work/$1/programs/chown" # there need not be a user pns4ones
	chmod 755 "$work/$1/programs"/*
}

# states are those of the nodes as one of them sees them: web1=live …
states() { admin "$1" nodes --json | jq -r '[.[] | .name + "=" + .state] | join(" ")'; }
sees() { [ "$(states "$1")" = "$2" ]; }

# posted sends a message to all of the infobase; $posted has the status and the two counts.
posted() { # URL
	sent=$((sent + 1))
	curl -sS -i --max-time 10 "$1/sendmessage" -H "Authorization: Bearer $token" \
		--data-binary "{\"Recipient\":{\"Type\":\"all\",\"IbId\":\"$ib\"},\"Message\":{\"Topic\":\"x\",\"Data\":{\"N\":\"$sent\"}}}" |
		tr -d '\r' >"$work/answer"
	posted=$(awk 'NR == 1 { s = $2 } tolower($1) == "x-delivered-sessions:" { d = $2 }
		tolower($1) == "x-unconfirmed-nodes:" { u = $2 } END { print s, d, u + 0 }' "$work/answer")
}
reaches() { posted "$1" && [ "$posted" = "200 $2" ]; }

# arrives sends through both balancers, and waits for the messages at nodes.
arrives() { # ANSWER NODE...
	local answer=$1 balanced name
	shift
	for balanced in "$by_nginx" "$by_haproxy"; do
		posted "$balanced"
		[ "$posted" = "200 $answer" ] || fail "through $balanced came “$posted” in place of “200 $answer”"
		for name in "$@"; do within grep -q "\"$sent\"" "$work/$name/messages"; done
	done
}

cluster_nodes() {
	local n name
	for n in 1 2 3; do
		name=web$n
		machine $name
		block en cluster nats | here $name >"$work/$name/nats.conf"
		"$work/bin/nats-server" -c "$work/$name/nats.conf" >"$work/$name/nats.log" 2>&1 &
		pids+=($!)
		nats_pids+=($!)
	done
	for n in 1 2 3; do within grep -q 'cluster new metadata leader\|new JetStream cluster metadata leader' "$work/web$n/nats.log"; done
	on web1 key
	[ "$(stat -c %a "$work/web1/cluster.key")" = 640 ] || fail "the key file has other permissions than the page says"
	for n in 1 2 3; do
		name=web$n
		[ $n = 1 ] || cp -p "$work/web1/cluster.key" "$work/$name/"
		block en cluster settings | here $name >"$work/$name/pns4ones.toml"
		"$work/bin/pns4ones" -config "$work/$name/pns4ones.toml" -check >/dev/null || fail "cluster.md: the settings"
		daemon $name -config "$work/$name/pns4ones.toml" -listen "$net.1$n:$senders_from"
		node_pids+=($!)
		within sh -c "'$work/$name/programs/pns4onesadmin' status --json | jq -e '.cluster.state == \"live\"'"
	done
	for n in 1 2 3; do within sees web$n "web1=live web2=live web3=live"; done
	on web2 see
	[ "$(grep -cE '^ *web[123] +live ' "$work/web2/said")" = 3 ] ||
		{ cat "$work/web2/said" >&2; fail "nodes does not show three live ones"; }
	on web3 see-there
	on web3 see ru
	on web1 see-there ru
	admin web1 list --json | jq -e 'length == 2' >/dev/null || fail "list on another node"
	[ "$(admin web1 status --json | jq .cluster.nats.replicas)" = 3 ] || fail "the apps are not on three NATS servers"
	ok "cluster.md: three NATS servers, three nodes by the page's settings; an app made on one is on the others"
}

cluster_balancers() {
	local at=$work/balancers
	mkdir -p "$at"
	{
		[ "$(id -u)" != 0 ] || echo 'user root;'
		echo "daemon off; worker_processes 1; pid $at/pid; error_log $at/nginx.log; events {}"
		echo "http { client_body_temp_path $at/b; proxy_temp_path $at/p; fastcgi_temp_path $at/f; uwsgi_temp_path $at/u; scgi_temp_path $at/s;"
		block en cluster nginx | here web1 | sed "s/listen $balancer/listen $net.1:$balancer/"
		echo '}'
	} >"$at/nginx.conf"
	nginx -p "$at" -e "$at/nginx.log" -c "$at/nginx.conf" >"$at/nginx.out" 2>&1 &
	pids+=($!)
	by_nginx=http://$net.1:$balancer
	block en cluster haproxy | here web1 | sed "s/bind :/bind $net.2:/" >"$at/haproxy.cfg"
	haproxy -c -f "$at/haproxy.cfg" >"$at/haproxy.out" 2>&1 || { cat "$at/haproxy.out" >&2; fail "cluster.md: HAProxy"; }
	haproxy -db -f "$at/haproxy.cfg" >>"$at/haproxy.out" 2>&1 &
	pids+=($!)
	by_haproxy=http://$net.2:$balancer
	key=$(admin web1 show "Cluster test" --json | jq -r .server_key)
	through() { token=$(curl -fsS --max-time 5 "$1/auth?server_key=$key" | jq -r .access_token); }
	within through "$by_haproxy"
	within through "$by_nginx"
	local name
	for name in web1 web2 web3; do
		admin_for_long $name listen --app "Cluster test" --ib $ib --user $user --json >"$work/$name/messages" 2>"$work/$name/listen.err" &
		pids+=($!)
		within grep -q 'waiting for messages' "$work/$name/listen.err"
	done
	arrives "3 0" web1 web2 web3
	ok "cluster.md: through nginx and HAProxy a message reaches the sessions of all three nodes"
}

admin_for_long() { exec "$work/bin/pns4onesadmin" --control "$work/$1/control.sock" --lang en "${@:2}"; }

cluster_key_changes() {
	local name step before
	before=$(cat "$work/web1/cluster.key")
	on web1 rotate-key
	for name in web2 web3; do cp -p "$work/web1/next.key" "$work/$name/"; done
	for step in add use end; do
		if [ $step = end ]; then
			on web1 rotate-done
		fi
		for name in web1 web2 web3; do
			on $name rotate-$step
			arrives "3 0" web1 web2 web3
		done
	done
	for name in web1 web2 web3; do
		[ "$(grep -c '^pns4ones-cluster-1' "$work/$name/cluster.key")" = 1 ] || fail "more than one key is left"
		[ "$(cat "$work/$name/cluster.key")" != "$before" ] || fail "the key is the one before"
		within sees $name "web1=live web2=live web3=live"
	done
	admin web2 create "With the new key" --json >/dev/null 2>"$work/created" || { cat "$work/created" >&2; fail "an app with the new key"; }
	admin web3 show "With the new key" >/dev/null
	ok "cluster.md: the key is changed, and no message is missed meanwhile"
}

killed() { { kill -9 "$@" && wait "$@"; } 2>/dev/null || true; }

cluster_fails() {
	local n
	killed "${node_pids[2]}"
	for n in 1 2 3 4; do arrives "2 1" web1 web2; done
	within sees web1 "web1=live web2=live web3=lost"
	within sees web2 "web1=live web2=live web3=lost"
	admin web1 cluster forget web3 2>/dev/null
	within sees web1 "web1=live web2=live"
	within reaches "http://$net.11:$senders_from" "2 0"
	ok "cluster.md: a node is killed: sending goes on, nodes says lost, forget ends X-Unconfirmed-Nodes"
	killed "${nats_pids[@]}"
	within sees web1 "web1=cut_off web2=lost"
	part_of_it() { [ "$(curl -s -o /dev/null -w '%{http_code}' "http://$net.1$1:$senders_from/healthz$2")" = "$3" ]; }
	for n in 1 2; do
		within part_of_it $n '?cluster' 503
		within part_of_it $n '' 200
	done
	within reaches "$by_nginx" "1 1"
	within reaches "$by_haproxy" "1 1"
	ok "cluster.md: NATS is gone: each node serves its own sessions, through both balancers"
}

# cluster_alike: in the other language the same configuration, with other comments.
cluster_alike() {
	local name without='s/ *#.*//'
	for name in nats nats-unit key settings nginx haproxy try-unit rotate-key rotate-add rotate-use rotate-done rotate-end; do
		diff <(block ru cluster $name | sed "$without") <(block en cluster $name | sed "$without") ||
			fail "cluster.md: “$name” is another one in Russian"
	done
	mkdir -p "$work/units"
	block en cluster try-unit | sed "s,/usr/bin/pns4ones,$work/bin/pns4ones,; s/^User=.*//" >"$work/units/pns4ones-try@.service"
	block en cluster nats-unit | sed "s,/usr/local/bin/nats-server,$work/bin/nats-server,; s/^User=.*//" \
		>"$work/units/nats-server.service"
	if have systemd-analyze; then
		systemd-analyze verify --man=no "$work/units/pns4ones-try@1.service" "$work/units/nats-server.service" \
			>"$work/units/out" 2>&1 || { cat "$work/units/out" >&2; fail "cluster.md: a unit"; }
		! grep -q "$work/units" "$work/units/out" || { cat "$work/units/out" >&2; fail "cluster.md: a unit"; }
	else
		echo "skipped: the units of cluster.md (there is no systemd-analyze)"
	fi
	mkdir -p "$work/try"
	"$work/bin/pns4onesadmin" cluster key new "$work/try/try.key" 2>/dev/null
	block en cluster try-unit | sed -n "s/^Environment=//p" | sed "s/%i/2/g; s,/etc/pns4ones-try,$work/try," >"$work/try/environment"
	(cd "$work/try" && xargs -d '\n' -a environment sh -c 'exec env "$@" "$0" -check' "$work/bin/pns4ones") >"$work/try/out" 2>&1 ||
		{ cat "$work/try/out" >&2; fail "cluster.md: the settings of the unit to try it"; }
	ok "cluster.md: both languages have the same configuration; its units and settings are correct"
}

check_cluster() {
	net=127.$((20 + RANDOM % 200)).$((RANDOM % 250))
	nats_port=$(a_port) routes_port=$(a_port) senders_from=$(a_port) balancer=$(a_port)
	local node_pids=() nats_pids=() by_nginx='' by_haproxy='' key='' token='' sent=1000 posted=''
	timeout 500 go build -o "$work/bin/nats-server" github.com/nats-io/nats-server/v2
	cluster_alike
	cluster_nodes
	if have haproxy && have nginx; then
		cluster_balancers
		cluster_key_changes
		cluster_fails
	else
		echo "skipped: the balancers of cluster.md (nginx or HAProxy is not here)"
	fi
}
