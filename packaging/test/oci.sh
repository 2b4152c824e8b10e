#!/usr/bin/env bash
# Proves the images for containers: what stands in them is what their digests say, and
# one of them runs in runc as the compose file has it, with a root that nobody can write,
# without root and without rights. Also: the compose files keep to their schema.
#
#   oci.sh IMAGE-amd64.tar IMAGE-arm64.tar
. "$(dirname "$0")/lib.sh"
image=$(realpath "$1") other=$(realpath "$2")
need runc jq

### the compose file, read by what Docker's own program reads it with
if [ "${PNS4ONES_TEST_INSIDE:-}" != "$proof" ]; then # there is a network still
	compose=$(mktemp -d)
	trap 'rm -rf "$compose"' EXIT
	GOFLAGS='' GOBIN=$compose go install github.com/compose-spec/compose-go/v2/cmd@v2.16.2 2>"$compose/out" ||
		fail "$(cat "$compose/out")"
	"$compose/cmd" "$project/packaging/oci/compose.yaml" >"$compose/out" 2>&1 ||
		fail "compose.yaml: $(cat "$compose/out")"
	expect "$compose/out" "image: pns4ones:latest" "the compose file"
	"$compose/cmd" "$project/packaging/oci/compose.cluster.yaml" >"$compose/out" 2>&1 ||
		fail "compose.cluster.yaml: $(cat "$compose/out")"
	expect "$compose/out" "PNS4ONES_CLUSTER_NODE: web3" "the compose file of a cluster"
	sed 's/read_only: true/read_onyl: true/' "$project/packaging/oci/compose.yaml" >"$compose/slip.yaml"
	"$compose/cmd" "$compose/slip.yaml" >"$compose/out" 2>&1 && fail "a slip in the compose file is passed over"
	proven "the compose files keep to their schema"
	rm -rf "$compose"
	trap - EXIT
fi
own_namespaces "$image" "$other"

### what is in the images
# look unpacks an image, and sets $layout, $config and $layer.
look() {
	layout=$work/$2
	mkdir "$layout"
	tar xf "$1" -C "$layout"
	local blob manifest
	for blob in "$layout"/blobs/sha256/*; do
		[ "$(sha256sum <"$blob" | cut -d' ' -f1)" = "$(basename "$blob")" ] ||
			fail "$2: $(basename "$blob") is something else"
	done
	jq -e --arg arch "$2" '.manifests | length == 1 and (.[0].platform == {os: "linux", architecture: $arch})' \
		"$layout/index.json" >/dev/null || fail "$2: the index"
	manifest=$layout/blobs/$(jq -r '.manifests[0].digest | sub(":"; "/")' "$layout/index.json")
	config=$layout/blobs/$(jq -r '.config.digest | sub(":"; "/")' "$manifest")
	layer=$layout/blobs/$(jq -r '.layers[0].digest | sub(":"; "/")' "$manifest")
	[ "$(jq '[.config.size, .layers[0].size] | @text' "$manifest")" = "\"[$(stat -c %s "$config"),$(stat -c %s "$layer")]\"" ] || fail "$2: sizes"
	[ "sha256:$(gzip -dc "$layer" | sha256sum | cut -d' ' -f1)" = "$(jq -r '.rootfs.diff_ids[0]' "$config")" ] ||
		fail "$2: the layer unpacked"
	[ "$(jq -r .architecture "$config")" = "$2" ] || fail "$2: the configuration"
	[ "$layout/$(jq -r '.[0].Config' "$layout/manifest.json")" = "$config" ] || fail "$2: what docker load reads"
}
look "$other" arm64
gzip -dc "$layer" | tar x -C "$work" ./usr/bin/pns4ones
[ "$(od -An -tx1 -j18 -N2 "$work/usr/bin/pns4ones")" = ' b7 00' ] ||
	fail "what is in the image for arm64 is for something else"
look "$image" amd64
proven "two images, whole: $(gzip -dc "$layer" | tar t | grep -vc '/$') files, $(($(stat -c %s "$image") >> 20)) MiB"

### running one
bundle=$work/bundle
mkdir -p "$bundle/rootfs" "$work/data"
gzip -dc "$layer" | tar xp --numeric-owner -C "$bundle/rootfs"
[ "$(stat -c '%a %u' "$bundle/rootfs/var/lib/pns4ones")" = '700 36695' ] ||
	fail "the folder of the data is $(stat -c '%a %u' "$bundle/rootfs/var/lib/pns4ones")"
cp -a "$bundle/rootfs/var/lib/pns4ones" "$work/data/volume" # as an engine makes a volume
mkdir -p "$bundle/rootfs"/{proc,sys,dev}
(cd "$bundle" && runc spec)
# No namespace for the network: the test's own has its loopback.
jq --slurpfile image "$config" --arg volume "$work/data/volume" '
	($image[0].config.User / ":" | map(tonumber)) as [$uid, $gid]
	| .process.terminal = false
	| .process.args = $image[0].config.Entrypoint
	| .process.env = $image[0].config.Env + ["PNS4ONES_LANG=en"]
	| .process.user = {uid: $uid, gid: $gid}
	| .process.noNewPrivileges = true
	| .process.capabilities |= map_values([])
	| .process.rlimits = [{type: "RLIMIT_NOFILE", hard: 4096, soft: 4096}]
	| .root.readonly = true
	| .mounts += [{destination: "/var/lib/pns4ones", type: "bind", source: $volume, options: ["bind", "rw", "nosuid", "nodev"]}]
	| .linux.namespaces |= map(select(.type != "network"))' "$bundle/config.json" >"$work/config.json"
mv "$work/config.json" "$bundle/config.json"
box=pns4ones-proof-$$
trap 'runc --root "$work/runc" delete --force "$box" >/dev/null 2>&1 || true' EXIT

start() {
	runc --root "$work/runc" run --bundle "$bundle" "$box" >"$work/daemon.log" 2>&1 </dev/null &
	daemon=$!
	eventually "a healthy container" healthy
}
in_box() { runc --root "$work/runc" exec "$box" "$@"; }
mapfile -t check < <(jq -r '.config.Healthcheck.Test[1:][]' "$config")
healthy() { in_box "${check[@]}"; }
stop() {
	runc --root "$work/runc" kill "$box" TERM
	wait "$daemon" || fail "the container did not end well: $(cat "$work/daemon.log")"
}
admin() { in_box /usr/bin/pns4onesadmin --lang en "$@"; }

start
first=$(runc --root "$work/runc" state "$box" | jq .pid)
grep -qP '^Uid:\t36695\t36695' "/proc/$first/status" || fail "it runs as $(grep Uid "/proc/$first/status")"
grep -q '^CapEff:	0000000000000000$' "/proc/$first/status" || fail "it has rights: $(grep Cap "/proc/$first/status")"
grep -q '^CapBnd:	0000000000000000$' "/proc/$first/status" ||
	fail "it may get rights: $(grep Cap "/proc/$first/status")"
grep -qP '^NoNewPrivs:\t1' "/proc/$first/status" || fail "it may get rights"
grep -qE ' / / ro[ ,]' "/proc/$first/mountinfo" ||
	grep -qE '^[0-9]+ [0-9]+ [0-9:]+ [^ ]+ / ro[ ,]' "/proc/$first/mountinfo" ||
	fail "its root can be written: $(cat "/proc/$first/mountinfo")"
[ "$(in_box /usr/bin/pns4ones -version)" = "pns4ones $(jq -r '.config.Labels["org.opencontainers.image.version"]' "$config")" ] || fail "another version"
admin create Container >/dev/null 2>&1
key=$(admin show Container --field server_key)
admin listen --app Container --ib demo --user ann --count 1 --json >"$work/got" 2>"$work/listen.log" &
listening=$!
eventually "a session" grep -q 'waiting for messages' "$work/listen.log"
token=$(python3 -c 'import json, sys, urllib.request as u; print(json.load(u.urlopen("http://localhost:36696/auth?server_key=" + sys.argv[1]))["access_token"])' "$key")
python3 - "$token" <<-'PYTHON'
	import json, sys, urllib.request as u
	message = {"Recipient": {"Type": "user", "IbId": "demo", "UserId": "ann"}, "Message": {"Notification": {"Title": "In a box", "Body": "b"}}}
	u.urlopen(u.Request("http://localhost:36696/sendmessage", json.dumps(message).encode(), {"Authorization": "Bearer " + sys.argv[1]}))
PYTHON
wait $listening || fail "no message: $(cat "$work/listen.log")"
expect "$work/got" "In a box" "the message"
stop
runc --root "$work/runc" list -q | grep -q . && runc --root "$work/runc" delete --force "$box"
start
[ "$(admin show Container --field server_key)" = "$key" ] || fail "another container has other keys"
stop
proven "it runs in runc $(runc --version |
	sed -n 's/^runc version //p') without root and rights on a root that is read-only; is healthy, delivers, keeps its data"
