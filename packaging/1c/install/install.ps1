# Загружает расширение сервиса уведомлений в информационную базу 1С и говорит, что получилось.
#
#   powershell -ExecutionPolicy Bypass -File install.ps1 ibcmd "C:\Program Files\1cv8\8.3.24.1548\bin\ibcmd.exe" --db-path=C:\base
#   powershell -ExecutionPolicy Bypass -File install.ps1 designer "C:\Program Files\1cv8\8.3.24.1548\bin\1cv8.exe" /F C:\base /N admin
#
# С bsp перед ibcmd или designer загружается второе расширение: уведомления о задачах и письмах
# для конфигураций на БСП. Сначала загрузите первое.
#
# Параметры после программы называют базу и пользователя, как их понимает сама программа.
# Перед загрузкой спрашивает; с переменной окружения YES=1 не спрашивает. Прежнее расширение
# с тем же именем сохраняет в папку рядом с собой. Ничего, кроме этого расширения, не меняет.
$ErrorActionPreference = 'Stop'
$name = 'com_ptolkachev_pns4ones'
$here = Split-Path -Parent $MyInvocation.MyCommand.Path
$folder = 'extension'
$words = @($args)
$second = ''
if ($words.Count -gt 0 -and $words[0] -eq 'bsp') {
	$words = @($words | Select-Object -Skip 1)
	$name = 'pns4ones_БСП'
	$folder = 'extension-bsp'
	$second = 'Второму расширению нужны в конфигурации задача ЗадачаИсполнителя и общий модуль ' +
		'УправлениеЭлектроннойПочтой, они есть в БСП, и уже загруженное первое расширение.'
}
$extension = Join-Path $here $folder
$backup = Join-Path $here ('before-' + (Get-Date -Format 'yyyyMMdd-HHmmss'))
$work = Join-Path ([IO.Path]::GetTempPath()) ('pns4ones-' + [Guid]::NewGuid())

function Stop-With($text, $advice) {
	Write-Host "Не получилось: $text" -ForegroundColor Red
	if ($advice) { Write-Host $advice }
	exit 1
}

# Hide-Secrets returns the parameters without passwords.
function Hide-Secrets($list) {
	$hide = $false
	foreach ($word in $list) {
		if ($hide) { '***' }
		elseif ($word -match '^(--[a-z-]*(?:password|pwd)=)') { $Matches[1] + '***' }
		elseif ($word -match '^[/-]P.') { $word.Substring(0, 2) + '***' }
		else { $word }
		$hide = $word -match '^[/-]P$'
	}
}

# Invoke-Step runs the program and shows its answer only where it fails.
function Invoke-Step($what, $arguments) {
	Write-Host "$what..."
	$out = Join-Path $work 'out.txt'
	if ($tool -eq 'designer') {
		$arguments = @('DESIGNER') + $arguments + @('/DisableStartupDialogs', '/DisableStartupMessages', '/Out', $out)
	}
	# In quotes, a backslash at the end would be taken together with the quote.
	$quoted = $arguments | ForEach-Object {
		if ($_ -match '\s') { '"' + ($_ -replace '(\\+)$', '$1$1') + '"' } else { $_ }
	}
	$line = $quoted -join ' '
	$log = Join-Path $work 'log.txt'
	$errors = Join-Path $work 'errors.txt'
	$process = Start-Process -FilePath $program -ArgumentList $line -Wait -PassThru -NoNewWindow `
		-RedirectStandardOutput $log -RedirectStandardError $errors
	if ($process.ExitCode -eq 0) { return $true }
	foreach ($file in $log, $errors, $out) {
		if (Test-Path $file) { Get-Content $file | ForEach-Object { Write-Host "  $_" } }
	}
	return $false
}

function Compare-Back($back) {
	$differing = Get-ChildItem -Recurse -File $extension | ForEach-Object {
		$relative = $_.FullName.Substring($extension.Length + 1)
		$other = Join-Path $back $relative
		if (-not (Test-Path $other) -or (Get-FileHash $_.FullName).Hash -ne (Get-FileHash $other).Hash) { $relative }
	}
	if (-not $differing) { Write-Host 'Выгружено обратно: все файлы те же.'; return }
	Write-Host 'Выгружено обратно. Платформа записала по-своему (это не ошибка, но нам интересно):'
	$differing | ForEach-Object { Write-Host "  $_" }
}

if ($words.Count -lt 3 -or $words[0] -notin 'ibcmd', 'designer') {
	Get-Content $MyInvocation.MyCommand.Path | Select-Object -Skip 2 -First 2 | ForEach-Object { $_.TrimStart('#').Trim() }
	exit 2
}
$tool, $program = $words[0], $words[1]
$base = @($words[2..($words.Count - 1)])
if (-not (Test-Path $program)) { Stop-With "программы $program нет." }
if (-not (Test-Path (Join-Path $extension 'Configuration.xml'))) {
	Stop-With "рядом нет папки ${folder}: распакуйте архив целиком."
}
if (-not $second -and -not (Test-Path (Join-Path $extension 'CommonTemplates\pns4ones_Компонента\Ext\Template.bin'))) {
	Stop-With 'в папке extension нет внешней компоненты: возьмите архив pns4ones-1c-….zip, а не исходные тексты.'
}

Write-Host "Будет загружено расширение $name в базу:"
Write-Host ('  ' + ((Hide-Secrets $base) -join ' '))
Write-Host "Прежнее расширение с этим именем, если оно есть, будет сохранено в $backup и заменено."
if ($env:YES -ne '1' -and (Read-Host 'Продолжить? Напишите «да»') -ne 'да') {
	Write-Host 'Ничего не изменено.'
	exit 0
}

$advice = 'ibcmd 8.3.20 не загружает расширения с ролями: ' +
	'возьмите конфигуратор (install.ps1 designer) или платформу новее.'
if ($second) { $advice = $second }

New-Item -ItemType Directory $work | Out-Null
try {
	$back = Join-Path $work 'back'
	if ($tool -eq 'ibcmd') {
		if (Invoke-Step 'Сохраняю прежнее' (@('infobase', 'config', 'export') + $base + @("--extension=$name", $backup))) {
			Write-Host "Прежнее сохранено: $backup"
		} else {
			Write-Host 'Прежнего расширения в базе нет (или его не удалось выгрузить).'
		}
		if (-not (Invoke-Step 'Загружаю' (@('infobase', 'config', 'import') + $base + @("--extension=$name", $extension)))) {
			Stop-With 'расширение не загрузилось.' $advice
		}
		if (-not (Invoke-Step 'Проверяю' (@('infobase', 'config', 'check') + $base + @("--extension=$name")))) {
			Stop-With 'проверка нашла ошибки. База пока работает с прежней конфигурацией расширения.' $second
		}
		if (-not (Invoke-Step 'Применяю' (@('infobase', 'config', 'apply') + $base + @("--extension=$name", '--force')))) {
			Stop-With 'расширение не применилось.' 'Обычная причина: в базе кто-то работает.'
		}
		if (-not (Invoke-Step 'Снимаю безопасный режим и защиту от опасных действий' (
			@('extension', 'update') + $base + @("--name=$name", '--safe-mode=no', '--unsafe-action-protection=no')))) {
			Stop-With 'расширение загружено, но флаги не сняты: уведомления работать не будут.' `
				'Снимите их сами в конфигураторе, в списке расширений.'
		}
		if (Invoke-Step 'Выгружаю обратно' (@('infobase', 'config', 'export') + $base + @("--extension=$name", $back))) {
			Compare-Back $back
		}
	} else {
		if (Invoke-Step 'Сохраняю прежнее' ($base + @('/DumpConfigToFiles', $backup, '-Extension', $name))) {
			Write-Host "Прежнее сохранено: $backup"
		} else {
			Write-Host 'Прежнего расширения в базе нет (или его не удалось выгрузить).'
		}
		if (-not (Invoke-Step 'Загружаю' ($base + @('/LoadConfigFromFiles', $extension, '-Extension', $name)))) {
			Stop-With 'расширение не загрузилось.' $second
		}
		if (-not (Invoke-Step 'Проверяю' ($base + @('/CheckCanApplyConfigurationExtensions', '-Extension', $name)))) {
			Stop-With 'расширение нельзя применить. База пока работает с прежним.' $second
		}
		if (-not (Invoke-Step 'Применяю' ($base + @('/UpdateDBCfg', '-Extension', $name)))) {
			Stop-With 'расширение не применилось.' 'Обычная причина: в базе кто-то работает.'
		}
		if (Invoke-Step 'Выгружаю обратно' ($base + @('/DumpConfigToFiles', $back, '-Extension', $name))) {
			Compare-Back $back
		}
		Write-Host ("Осталось самим: в конфигураторе «Конфигурация» → «Расширения конфигурации» снимите у $name флаги " +
			'«Безопасный режим» и «Защита от опасных действий».')
	}
	if ($second) {
		Write-Host 'Готово. Перезапустите 1С: исполнители узнают о новых задачах, ответственные - о новых письмах.'
	} else {
		Write-Host 'Готово. Перезапустите 1С и откройте «Сервис уведомлений» → «Настройка сервиса уведомлений».'
	}
} finally {
	Remove-Item -Recurse -Force $work -ErrorAction SilentlyContinue
}
