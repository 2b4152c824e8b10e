#!/usr/bin/env bash
# Загружает расширение сервиса уведомлений в информационную базу 1С и говорит, что получилось.
#
#   install.sh [bsp] ibcmd ПАРАМЕТРЫ…             на сервере 1С, когда в базе никто не работает
#   install.sh [bsp] designer 1cv8 ПАРАМЕТРЫ…     конфигуратором; 1cv8 - путь к программе
#
# С bsp загружается второе расширение: уведомления о задачах и письмах для конфигураций на БСП.
# Сначала загрузите первое.
#
# ПАРАМЕТРЫ называют базу и пользователя, как их понимает сама программа:
#   install.sh ibcmd --db-path=/srv/base --user=admin --password=…
#   install.sh designer /opt/1cv8/x86_64/8.3.24.1548/1cv8 /S srv\base /N admin /P …
#
# Перед загрузкой спрашивает; с YES=1 в окружении не спрашивает. Прежнее расширение с тем же
# именем сохраняет в папку рядом с собой. Ничего, кроме этого расширения, не меняет.
set -euo pipefail

name=com_ptolkachev_pns4ones
here=$(cd "$(dirname "$0")" && pwd)
folder=extension
if [ "${1-}" = bsp ]; then
	shift
	name=pns4ones_БСП
	folder='extension-bsp'
fi
extension=$here/$folder
backup=$here/before-$(date +%Y%m%d-%H%M%S)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say() { printf '%s\n' "$*"; }
fail() {
	printf 'Не получилось: %s\n' "$1" >&2
	[ ! -s "$work/log" ] || sed 's/^/  /' "$work/log" >&2
	[ -z "${2:-}" ] || printf '%s\n' "$2" >&2
	exit 1
}
usage() {
	sed -n '4,5s/^#   //p' "$0" >&2
	exit 2
}

# shown prints the parameters without passwords.
shown() {
	local word hide=
	for word; do
		case $hide,$word in
		yes,*) printf '*** ' ;;
		,--*password=* | ,--*pwd=*) printf '%s=*** ' "${word%%=*}" ;;
		,[/-]P?*) printf '%s*** ' "${word:0:2}" ;;
		*) printf '%s ' "$word" ;;
		esac
		hide=
		case $word in [/-]P) hide=yes ;; esac
	done
	echo
}

# step runs a command whose answer goes to the log.
step() {
	local what=$1
	shift
	say "$what…"
	: >"$work/log"
	"$@" >"$work/log" 2>&1
}

# compare tells what the platform has written back otherwise than it was given.
compare() {
	local differing
	differing=$(cd "$extension" && find . -type f | sort | while read -r file; do
		cmp -s "$file" "$work/back/$file" || printf '%s\n' "$file"
	done)
	if [ -z "$differing" ]; then
		say "Выгружено обратно: все файлы те же."
	else
		say "Выгружено обратно. Платформа записала по-своему (это не ошибка, но нам интересно):"
		printf '%s\n' "$differing" | sed 's/^/  /'
	fi
}

[ -f "$extension/Configuration.xml" ] || fail "рядом нет папки $folder: распакуйте архив целиком."
[ "$folder" != extension ] || [ -f "$extension/CommonTemplates/pns4ones_Компонента/Ext/Template.bin" ] ||
	fail "в папке extension нет внешней компоненты: возьмите архив pns4ones-1c-….zip, а не исходные тексты."

tool=${1-}
case $tool in
ibcmd)
	shift
	[ $# -gt 0 ] || usage
	command -v ibcmd >/dev/null ||
		fail "программы ibcmd нет в PATH. Она лежит рядом с сервером 1С, например /opt/1cv8/x86_64/8.3.24.1548."
	;;
designer)
	shift
	[ $# -gt 1 ] || usage
	designer=$1
	shift
	[ -x "$designer" ] || fail "программы $designer нет или ее нельзя запустить."
	;;
*) usage ;;
esac

say "Будет загружено расширение $name в базу:"
say "  $(shown "$@")"
say "Прежнее расширение с этим именем, если оно есть, будет сохранено в $backup и заменено."
if [ "${YES:-}" != 1 ]; then
	printf 'Продолжить? Напишите «да»: '
	read -r answer || answer=
	[ "$answer" = да ] || { say "Ничего не изменено."; exit 0; }
fi

advice="ibcmd 8.3.20 не загружает расширения с ролями: возьмите конфигуратор (install.sh designer) или платформу новее."
second=
[ "$folder" = extension ] || second="Второму расширению нужны в конфигурации задача ЗадачаИсполнителя и общий модуль \
УправлениеЭлектроннойПочтой, они есть в БСП, и уже загруженное первое расширение."
[ -z "$second" ] || advice=$second
if [ "$tool" = ibcmd ]; then
	if step "Сохраняю прежнее" ibcmd infobase config export "$@" "--extension=$name" "$backup"; then
		say "Прежнее сохранено: $backup"
	else
		rm -rf "$backup"
		say "Прежнего расширения в базе нет (или его не удалось выгрузить)."
	fi
	step "Загружаю" ibcmd infobase config import "$@" "--extension=$name" "$extension" ||
		fail "расширение не загрузилось." "$advice"
	step "Проверяю" ibcmd infobase config check "$@" "--extension=$name" ||
		fail "проверка нашла ошибки. База пока работает с прежней конфигурацией расширения." "$second"
	step "Применяю" ibcmd infobase config apply "$@" "--extension=$name" --force ||
		fail "расширение не применилось." "Обычная причина: в базе кто-то работает."
	step "Снимаю безопасный режим и защиту от опасных действий" \
		ibcmd extension update "$@" "--name=$name" --safe-mode=no --unsafe-action-protection=no ||
		fail "расширение загружено, но флаги не сняты: уведомления работать не будут." \
			"Снимите их сами в конфигураторе, в списке расширений."
	if step "Выгружаю обратно" ibcmd infobase config export "$@" "--extension=$name" "$work/back"; then
		compare
	fi
else
	run() { "$designer" DESIGNER "$@" /DisableStartupDialogs /DisableStartupMessages /Out "$work/out"; }
	told() { [ ! -f "$work/out" ] || cat "$work/out" >>"$work/log"; }
	if step "Сохраняю прежнее" run "$@" /DumpConfigToFiles "$backup" -Extension "$name"; then
		say "Прежнее сохранено: $backup"
	else
		rm -rf "$backup"
		say "Прежнего расширения в базе нет (или его не удалось выгрузить)."
	fi
	step "Загружаю" run "$@" /LoadConfigFromFiles "$extension" -Extension "$name" ||
		{ told; fail "расширение не загрузилось." "$second"; }
	step "Проверяю" run "$@" /CheckCanApplyConfigurationExtensions -Extension "$name" ||
		{ told; fail "расширение нельзя применить. База пока работает с прежним." "$second"; }
	step "Применяю" run "$@" /UpdateDBCfg -Extension "$name" ||
		{ told; fail "расширение не применилось." "Обычная причина: в базе кто-то работает."; }
	if step "Выгружаю обратно" run "$@" /DumpConfigToFiles "$work/back" -Extension "$name"; then
		compare
	fi
	say "Осталось самим: в конфигураторе «Конфигурация» → «Расширения конфигурации» снимите у $name флаги" \
		"«Безопасный режим» и «Защита от опасных действий»."
fi
if [ -z "$second" ]; then
	say "Готово. Перезапустите 1С и откройте «Сервис уведомлений» → «Настройка сервиса уведомлений»."
else
	say "Готово. Перезапустите 1С: исполнители узнают о новых задачах, ответственные - о новых письмах."
fi
