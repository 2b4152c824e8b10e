# shellcheck shell=bash
# What the proofs of the packages share: a fresh Debian root for each of them,
# commands in it, and assertions. A proof runs in namespaces of its own, so that
# mounts, ports and processes end with it.

set -Eeuo pipefail
# What ends a script without a word of its own says at least where it was. In a command
# substitution nothing ends, and nothing is said.
where() { case $- in *e*) printf '%s: FAILED: %s, line %s: %s\n' "$proof" "$(basename "${BASH_SOURCE[1]}")" "$1" "$2" \
	>&2 ;; esac; }
trap 'where "$LINENO" "$BASH_COMMAND"' ERR
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
project=$(cd "$here/../.." && pwd)
cache=${PNS4ONES_TEST_CACHE:-/var/tmp/pns4ones-test}
base=$cache/bookworm

proof=$(basename "$0" .sh)
proven() { printf '%s: %s\n' "$proof" "$*"; }
fail() {
	printf '%s: FAILED: %s\n' "$proof" "$*" >&2
	exit 1
}

# need installs the Debian packages that are missing here.
need() {
	local package missing=()
	for package; do
		dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package")
	done
	[ ${#missing[@]} -eq 0 ] && return
	apt-get -o DPkg::Lock::Timeout=300 update -q >/dev/null
	DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -o DPkg::Lock::Timeout=300 install \
		-y -q --no-install-recommends "${missing[@]}" >/dev/null
}

# base_root makes the root that all proofs begin with, once.
base_root() {
	need debootstrap
	mkdir -p "$cache"
	(
		flock 9
		[ ! -e "$base.done" ] || exit 0
		rm -rf "$base"
		debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus bookworm "$base" >"$cache/debootstrap.log" 2>&1 ||
			fail "no Debian root: $(tail -n 3 "$cache/debootstrap.log")"
		touch "$base.done"
	) 9>"$cache/lock"
}

# own_namespaces runs the script again with mounts, processes and a network of its
# own, in which only the loopback is there. $work is a folder in memory.
own_namespaces() {
	if [ "${PNS4ONES_TEST_INSIDE:-}" != "$proof" ]; then
		base_root
		PNS4ONES_TEST_INSIDE=$proof exec unshare --mount --propagation private \
			--net --pid --fork --kill-child --mount-proc "$0" "$@"
	fi
	ip link set lo up 2>/dev/null || python3 - <<-'PYTHON'
		import fcntl, socket, struct
		s = socket.socket()
		fcntl.ioctl(s, 0x8914, struct.pack("16sh14x", b"lo", 0x41))  # SIOCSIFFLAGS: up, running
	PYTHON
	work=$(mktemp -d)
	mount -t tmpfs tmpfs "$work"
}

# fresh_root mounts a copy of the base, which costs nothing, and sets $root. A
# size bounds how much can be written into it.
fresh_root() {
	local name=$1 size=${2:-}
	local layers=$work/$name
	mkdir -p "$layers"
	[ -z "$size" ] || mount -t tmpfs -o "size=$size" tmpfs "$layers"
	mkdir "$layers/upper" "$layers/work" "$layers/root"
	mount -t overlay overlay -o "lowerdir=$base,upperdir=$layers/upper,workdir=$layers/work" "$layers/root"
	root=$layers/root
	printf '127.0.0.1 localhost\n' >"$root/etc/hosts"
}

# mount_system gives the root what programs in a chroot expect.
mount_system() {
	mount -t proc proc "$root/proc"
	mount --rbind /dev "$root/dev"
	mount -t tmpfs tmpfs "$root/run"
}

# in_root runs a command in the root.
in_root() {
	env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 LANG=C.UTF-8 \
		PNS4ONES_LANG=en \
		DEBIAN_FRONTEND=noninteractive chroot "$root" "$@"
}

# expect_files compares mode, owner and group of files with the lines on stdin:
# «0750 root pns4ones /etc/pns4ones», or «absent /path». view is what runs commands
# where the files are.
view=in_root
expect_files() {
	local what=$1 mode owner group path got
	while read -r mode owner group path; do
		[ "$mode" != absent ] || path=$owner
		got=$($view stat -c '%04a %U %G' "$path" 2>/dev/null) || got=absent
		[ "$mode" != absent ] || owner='' group=''
		[ "$got" = "$mode${owner:+ $owner $group}" ] || fail "$what: $path is $got, want $mode $owner $group"
	done
	proven "$what: files, owners and modes"
}

# expect looks for a text in a file.
expect() {
	grep -qF -- "$2" "$1" || fail "$3: no «$2» in:
$(cat "$1")"
}

# keys leaves of what show --json prints what no upgrade may change: not who uses the keys.
keys() { grep -oE '"(id|title|server_key|client_key|created_at)": *"[^"]*"'; }

# eventually waits for a command to succeed, for up to 20 s, or $patience.
eventually() {
	local what=$1
	shift
	for _ in $(seq $((10 * ${patience:-20}))); do
		if "$@" >/dev/null 2>&1; then return 0; fi
		sleep 0.1
	done
	[ ! -f "$work/daemon.log" ] || cat "$work/daemon.log" >&2
	fail "$what did not happen"
}

# start_daemon starts the service's program as its unit would.
start_daemon() {
	in_root install -d -o pns4ones -g pns4ones -m 0750 /run/pns4ones
	in_root install -d -o pns4ones -g pns4ones -m 0700 /var/lib/pns4ones
	in_root setpriv --reuid pns4ones --regid pns4ones --init-groups env STATE_DIRECTORY=/var/lib/pns4ones \
		RUNTIME_DIRECTORY=/run/pns4ones pns4ones >"$work/daemon.log" 2>&1 &
	daemon=$!
	eventually "the start of the daemon" in_root pns4onesadmin status
}

stop_daemon() {
	pkill -TERM -x pns4ones
	wait "$daemon" || fail "the daemon did not end well: $(cat "$work/daemon.log")"
}

# old_product leaves in the root what the old product does: its user, settings,
# keys and unit.
old_product() {
	in_root id pns4ones >/dev/null 2>&1 || in_root useradd --system --home-dir /opt/pns4ones pns4ones
	mkdir -p "$root/opt/pns4ones" "$root/etc/pns4ones" "$root/etc/systemd/system/multi-user.target.wants"
	printf 'listen=localhost:7777\nservice=127.0.0.0:8270\nlog_level=Error\n' >"$root/etc/pns4ones/pns4ones.ini"
	cp "$here/testdata/keys" "$root/etc/pns4ones/keys"
	in_root chown -R pns4ones:pns4ones /etc/pns4ones
	in_root chmod -R go= /etc/pns4ones
	printf '[Service]\nExecStart=/opt/pns4ones/pns4ones\n[Install]\nWantedBy=multi-user.target\n' \
		>"$root/etc/systemd/system/pns4ones.service"
	ln -s /etc/systemd/system/pns4ones.service "$root/etc/systemd/system/multi-user.target.wants/pns4ones.service"
}

# taken_over checks that the package that was installed over it has its settings and
# keys, and its place.
taken_over() {
	expect "$work/install.log" "another service of the same name was stopped" "the log of the installation"
	start_daemon
	expect "$work/daemon.log" "pns4ones.ini" "the daemon's greeting"
	in_root /run/use.sh 'Склад'
	in_root pns4onesadmin status --json >"$work/status"
	expect "$work/status" ":7777" "the old port"
	stop_daemon
	expect_files "taken over" <<-FILES
		0750 root pns4ones /etc/pns4ones
		0600 pns4ones pns4ones /etc/pns4ones/pns4ones.ini
		0600 pns4ones pns4ones /etc/pns4ones/keys
		0640 root pns4ones /etc/pns4ones/pns4ones.toml
		0644 root root /etc/systemd/system/pns4ones.service.replaced
		absent /etc/systemd/system/pns4ones.service
		0777 root root /etc/systemd/system/multi-user.target.wants/pns4ones.service
	FILES
	case $(readlink "$root/etc/systemd/system/multi-user.target.wants/pns4ones.service") in
	/lib/systemd/system/pns4ones.service | /usr/lib/systemd/system/pns4ones.service) ;;
	*) fail "another unit is enabled" ;;
	esac
}
