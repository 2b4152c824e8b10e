#!/usr/bin/env bash
# Writes packaging/CHANGELOG.md as packages have it.
#
#   changelog.sh next                      the version that the top section is about, or nothing
#   changelog.sh deb VERSION PACKAGER      debian/changelog
#   changelog.sh rpm VERSION PACKAGER      the file that nfpm makes %changelog of
#
# A section is «## 1.2.0 (unreleased)» or «## 1.2.0 (2026-12-24)»; the first of them is
# VERSION, of the time SOURCE_DATE_EPOCH.
set -euo pipefail
cd "$(dirname "$0")"
export TZ=UTC LC_ALL=C

# sections prints «V version date» for each section, and below it «T text» for what
# stands there: each paragraph and each item in one line, without Markdown.
sections() {
	awk '
		function flush() { if (text != "") print "T " text; text = "" }
		/^## / { flush(); date = $3; gsub(/[()]/, "", date); print "V " $2 " " date; next }
		/^#/ { flush(); started = 0; next }
		/^$/ { flush(); next }
		/^\* / { flush(); sub(/^\* /, "") }
		{ sub(/^ +/, ""); text = text (text == "" ? "" : " ") $0 }
		END { flush() }' CHANGELOG.md | sed -E '/^T /{ s/\[([^]]*)\]\([^)]*\)/\1/g; s/\*\*//g; s/`//g; }' |
			sed -n '/^V /,$p'
}

case ${1:-} in
next)
	read -r _ version date < <(sections)
	[ "$date" != unreleased ] || echo "$version"
	;;
deb)
	first=$2 packager=$3
	sections | while read -r kind text; do
		if [ "$kind" = V ]; then
			[ -z "${date:-}" ] || printf '\n -- %s  %s\n\n' "$packager" "$date"
			date=$(date -R -d "@$SOURCE_DATE_EPOCH")
			[ -n "$first" ] || date=$(date -R -d "${text#* }")
			printf 'pns4ones (%s) stable; urgency=medium\n\n' "${first:-${text% *}}"
			first=
		else
			fold -s -w 72 <<<"$text" | sed -e '1s/^/  * /' -e '2,$s/^/    /' -e 's/ *$//'
		fi
	done
	printf '\n -- %s  %s\n' "$packager" "$(date -R -d "@$SOURCE_DATE_EPOCH")"
	;;
rpm)
	first=$2 packager=$3
	sections | while read -r kind text; do
		if [ "$kind" = V ]; then
			date=@$SOURCE_DATE_EPOCH
			[ -n "$first" ] || date=${text#* }
			printf -- '- semver: "%s-1"\n  date: %s\n  packager: %s\n  changes:\n' "${first:-${text% *}}" \
				"$(date +%Y-%m-%dT%H:%M:%SZ -d "$date")" "$packager"
			first=
		else
			printf '    - note: %s\n' "$(jq -R . <<<"$text")"
		fi
	done
	;;
*)
	sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
	exit 2
	;;
esac
