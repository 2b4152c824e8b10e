#!/usr/bin/env bash
# The bundle of the add-in in OneScript, a host that is not ours: loads it as 1C
# does, every property and method by both names, two objects, messages to a user, a
# group and everybody, and 10 000 of them in order. addin.sh calls it.
#
#   addin-onescript.sh PROGRAMS BUNDLE ONESCRIPT [COUNT]
#
# PROGRAMS has the daemon and the admin program, ONESCRIPT is the program oscript.
. "$(dirname "$0")/lib.sh"
programs=$(realpath "$1") bundle=$(realpath "$2") oscript=$(realpath "$3") count=${4:-10000}
need libicu72 jq curl
work=$(mktemp -d)
trap 'kill $daemon $script 2>/dev/null || true; rm -rf "$work"' EXIT
daemon='' script=''
http=$((21000 + RANDOM % 5000)) tcp=$((26001 + RANDOM % 5000))
admin() { "$programs/pns4onesadmin" --control "$work/control.sock" --json "$@"; }
XDG_CONFIG_HOME=$work "$programs/pns4ones" -listen "127.0.0.1:$http" -service "127.0.0.1:$tcp" -data_dir "$work" \
	-control "$work/control.sock" >"$work/daemon.log" 2>&1 &
daemon=$!
eventually "the start of the daemon" admin status
admin create proof >"$work/app.json" 2>/dev/null
word() { jq -r ".$1" "$work/app.json"; }

# OneScript forgets to hold the function that an add-in calls for an event: once its
# memory has been collected, the next event kills it. So it is given enough not to.
DOTNET_GCgen0size=80000000 ONESCRIPT_ADDIN_EVENTS=$work/events "$oscript" "$here/testdata/addin.os" "$bundle" \
	127.0.0.1 "$tcp" "$(word id)" "$(word client_key)" "$work/stop" >"$work/said" 2>&1 &
script=$!
connected() { grep -q подключены "$work/said" || ! kill -0 "$script"; }
eventually "the connection of OneScript's objects" connected
expect "$work/said" подключены "OneScript"
token=$(curl -sS "http://127.0.0.1:$http/auth?server_key=$(word server_key)" | jq -r .access_token)
# send posts to a recipient, and wants a number of sessions.
send() {
	local want=$1 recipient=$2 topic=$3 message got
	message="{\"Topic\": \"$topic\", \"Data\": {\"к\": \"в кавычках 😀\"}}"
	got=$(curl -sS -D - -o /dev/null -H "Authorization: Bearer $token" "http://127.0.0.1:$http/sendmessage" \
		-d "{\"Recipient\": {$recipient, \"IbId\": \"ib\"}, \"Message\": $message}" |
		tr -d '\r' | sed -n 's/^X-Delivered-Sessions: //p')
	[ "$got" = "$want" ] || fail "$topic: $got sessions, want $want"
}
send 1 '"Type": "user", "UserId": "user-1"' 'пользователю'
send 1 '"Type": "group", "UserGroup": "группа"' 'группе'
send 2 '"Type": "all"' 'всем'
python3 - "$http" "$token" "$count" <<-'PYTHON'
	import http.client, json, sys
	port, token, count = sys.argv[1:]
	connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=60)
	for number in range(int(count)):
	    body = {"Recipient": {"Type": "user", "IbId": "ib", "UserId": "user-2"}, "Message": {"Topic": str(number)}}
	    connection.request("POST", "/sendmessage", json.dumps(body), {"Authorization": "Bearer " + token})
	    response = connection.getresponse()
	    response.read()
	    if response.status != 200 or response.headers["X-Delivered-Sessions"] != "1":
	        sys.exit("message %d: %d, %s sessions" % (number, response.status, response.headers["X-Delivered-Sessions"]))
PYTHON
arrived() { [ "$(grep -c '"event"' "$work/events")" -ge $((count + 4)) ]; }
eventually "the arrival of all messages" arrived
touch "$work/stop"
wait "$script" || fail "OneScript: $(cat "$work/said")"
expect "$work/said" отключены "OneScript"
grep -q '"error"' <(jq -r '.[0]' "$work/events") && fail "the add-in raises errors: $(cat "$work/events")"
jq -r '.[3] | fromjson | .topic' "$work/events" >"$work/topics"
wanted=$(printf '%s\n' пользователю группе всем всем | sort | xargs)
[ "$(grep -v '^[0-9]' "$work/topics" | sort | xargs)" = "$wanted" ] ||
	fail "events: $(head -n 8 "$work/events")"
[ "$(jq -r '.[3] | fromjson | .data["к"] // empty' "$work/events" | sort -u)" = 'в кавычках 😀' ] ||
	fail "a text has changed: $(head -n 4 "$work/events")"
diff <(seq 0 $((count - 1))) <(grep '^[0-9]' "$work/topics") >/dev/null || fail "messages are missing or out of order"
proven "OneScript: every property and method by both names, two objects, user, group, all, $count messages in order"
