#!/usr/bin/env bash
# Proves the manual in packaging/doc: takes the examples out of the Markdown pages,
# runs them against a daemon of its own on free ports, and checks that a session
# receives what they send. Also: links, both languages, settings, commands, messages.
#
#   packaging/test/examples.sh [cluster | install]     cluster: only what cluster.md says
#                                                      install: nothing but what it needs
#
# Needs go, openssl, curl, jq, python3; php, nginx, HAProxy and Apache are installed with apt
# if they are missing, without starting them. Nothing is left running.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD doc=$PWD/packaging/doc part=${1:-all}
case $part in all | cluster | install) ;; *) echo "examples.sh: there is no part $part" >&2; exit 2 ;; esac
for v in $(compgen -v PNS4ONES_ || true); do unset "$v"; done
export LC_ALL=C.UTF-8 TZ=UTC PATH=$PATH:/usr/sbin

work=$(mktemp -d)
pids=()
finish() {
	local status=$?
	if [ ${#pids[@]} -gt 0 ]; then
		kill "${pids[@]}" 2>/dev/null || true
		wait "${pids[@]}" 2>/dev/null || true
	fi
	if [ "$status" != 0 ]; then
		echo "examples.sh: FAILED; see $work" >&2
	else
		rm -rf "$work"
	fi
}
trap finish EXIT

ok() { echo "ok: $*"; }
fail() { echo "FAILED: $*" >&2; exit 1; }

# within repeats a command for up to fifteen seconds until it succeeds.
within() {
	local n
	for n in $(seq 300); do
		if "$@" >/dev/null 2>&1; then return 0; fi
		sleep 0.05
	done
	fail "waited in vain for: $*"
}

# block prints a marked example: what stands between the fences after its marker.
block() { # LANG PAGE NAME
	local text
	text=$(awk -v marker="<!-- test: $3 -->" '
		$0 == marker { found = 1; next }
		found && /^```/ { if (inside) exit; inside = 1; next }
		found && inside' "$doc/$1/$2.md")
	[ -n "$text" ] || fail "$1/$2.md has no example “$3”"
	printf '%s\n' "$text"
}

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

have() { command -v "$1" >/dev/null; }

install_missing() {
	local packages=()
	[ "$part" = cluster ] || have php || packages+=(php-cli)
	have nginx || packages+=(nginx-light)
	have haproxy || packages+=(haproxy)
	[ "$part" = cluster ] || have apache2 || have httpd || packages+=(apache2)
	have jq || packages+=(jq)
	have openssl || packages+=(openssl)
	have curl || packages+=(curl)
	[ ${#packages[@]} -gt 0 ] || return 0
	have apt-get || fail "missing here: ${packages[*]}"
	{
		# Nothing that is installed may start a service.
		local policy=/usr/sbin/policy-rc.d ours=
		if [ ! -e $policy ]; then
			printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy && ours=1
		fi
		DEBIAN_FRONTEND=noninteractive timeout 300 apt-get update -qq || true
		DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 timeout 300 apt-get install \
			-y -qq --no-install-recommends "${packages[@]}"
		[ -z "$ours" ] || rm -f $policy
	} >"$work/apt.log" 2>&1 || fail "could not install ${packages[*]}; see $work/apt.log"
}

# daemon starts one in a folder of its own; more arguments are its flags.
daemon() { # NAME FLAG...
	local name=$1
	shift
	mkdir -p "$work/$name"
	"$work/bin/pns4ones" -data_dir "$work/$name/data" -control "$work/$name/control.sock" -service localhost:0 "$@" \
		>"$work/$name/out" 2>"$work/$name/err" &
	pids+=($!)
	within admin "$name" status
}

admin() { # DAEMON COMMAND...
	local name=$1
	shift
	timeout 20 "$work/bin/pns4onesadmin" --control "$work/$name/control.sock" --lang en "$@"
}

senders_port() { admin "$1" status --json | jq -r '.listen | split(":") | last'; }

# received waits as a 1C session with the ids of the examples, runs a command that
# sends, and checks that the message arrived and the sender was told of 1 session.
ib=d2273d53-b633-4817-a006-4fa627a5dea9
user=4f0b2a51-6c1e-4f9e-9a57-0d6c3c9f1b11
received() { # DAEMON COMMAND...
	local name=$1 listener
	shift
	: >"$work/listen.err" # it may say what the one before said until this one begins
	admin "$name" listen --app Manual --ib $ib --user $user --json --count 1 >"$work/message" 2>"$work/listen.err" &
	listener=$!
	within grep -q 'waiting for messages' "$work/listen.err"
	(cd "$work" && timeout 20 "$@" >"$work/sent" 2>&1) || { cat "$work/sent" >&2; fail "$*"; }
	grep -qiE '(X-Delivered-Sessions|sessions): 1' "$work/sent" ||
		{ cat "$work/sent" >&2; fail "not told of one session: $*"; }
	wait $listener || { cat "$work/listen.err" >&2; fail "no message for: $*"; }
	jq -e '.notification.title == "Новый заказ" and .notification.body == "№ 00-013390"' "$work/message" >/dev/null ||
		fail "another message: $(cat "$work/message")"
}

# senders runs the three examples of senders.md against a URL.
senders() { # DAEMON LANG URL
	local name=$1 lang=$2 url=$3 example
	export SERVER_KEY CURL_CA_BUNDLE SSL_CERT_FILE
	for example in curl python php; do
		block "$lang" senders $example | sed "s,http://push\.example\.com:36696,$url,g" >"$work/example.$example"
		case $example in
		curl) received "$name" bash -euo pipefail "$work/example.curl" ;;
		python) received "$name" python3 "$work/example.python" ;;
		php) received "$name" php "$work/example.php" ;;
		esac
	done
}

new_app() { # DAEMON
	SERVER_KEY=$(admin "$1" create Manual --json 2>/dev/null | jq -r .server_key)
}

# local_names puts this machine in place of the names and addresses of the manual.
local_names() { sed -e 's/push\.example\.com/localhost/g' -e 's/192\.168\.10\.3/127.0.0.1/g' \
	-e "s,/etc/[a-z0-9]*/tls/,$1/,g"; }

# ---------------------------------------------------------------- pages

check_pages() {
	local lang page name
	diff <(cd "$doc/ru" && ls) <(cd "$doc/en" && ls) || fail "ru and en have different pages"
	for page in "$doc"/ru/*.md; do
		name=$(basename "$page")
		diff <(grep -o '^<!-- test: .* -->' "$page") <(grep -o '^<!-- test: .* -->' "$doc/en/$name") ||
			fail "$name: different examples in ru and en"
		diff <(grep -c '^#' "$page") <(grep -c '^#' "$doc/en/$name") || fail "$name: different structure in ru and en"
		grep -q "ru/$name" "$doc/README.md" && grep -q "en/$name" "$doc/README.md" ||
			fail "README.md does not list $name"
	done
	ok "ru and en have the same pages, sections and examples"

	python3 - "$doc" <<'PY'
import os, re, sys
bad = 0
for folder, _, files in os.walk(sys.argv[1]):
    for name in files:
        if not name.endswith(".md"):
            continue
        path = os.path.join(folder, name)
        text = re.sub(r"^```.*?^```", "", open(path, encoding="utf-8").read(), flags=re.S | re.M)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            file, _, anchor = target.partition("#")
            if re.match(r"[a-z]+:", target):
                continue
            where = os.path.normpath(os.path.join(folder, file)) if file else path
            if not os.path.exists(where):
                bad += 1
                print(f"{path}: {target}: there is no such file", file=sys.stderr)
            elif anchor:
                heads = re.findall(r"^#+ (.*)$", open(where, encoding="utf-8").read(), flags=re.M)
                slugs = {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in heads}
                if anchor not in slugs:
                    bad += 1
                    print(f"{path}: {target}: there is no such section", file=sys.stderr)
sys.exit(bad > 0)
PY
	ok "all links lead somewhere"

	local setting command
	for setting in $("$work/bin/pns4ones" -print_config | sed -n 's/^# \([a-z_]*\) = .*/\1/p'); do
		for lang in ru en; do
			grep -q "\`$setting\`" "$doc/$lang/settings.md" || fail "$lang/settings.md does not tell of $setting"
		done
	done
	ok "settings.md tells of each setting of pns4ones -print_config"
	for command in $("$work/bin/pns4onesadmin" --help | sed -n 's/^  \([a-z_]\{3,\}\) .*/\1/p'); do
		for lang in ru en; do
			grep -qE "\`$command[\` ]|pns4onesadmin $command( |\$)" "$doc/$lang/admin.md" ||
				fail "$lang/admin.md does not tell of $command"
		done
	done
	ok "admin.md tells of each command of pns4onesadmin"

	python3 - "$doc" "$work/bin" <<'PY'
import functools, glob, re, subprocess, sys
doc, programs, bad = sys.argv[1], sys.argv[2], 0
@functools.cache
def help_of(*command):
    return subprocess.run([programs + "/" + command[0], *command[1:]], capture_output=True, text=True).stdout
everywhere = help_of("pns4onesadmin", "--help")
commands = set(re.findall(r"^  ([a-z_]{3,}) ", everywhere, flags=re.M))
for page in sorted(glob.glob(doc + "/*/*.md")):
    text = re.sub(r"\\\n *", " ", open(page, encoding="utf-8").read())
    for options, rest in re.findall(r"pns4onesadmin((?: --[a-z]+ [A-ZА-Я/a-z0-9.-]+)*) ([^`\n|;)>]*)", text):
        command = rest.split(" ")[0]
        if command not in commands and (re.match("[a-z_]+$", command) or command.startswith("-")) and not re.search(r"[—–]|uninstall", rest):
            if command in ("и", "and", "by", "status,", "has") or command.startswith("--help"):
                continue
            bad += 1
            print(f"{page}: no such command: pns4onesadmin {rest}", file=sys.stderr)
            continue
        if command in commands:
            for flag in re.findall(r"(?<= )--?[a-z][a-z-]*", options + " " + re.sub(r'"[^"]*"', "", rest)):
                if flag in ("-since",):
                    continue
                if not re.search(rf"(^|[ ,]){flag}[ ,\n]", help_of("pns4onesadmin", command, "--help") + everywhere):
                    bad += 1
                    print(f"{page}: no such option {flag}: pns4onesadmin {rest}", file=sys.stderr)
    for call in re.findall(r"(?<![\w/-])(?<!-[oug] )pns4ones((?: [^`\n|;>]*)?)", text):
        if " -" not in call[:2]:
            continue
        for flag in re.findall(r"(?<= )-([a-z_]+)", call):
            if not re.search(rf"^  {flag} |\[-{flag}", help_of("pns4ones", "-h"), flags=re.M):
                bad += 1
                print(f"{page}: no such flag -{flag}: pns4ones{call}", file=sys.stderr)
sys.exit(bad > 0)
PY
	ok "the commands and options that the pages name exist"

	# What trouble.md quotes are the programs' own words; … stands for what varies.
	python3 - "$root" <<'PY'
import glob, re, sys, tomllib
root, bad, count = sys.argv[1], 0, 0
def texts(value):
    if isinstance(value, dict):
        for v in value.values():
            yield from texts(v)
    else:
        yield value
source = "\n".join(open(f, encoding="utf-8").read() for f in glob.glob(root + "/**/*.go", recursive=True) if not f.endswith("_test.go"))
for lang in ("ru", "en"):
    words = []
    for f in glob.glob(f"{root}/config/locale/text/*.{lang}.toml"):
        words += texts(tomllib.load(open(f, "rb")))
    near = next(w for w in words if "{{.name}}" in w and w.startswith(" "))
    words = [w.replace("{{.near}}", near) for w in words]
    known = re.sub(r"\s+", " ", re.sub(r"\{\{.*?\}\}", "", "\n".join(words))) + source
    for line in open(f"{root}/packaging/doc/{lang}/trouble.md", encoding="utf-8"):
        if not line.startswith("> "):
            continue
        count += 1
        for part in re.split("…", line[2:].strip()):
            part = part.strip(" `«»“”:,")
            if part and part not in known:
                bad += 1
                print(f"{lang}/trouble.md: the programs do not say: {part}", file=sys.stderr)
if bad or not count:
    sys.exit(1)
PY
	ok "trouble.md quotes messages that the programs have"
}

check_reasons() {
	local reason lang name
	for reason in $(admin http status --json | jq -r '(.refused, .closed) | keys[]'); do
		for lang in ru en; do
			grep -q "\`$reason\`" "$doc/$lang/trouble.md" || fail "$lang/trouble.md does not tell of $reason"
		done
	done
	ok "trouble.md tells of each reason why sessions are refused or closed"
	admin http status --json | jq -r .control >"$work/socket"
	curl -s --unix-socket "$(cat "$work/socket")" http://pns/v1/metrics >"$work/metrics"
	for name in $(grep -oh 'pns4ones_[a-z_]*[a-z]' "$doc"/*/admin.md | sort -u); do
		grep -q "$name" "$work/metrics" || grep -rqs --include='*.go' "\"${name#pns4ones_}\"\|\"$name\"" netsvc ||
			fail "admin.md: no metric $name"
	done
	ok "the metrics in admin.md exist"
}

# ---------------------------------------------------------------- settings, commands

check_settings() {
	local lang example
	for lang in ru en; do
		block $lang settings sample >"$work/sample.toml"
		"$work/bin/pns4ones" -config "$work/sample.toml" -check >/dev/null || fail "$lang/settings.md: the sample"
		block $lang migrate ini >"$work/old.ini"
		"$work/bin/pns4ones" -config "$work/old.ini" -print_config >"$work/from-ini.toml" 2>/dev/null ||
			fail "$lang/migrate.md: the old ini"
		grep -q '^listen = "localhost:36696"' "$work/from-ini.toml" &&
			grep -q '^service = "192.168.10.0/24:8270"' "$work/from-ini.toml" ||
			fail "$lang/migrate.md: the old ini is read wrongly"
	done
	ok "the sample settings are correct, an old ini becomes TOML"
}

# wrapped makes the programs of the manual those of this run.
wrapped() {
	mkdir -p "$work/wrapped"
	printf '#!/bin/sh\nexec %q --control %q "$@"\n' "$work/bin/pns4onesadmin" "$work/http/control.sock" \
		>"$work/wrapped/pns4onesadmin"
	printf '#!/bin/sh\nexec "$@"\n' >"$work/wrapped/sudo"
	chmod 755 "$work/wrapped"/*
}

check_commands() {
	local lang
	for lang in ru en; do
		mkdir -p "$work/commands.$lang"
		block $lang admin script | sed "s,http://localhost:36696,http://localhost:$http_port,g" >"$work/script.sh"
		(cd "$work/commands.$lang" &&
			PATH=$work/wrapped:$PATH PNS4ONES_LANG=$lang timeout 30 bash -euo pipefail "$work/script.sh" >"$work/script.out" 2>&1) ||
			{ cat "$work/script.out" >&2; fail "$lang/admin.md: the script"; }
	done
	ok "the scripts of admin.md run (create, keys, backup, --json with jq)"
	for lang in ru en; do
		block $lang protocol client |
			sed -e "s,push\.example\.com,localhost,g" -e "s,36695,$(admin http status --json |
			jq -r '.service | split(":") | last'),g" >"$work/client.py"
		APP_ID=$(admin http show Manual --json | jq -r .id) \
			CLIENT_KEY=$(admin http show Manual --json | jq -r .client_key) \
			timeout 20 python3 "$work/client.py" >"$work/client.out" 2>&1 &
		local client=$!
		within sh -c "'$work/bin/pns4onesadmin' --control '$work/http/control.sock' sessions --user $user --json | grep -q $user"
		admin http send --app Manual --ib $ib --user $user --title Привет --body 'Из протокола' 2>/dev/null
		wait $client || { cat "$work/client.out" >&2; fail "$lang/protocol.md: the client"; }
		grep -q 'Привет' "$work/client.out" ||
			{ cat "$work/client.out" >&2; fail "$lang/protocol.md: the client got something else"; }
	done
	ok "the TCP client of protocol.md registers and receives"
}

# migration proves what migrate.md says of pns4ones.ini, keys and pns4ones.toml.
migration() {
	local here=$work/migration started
	mkdir -p "$here/settings"
	block ru migrate ini | sed 's/:8270/:0/; s/192.168.10.0/127.0.0.0/; s/^listen=.*/listen=localhost:0/' \
		>"$here/settings/pns4ones.ini"
	admin http export "$here/settings/keys" 2>/dev/null
	"$work/bin/pns4ones" -print_config >"$here/settings/pns4ones.toml" # comments alone
	(
		export CONFIGURATION_DIRECTORY=$here/settings STATE_DIRECTORY=$here/data RUNTIME_DIRECTORY=$here
		exec "$work/bin/pns4ones" -lang en -control "$here/control.sock" >"$here/out" 2>"$here/err"
	) &
	started=$!
	pids+=($started)
	within admin migration list
	within grep -q 'taken over from the old service' "$here/out"
	grep -q 'pns4ones.ini' "$here/out" || fail "the old ini is not in force beside a TOML of comments"
	diff <(admin http show Manual --json | jq '[.id, .server_key, .client_key]') <(admin migration show Manual --json |
		jq '[.id, .server_key, .client_key]') ||
		fail "the old keys are not the same"
	echo 'log_level = "Error"' >>"$here/settings/pns4ones.toml"
	CONFIGURATION_DIRECTORY=$here/settings STATE_DIRECTORY=$here/data RUNTIME_DIRECTORY=$here "$work/bin/pns4ones" \
		-lang en -check >"$here/check" 2>&1
	grep -q 'there are two settings files with different settings' "$here/check" ||
		fail "no warning of two settings files"
	ok "old pns4ones.ini and keys are taken over; a TOML that sets something wins, with a warning"
}

# again proves that the examples authorise again after a reset of the tokens.
again() { # LANG
	local lang=$1 reset="'$work/wrapped/pns4onesadmin' reset_token Manual 2>/dev/null"
	{
		block "$lang" senders python
		printf 'os.system("""%s""")\nprint(push.send({"Type": "all", "IbId": "demo"}, {}), "after a reset")\n' "$reset"
	} | sed "s,http://push\.example\.com:36696,http://localhost:$http_port,g" >"$work/again.py"
	SERVER_KEY=$http_key timeout 20 python3 "$work/again.py" | grep -q '^0 after a reset' ||
		fail "$lang: Python does not authorise again"
	{
		block "$lang" senders php
		printf 'shell_exec("%s");\necho send(getenv("SERVER_KEY"), ["Type" => "all", "IbId" => "demo"], ["Topic" => "x"]), " after a reset\\n";\n' "$reset"
	} | sed "s,http://push\.example\.com:36696,http://localhost:$http_port,g" >"$work/again.php"
	SERVER_KEY=$http_key timeout 20 php "$work/again.php" | grep -q '^0 after a reset' ||
		fail "$lang: PHP does not authorise again"
	ok "$lang: Python and PHP authorise again when the tokens were reset"
}

# ---------------------------------------------------------------- HTTPS

served() { openssl s_client -connect "127.0.0.1:$1" -servername localhost </dev/null 2>/dev/null |
	openssl x509 -noout -serial; }

own_certificate() { # LANG
	local lang=$1 tls=$work/tls-$1 port before
	mkdir -p "$tls"
	(cd "$tls" && block "$lang" https self-signed | local_names "$tls" | bash -e 2>/dev/null)
	block "$lang" https pem | local_names "$tls" >"$tls/pem.toml"
	"$work/bin/pns4ones" -config "$tls/pem.toml" -check >/dev/null || fail "$lang/https.md: FromFileWithPrivateKey"
	daemon "pem-$lang" -config "$tls/pem.toml" -listen localhost:0 -log_level Information
	new_app "pem-$lang"
	port=$(senders_port "pem-$lang")
	CURL_CA_BUNDLE=$tls/push.crt SSL_CERT_FILE=$tls/push.crt senders "pem-$lang" "$lang" "https://localhost:$port"
	ok "$lang: openssl's self-signed certificate, FromFileWithPrivateKey: curl, Python and PHP deliver over HTTPS"

	before=$(served "$port")
	(cd "$tls" && block "$lang" https self-signed | local_names "$tls" | bash -e 2>/dev/null)
	renewed() { [ "$(served "$port")" != "$before" ]; }
	within renewed
	within grep -q 'certificate read again' "$work/pem-$lang/err"
	ok "$lang: a renewed certificate is served without a restart"

	(cd "$tls" && block "$lang" https csr | local_names "$tls" | bash -e 2>/dev/null)
	(cd "$tls" && block "$lang" https ca | local_names "$tls" | bash -e 2>/dev/null)
	(cd "$tls" && block "$lang" https pfx-make | sed 's/$/ -passout pass:example-password/' | bash -e)
	block "$lang" https pfx | local_names "$tls" >"$tls/pfx.toml"
	"$work/bin/pns4ones" -config "$tls/pfx.toml" -check >/dev/null || fail "$lang/https.md: FromFileWithPassword"
	daemon "pfx-$lang" -config "$tls/pfx.toml" -listen localhost:0
	new_app "pfx-$lang"
	CURL_CA_BUNDLE=$tls/ca.crt SSL_CERT_FILE=$tls/ca.crt senders "pfx-$lang" "$lang" \
		"https://localhost:$(senders_port "pfx-$lang")"
	ok "$lang: a certificate of an own CA, FromFileWithPassword (PFX): curl, Python and PHP deliver over HTTPS"
}

through_proxy() { # KIND LANG PORT
	local kind=$1 lang=$2 port=$3
	CURL_CA_BUNDLE=$work/tls-$lang/ca.crt SSL_CERT_FILE=$work/tls-$lang/ca.crt senders http "$lang" \
		"https://localhost:$port"
	if grep -rqs 'server_key=' "$work/$kind-$lang/log"; then fail "$kind logged the server key"; fi
	[ -n "$(grep -rs sendmessage "$work/$kind-$lang/log")" ] || fail "$kind logged nothing"
	ok "$lang: behind $kind with TLS: curl, Python and PHP deliver; its log holds no key"
}

# seen tells whether the daemon recorded a refused sender with that address.
seen() { admin http logs -n 1000 --grep unknown_server_key | grep -q "peer=$1 "; }

refused_from() { # SOURCE PORT CA
	[ "$(curl -s -o /dev/null -w '%{http_code}' --interface "$1" --cacert "$3" --resolve "localhost:$2:127.0.0.1" "https://localhost:$2/auth?server_key=wrong")" = 401 ] ||
		fail "a wrong key was not refused through the proxy"
}

nginx_proxy() { # LANG
	local lang=$1 here=$work/nginx-$1 port backend
	port=$(free_port)
	mkdir -p "$here/log" "$here/tmp"
	{
		[ "$(id -u)" != 0 ] || echo 'user root;'
		echo "daemon off; worker_processes 1; pid $here/pid; error_log $here/log/main.log; events {}"
		echo "http { client_body_temp_path $here/tmp/b; proxy_temp_path $here/tmp/p; fastcgi_temp_path $here/tmp/f; uwsgi_temp_path $here/tmp/u; scgi_temp_path $here/tmp/s;"
		block "$lang" https nginx | local_names "$work/tls-$lang" |
			sed -e "s/listen 443/listen 127.0.0.1:$port/" -e '/\[::\]/d' \
			-e "s,/var/log/nginx,$here/log,; s,127.0.0.1:36696,${2:-127.0.0.1}:$http_port,"
		echo '}'
	} >"$here/nginx.conf"
	nginx -p "$here" -e "$here/log/main.log" -c "$here/nginx.conf" >"$here/out" 2>&1 &
	pids+=($!)
	within curl -s -o /dev/null --cacert "$work/tls-$lang/ca.crt" "https://localhost:$port/"
	proxy_port=$port
}

apache_proxy() { # LANG
	local lang=$1 here=$work/apache-$1 port modules program m
	port=$(free_port)
	mkdir -p "$here/log"
	program=$(command -v apache2 || command -v httpd)
	for modules in /usr/lib/apache2/modules /usr/lib64/httpd/modules /etc/httpd/modules; do [ ! -d $modules ] ||
		break; done
	{
		echo "ServerRoot $here"
		echo "ServerName localhost"
		echo "PidFile $here/pid"
		echo "ErrorLog $here/log/main.log"
		for m in mpm_event authz_core unixd log_config ssl proxy proxy_http headers; do
			[ ! -e "$modules/mod_$m.so" ] || echo "LoadModule ${m}_module $modules/mod_$m.so"
		done
		echo "Listen 127.0.0.1:$port"
		[ "$(id -u)" != 0 ] || echo "User $(id -un nobody 2>/dev/null || echo daemon)"
		[ "$(id -u)" != 0 ] || echo "Group $(id -gn nobody 2>/dev/null || echo daemon)"
		block "$lang" https apache | local_names "$work/tls-$lang" |
			sed -e "s/\*:443/127.0.0.1:$port/" -e "s,/var/log/apache2,$here/log,; s,127.0.0.1:36696,127.0.0.1:$http_port,"
	} >"$here/apache.conf"
	"$program" -f "$here/apache.conf" -DFOREGROUND >"$here/out" 2>&1 &
	pids+=($!)
	within curl -s -o /dev/null --cacert "$work/tls-$lang/ca.crt" "https://localhost:$port/"
	proxy_port=$port
}

# an_address is an address of this machine that is not loopback.
an_address() { hostname -I 2>/dev/null | tr ' ' '\n' | grep -m1 '^[0-9.]*$' || true; }

proxies() { # LANG
	local lang=$1 net=127.0.0
	[ "$lang" = ru ] || net=127.0.1
	SERVER_KEY=$http_key
	nginx_proxy "$lang"
	through_proxy nginx "$lang" "$proxy_port"
	refused_from $net.2 "$proxy_port" "$work/tls-$lang/ca.crt"
	within seen $net.2
	ok "$lang: the client's address behind nginx on the same machine is seen"
	apache_proxy "$lang"
	through_proxy apache "$lang" "$proxy_port"
	refused_from $net.3 "$proxy_port" "$work/tls-$lang/ca.crt"
	within seen $net.3
	ok "$lang: the client's address behind Apache on the same machine is seen"

	block "$lang" https iis | python3 -c 'import sys, xml.dom.minidom as x; x.parseString(sys.stdin.buffer.read())'
	ok "$lang: web.config for IIS is well-formed"
}

trusted() { # LANG
	local lang=$1 own
	own=$(an_address)
	if [ -z "$own" ]; then
		echo "skipped: trusted_proxies of another machine (this one has loopback only)"
		return
	fi
	rm -rf "$work/nginx-$lang"
	nginx_proxy "$lang" "$own" # now the proxy comes from a foreign address
	: >"$work/http/settings.toml"
	admin http reload >/dev/null 2>&1
	refused_from 127.0.0.4 "$proxy_port" "$work/tls-$lang/ca.crt"
	within seen "$own"
	! seen 127.0.0.4 || fail "a proxy that is not trusted was believed"
	block "$lang" https trusted | sed -e "s/192\.168\.10\.5/$own/" -e '/^listen/d' >"$work/http/settings.toml"
	admin http reload >/dev/null 2>&1
	refused_from 127.0.0.4 "$proxy_port" "$work/tls-$lang/ca.crt"
	within seen 127.0.0.4
	ok "$lang: trusted_proxies: the client's address is seen behind a proxy elsewhere, only with the setting"
}

# ---------------------------------------------------------------- several nodes

. packaging/test/examples.cluster.sh

# ---------------------------------------------------------------- the run

[ "$part" != install ] || { install_missing; exit 0; }
mkdir -p "$work/bin"
timeout 300 go build -o "$work/bin/" ./cmd/pns4ones ./cmd/pns4onesadmin
install_missing
# What this machine has of pns4ones is none of our business.
export CONFIGURATION_DIRECTORY=$work/nothing XDG_CONFIG_HOME=$work/nothing XDG_DATA_HOME=$work/nothing
check_pages
check_cluster
[ "$part" = all ] || exit 0

mkdir -p "$work/http"
: >"$work/http/settings.toml"
daemon http -listen '*:0' -config "$work/http/settings.toml"
new_app http
http_key=$SERVER_KEY http_port=$(senders_port http)
CURL_CA_BUNDLE='' SSL_CERT_FILE=''
for lang in ru en; do
	senders http $lang "http://localhost:$http_port"
	ok "$lang: curl, Python and PHP of senders.md deliver over HTTP, X-Delivered-Sessions: 1"
done
wrapped
check_settings
for lang in ru en; do again $lang; done
check_commands
check_reasons
migration
for lang in ru en; do
	own_certificate $lang
	proxies $lang
done
trusted en
