#!/usr/bin/env bash
# Proves packaging/monitoring with Debian's Prometheus: the alert rules do what their
# tests say, and each query of the Grafana dashboard finds something in what Prometheus
# scraped from a daemon under load that has HTTPS, refusals and a hand-over behind it.
# Needs go and a Debian machine; installs what it needs.
. "$(dirname "$0")/lib.sh"
if [ "${PNS4ONES_TEST_INSIDE:-}" != "$proof" ]; then
	need prometheus jq curl openssl
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	(cd "$project" && go build -o "$work" ./cmd/pns4ones ./cmd/pns4onesadmin ./cmd/pns4onesbench)
	PNS4ONES_TEST_INSIDE=$proof unshare --net --pid --fork --kill-child --mount-proc "$0" "$work"
	exit
fi
work=$1
ip link set lo up

cd "$project/packaging/monitoring"
promtool check rules alerts.yml >"$work/rules" || fail "the rules: $(cat "$work/rules")"
promtool test rules alerts_test.yml >"$work/rules" 2>&1 || fail "the rules: $(cat "$work/rules")"
for alert in $(sed -n 's/.*- alert: //p' alerts.yml); do
	grep -q "alertname: $alert\$" alerts_test.yml || fail "no test has $alert come"
done
proven "$(grep -c -- '- alert:' alerts.yml) alerts come when they should, and not on a quiet day"

cd "$work"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 90 -subj /CN=localhost \
	-addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out cert.pem 2>/dev/null
cat >pns4ones.toml <<-TOML
	listen = "127.0.0.1:36696"
	service = "127.0.0.1:36695"
	metrics_listen = "127.0.0.1:36698"
	control = "$work/control.sock"
	data_dir = "$work/data"
	ssl_mode = "FromFileWithPrivateKey"
	ssl_certificate = "cert.pem"
	ssl_certificate_key = "key.pem"
TOML
cat >prometheus.yml <<-YAML
	global: {scrape_interval: 1s, evaluation_interval: 1s}
	rule_files: [$project/packaging/monitoring/alerts.yml]
	scrape_configs: [{job_name: pns4ones, static_configs: [{targets: ["127.0.0.1:36698"]}]}]
YAML
# eventually waits for a command to succeed.
eventually() {
	for _ in $(seq 300); do
		if "$@" >/dev/null 2>&1; then return 0; fi
		sleep 0.1
	done
	return 1
}
admin() { ./pns4onesadmin --control control.sock --lang en "$@"; }

./pns4ones -config pns4ones.toml >daemon.log 2>&1 &
eventually curl -sf http://127.0.0.1:36698/healthz || fail "the daemon: $(cat daemon.log)"
prometheus --config.file=prometheus.yml --storage.tsdb.path=tsdb --web.listen-address=127.0.0.1:9090 >prometheus.log 2>&1 &
eventually curl -sf http://127.0.0.1:9090/-/ready || fail "prometheus: $(tail -n 3 prometheus.log)"

app=$(admin create --json Load | jq -r .id)
SSL_CERT_FILE=cert.pem ./pns4onesbench carry --control control.sock --app "$app" --up-to 100 >carry.log 2>&1 ||
	fail "the load: $(cat carry.log)"
admin listen --app "$app" --ib one --user ann >listen.log 2>&1 &
eventually sh -c './pns4onesadmin --control control.sock --json status | jq -e ".sessions == 1"' || fail 'no session'
admin upgrade >/dev/null 2>upgrade.log || fail "the upgrade: $(cat upgrade.log)"
admin upd_cli_key "$app" --grace 1d >/dev/null 2>&1
key=$(admin show "$app" --json | jq -r .server_key)
admin upd_srv_key "$app" --grace 7d >/dev/null 2>&1
for _ in $(seq 30); do # a few scrapes
	curl -sk -o /dev/null https://127.0.0.1:36696/auth?server_key="$key"
	curl -sk -o /dev/null https://127.0.0.1:36696/auth?server_key=nonsense
	printf x | timeout 1 openssl s_client -quiet -connect 127.0.0.1:36695 >/dev/null 2>&1 || true
	admin send --app "$app" --ib one --all --title t >/dev/null 2>&1
	sleep 0.1
done

# ask puts a query as the dashboard does, and prints how many series it found.
ask() {
	curl -sf --data-urlencode "query=$1" http://127.0.0.1:9090/api/v1/query | jq '.data.result | length'
}
queries=0
while IFS=$'\t' read -r title query; do
	query=${query//\$instance/.+} query=${query//\$__rate_interval/10s}
	found=$(ask "$query") || fail "«$title»: Prometheus refuses $query"
	[ "$found" -gt 0 ] || fail "«$title» is empty: $query"
	queries=$((queries + 1))
done < <(jq -r '.panels[] | .title as $t | .targets[]? | [$t, .expr] | @tsv' "$project/packaging/monitoring/grafana.json" | sed 's/\\\\/\\/g')
[ "$queries" -gt 25 ] || fail "only $queries queries were tried"
proven "$queries queries of the dashboard find something in a daemon under load"

for state in $(curl -sf http://127.0.0.1:9090/api/v1/rules | jq -r '.data.groups[].rules[].health'); do
	[ "$state" = ok ] || fail "a rule is $state"
done
proven 'the rules run on what the daemon really says'
