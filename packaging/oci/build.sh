#!/usr/bin/env bash
# Makes an image for containers, in OCI's layout and in Docker's, without an engine;
# packaging/build.sh calls it. The same files give the same bytes.
#
#   build.sh BINDIR STAGE OUTFILE VERSION ARCH
#
# BINDIR has the two programs, STAGE the licences. Needs jq and tar. All files get the
# time SOURCE_DATE_EPOCH. There is nothing in the image but the programs, their licences
# and two empty folders: for settings, and for what the service keeps.
set -euo pipefail
bin=$(realpath "$1") stage=$(realpath "$2") out=$3 version=$4 arch=$5
: "${SOURCE_DATE_EPOCH:?the time of the commit}"
id=36695 # user and group of the service
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

root=$work/root data=var/lib/pns4ones
mkdir -p "$root"/{usr/bin,usr/share/doc/pns4ones,etc/pns4ones,$data}
cp "$bin/pns4ones" "$bin/pns4onesadmin" "$root/usr/bin"
cp "$stage/LICENSE" "$stage/doc/third-party-licenses.txt.gz" "$root/usr/share/doc/pns4ones"
printf 'root:x:0:0::/:/sbin/nologin\npns4ones:x:%d:%d::/%s:/sbin/nologin\n' $id $id $data >"$root/etc/passwd"
printf 'root:x:0:\npns4ones:x:%d:\n' $id >"$root/etc/group"

pack() { tar --format=gnu --sort=name --mtime="@$SOURCE_DATE_EPOCH" --numeric-owner "$@"; }
pack --create --owner=0 --group=0 --mode=u=rwX,go=rX --exclude="./$data" -C "$root" -f "$work/layer.tar" .
pack --append --owner=$id --group=$id --mode=0700 --no-recursion -C "$root" -f "$work/layer.tar" "./$data"

# blob puts a file where its digest says, and describes it.
layout=$work/layout
mkdir -p "$layout/blobs/sha256"
blob() {
	local digest
	digest=$(sha256sum "$1" | cut -d' ' -f1)
	cp "$1" "$layout/blobs/sha256/$digest"
	jq -nc --arg type "$2" --arg digest "sha256:$digest" --argjson size "$(stat -c %s "$1")" \
		'{mediaType: $type, digest: $digest, size: $size}'
}

# A tag has no + and no ~.
tag=$(tr -c 'A-Za-z0-9_.\n-' - <<<"$version")
diff_id=sha256:$(sha256sum "$work/layer.tar" | cut -d' ' -f1)
gzip -n9 <"$work/layer.tar" >"$work/layer.tar.gz"
created=$(date -u +%Y-%m-%dT%H:%M:%SZ -d "@$SOURCE_DATE_EPOCH")
labels=$(jq -nc --arg version "$version" --arg created "$created" '{
	"org.opencontainers.image.title": "pns4ones",
	"org.opencontainers.image.description": "push notifications for 1C:Enterprise client sessions",
	"org.opencontainers.image.version": $version,
	"org.opencontainers.image.created": $created,
	"org.opencontainers.image.licenses": "Apache-2.0",
	"org.opencontainers.image.source": "https://github.com/pns4ones/pns4ones"}')
# OCI's own configuration has no health check; Docker and Podman look for it here.
jq -nc --arg arch "$arch" --arg created "$created" --arg diff "$diff_id" --arg id $id --arg data "/$data" \
	--argjson labels "$labels" '{
	created: $created, architecture: $arch, os: "linux",
	config: {
		User: "\($id):\($id)",
		Entrypoint: ["/usr/bin/pns4ones"],
		Env: ["PATH=/usr/bin", "CONFIGURATION_DIRECTORY=/etc/pns4ones", "STATE_DIRECTORY=\($data)", "PNS4ONES_CONTROL=\($data)/control.sock"],
		WorkingDir: "/",
		ExposedPorts: {"36695/tcp": {}, "36696/tcp": {}},
		Volumes: {($data): {}},
		StopSignal: "SIGTERM",
		Healthcheck: {Test: ["CMD", "/usr/bin/pns4onesadmin", "status"], Interval: 30e9, Timeout: 10e9, StartPeriod: 10e9, Retries: 3},
		Labels: $labels},
	rootfs: {type: "layers", diff_ids: [$diff]},
	history: [{created: $created, created_by: "packaging/oci/build.sh"}]}' >"$work/config.json"
layer=$(blob "$work/layer.tar.gz" application/vnd.oci.image.layer.v1.tar+gzip)
config=$(blob "$work/config.json" application/vnd.oci.image.config.v1+json)
jq -nc --argjson config "$config" --argjson layer "$layer" --argjson labels "$labels" '{
	schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json", config: $config, layers: [$layer], annotations: $labels}' >"$work/manifest"
manifest=$(blob "$work/manifest" application/vnd.oci.image.manifest.v1+json)
printf '{"imageLayoutVersion":"1.0.0"}\n' >"$layout/oci-layout"
jq -nc --argjson manifest "$manifest" --arg arch "$arch" --arg tag "$tag" '{
	schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json",
	manifests: [$manifest + {platform: {os: "linux", architecture: $arch},
		annotations: {"org.opencontainers.image.ref.name": $tag, "io.containerd.image.name": "docker.io/library/pns4ones:\($tag)"}}]}' >"$layout/index.json"
# What an older `docker load` reads.
jq -nc --argjson config "$config" --argjson layer "$layer" --arg tag "pns4ones:$tag" '
	def path: "blobs/" + (.digest | sub(":"; "/"));
	[{Config: ($config | path), RepoTags: [$tag], Layers: [$layer | path]}]' >"$layout/manifest.json"
(cd "$layout" && pack --create --owner=0 --group=0 --mode=u=rwX,go=rX -- *) >"$out"
