#!/usr/bin/env bash
# Makes the archive and the installer for Windows from a folder with the programs,
# the manual and the licence; packaging/build.sh calls it. The same files give the
# same bytes.
#
#   build.sh BINDIR OUTDIR VERSION [SUFFIX]    the suffix is for the names of the files
#
# Needs makensis and python3. All files get the time SOURCE_DATE_EPOCH.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
bin=$(realpath "$1") out=$(realpath "$2") version=$3
: "${SOURCE_DATE_EPOCH:?the time of the commit}"
name=pns4ones-$version-windows-amd64${4:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What is given to users. The settings file of the other packages names folders of
# Linux: the service writes its own at its first start.
mkdir -p "$work/pns4ones"
cp -R "$bin/pns4ones.exe" "$bin/pns4onesadmin.exe" "$bin/doc" "$work/pns4ones"
[ ! -d "$bin/1c" ] || cp -R "$bin/1c" "$work/pns4ones"
# Windows has no gzip, and its editor knows files by their extension.
cp "$bin/LICENSE" "$work/pns4ones/LICENSE.txt"
find "$work/pns4ones" -name '*.gz' -exec gunzip {} +
find "$work/pns4ones" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +

rm -f "$out/$name.zip" "$out/$name-setup.exe"
python3 - "$work" "$out/$name.zip" <<'PYTHON'
import os, sys, time, zipfile
root, target = sys.argv[1:]
when = time.gmtime(int(os.environ["SOURCE_DATE_EPOCH"]))[:6]
paths = []
for folder, folders, files in os.walk(root):
    paths += [os.path.join(folder, name) for name in files]
with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
    for path in sorted(paths):
        entry = zipfile.ZipInfo(os.path.relpath(path, root).replace(os.sep, "/"), when)
        entry.create_system = 0  # Windows: no permissions
        entry.compress_type = zipfile.ZIP_DEFLATED
        with open(path, "rb") as content:
            archive.writestr(entry, content.read())
PYTHON

# The files one by one and sorted: so they are removed again without touching what
# others have put there, and the order is not that of this disk.
(
	cd "$work/pns4ones"
	echo '!macro InstallFiles'
	find . -type f -printf '%P\n' | sort | while read -r path; do
		folder=$(dirname "$path" | tr / '\\')
		printf 'SetOutPath "$INSTDIR%s"\nFile "%s"\n' "$([ "$folder" = . ] || echo "\\$folder")" "$work/pns4ones/$path"
	done
	echo '!macroend'
	echo '!macro RemoveFiles'
	find . -type f -printf '%P\n' | sort | tr / '\\' |
		while read -r path; do printf 'Delete "$INSTDIR\\%s"\n' "$path"; done
	find . -mindepth 1 -type d -printf '%P\n' | sort -r | tr / '\\' |
		while read -r path; do printf 'RMDir "$INSTDIR\\%s"\n' "$path"; done
	echo '!macroend'
) >"$work/files.nsh"

# The version of a file is four numbers.
numbers=$(grep -oE '^[0-9]+(\.[0-9]+)*' <<<"$version" || echo 0)
numbers=$(printf '%s.0.0.0\n' "$numbers" | cut -d. -f1-4)
makensis -V2 -WX -NOCD -INPUTCHARSET UTF8 "-DVERSION=$version" "-DNUMBERS=$numbers" "-DFOLDER=$work/pns4ones" \
	"-DFILES=$work/files.nsh" \
	"-DSIZE_KB=$(find "$work/pns4ones" -type f -printf '%s\n' | awk '{ sum += $1 } END { print int(sum / 1024) }')" \
	"-DOUTFILE=$out/$name-setup.exe" "$here/pns4ones.nsi"
chmod 644 "$out/$name.zip" "$out/$name-setup.exe"
