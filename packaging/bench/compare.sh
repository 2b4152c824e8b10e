#!/usr/bin/env bash
# Compares the micro-benchmarks of two commits in one run: both are built first, then
# run by turns, so that a noisy minute of the machine falls on both.
#
#   packaging/bench/compare.sh OLD [NEW]     NEW is the working tree if it is left out
#   packaging/bench/compare.sh --baseline    writes packaging/bench/baseline.txt
#
# Environment: BENCH, which benchmarks (a regular expression); COUNT, how often each
# (6); BENCHTIME, for how long (300ms); PACKAGES. Figures of different machines, or
# of the same one on different days, are not to be compared: baseline.txt shows
# orders of magnitude and allocations.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD

benchstat=golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da
packages=${PACKAGES:-./app ./netsvc/wire ./netsvc/hub ./netsvc/httpapi}
count=${COUNT:-6}
benchtime=${BENCHTIME:-300ms}
# Codec, JSON, encryption, token, lookup, queue, fan-out, the HTTP handler.
bench=${BENCH:-'^Benchmark(Registration|Verify|AppendJSON|AppendFrame|ParseRequest|CheckToken|Authorize|Lookup|Queue|Broadcast|PublishToOne|Handler)$'}

usage() { sed -n '2,13s/^# \{0,1\}//p' "$0" >&2; exit 2; }
[ $# -ge 1 ] && [ $# -le 2 ] || usage

work=$(mktemp -d)
finish() {
	for tree in "$work"/tree-*; do
		[ ! -e "$tree" ] || git -C "$root" worktree remove --force "$tree"
	done
	rm -rf "$work"
}
trap finish EXIT

# build makes the test binaries of a commit, or of the working tree.
build() { # NAME [COMMIT]
	local tree=$root package
	if [ -n "${2:-}" ]; then
		tree=$work/tree-$1
		git worktree add --quiet --detach "$tree" "$2"
	fi
	for package in $packages; do
		mkdir -p "$work/$1/$package"
		(cd "$tree" && go test -c -o "$work/$1/$package/test" "$package")
		echo "$tree/$package" >"$work/$1/$package/folder"
	done
}

# once runs every benchmark of a build once.
once() { # NAME
	local package
	for package in $packages; do
		(cd "$(cat "$work/$1/$package/folder")" &&
			"$work/$1/$package/test" -test.run '^$' -test.short -test.bench "$bench" -test.benchtime "$benchtime") \
			>>"$work/$1.txt"
	done
}

if [ "$1" = --baseline ]; then
	build new
	for n in $(seq "$count"); do
		echo "run $n of $count" >&2
		once new
	done
	{
		echo "commit: $(git rev-parse --short HEAD)"
		grep -v '^PASS$\|^ok ' "$work/new.txt"
	} >packaging/bench/baseline.txt
	exit
fi

case $1 in -*) usage ;; esac
build old "$1"
build new "${2:-}"
for n in $(seq "$count"); do
	echo "run $n of $count" >&2
	# The one that goes first changes, too.
	if [ $((n % 2)) = 1 ]; then once old && once new; else once new && once old; fi
done
cd "$work"
GOFLAGS='' go run "$benchstat" old="$work/old.txt" new="$work/new.txt"
