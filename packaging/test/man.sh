#!/usr/bin/env bash
# Proves man pages: man(1) shows them without a warning and within 80 columns, and
# lexgrog(1), with which whatis and apropos work, finds the name in each.
#
#   man.sh FOLDER          a folder like /usr/share/man
. "$(dirname "$0")/lib.sh"
need man-db groff-base
folder=$1 count=0
export LC_ALL=C.UTF-8 MANROFFSEQ='' MANWIDTH=80
while read -r page; do
	warnings=$(man --warnings -E UTF-8 -l -Tutf8 -Z "$page" 2>&1 >/dev/null) || true
	[ -z "$warnings" ] || fail "${page#"$folder"/}: $warnings"
	wide=$(man -l "$page" | sed 's/.\x08//g; s/\x1b\[[0-9;]*m//g' | grep -E '^.{81}' || true)
	[ -z "$wide" ] || fail "${page#"$folder"/} is wider than 80 columns: $wide"
	name=$(basename "$page")
	lexgrog "$page" | grep -qF "\"${name%.[58]*} - " || fail "${page#"$folder"/}: lexgrog finds $(lexgrog "$page" 2>&1)"
	count=$((count + 1))
done < <(find "$folder" -type f | sort)
[ "$count" -eq 6 ] || fail "$count pages"
proven "$count pages without a warning"
