; The installer for Windows. build.sh compiles it; it defines VERSION, NUMBERS,
; FOLDER (what is installed), FILES (macros that install and remove each file),
; SIZE_KB and OUTFILE.
;
;   setup.exe [/S] [/D=FOLDER]            /S asks nothing; /D, the last one, without quotes
;   uninstall.exe [/S] [/PURGE]           /PURGE removes settings and keys as well
;
; Exit status: 0 done; 1 cancelled; 2 failed, and what was there before is there
; again; 3 installed, but the service does not start. What was done and said is in
; %TEMP%\pns4ones-setup.log.
;
; All that concerns the service is done by «pns4ones install», «start» and so on:
; this script copies files, and goes back if the new program does not start.

Unicode true
Target amd64-unicode
ManifestSupportedOS Win10
RequestExecutionLevel admin
SetCompressor /SOLID lzma
CRCCheck force

!include MUI2.nsh
!include LogicLib.nsh
!include FileFunc.nsh
!include WordFunc.nsh
!include WinVer.nsh
!include x64.nsh
!include "${FILES}"

!define SERVICE "PNS4OneS"
!define SERVICE_KEY "SYSTEM\CurrentControlSet\Services\${SERVICE}"
!define UNINSTALL_KEY "Software\Microsoft\Windows\CurrentVersion\Uninstall\${SERVICE}"
!define RULE "PNS4OneS"
!define MENU "$SMPROGRAMS\PNS4OneS"

Name "PNS4OneS"
BrandingText "PNS4OneS ${VERSION}"
OutFile "${OUTFILE}"
ShowInstDetails show
ShowUninstDetails show
VIProductVersion "${NUMBERS}"
VIAddVersionKey /LANG=0 ProductName "PNS4OneS"
VIAddVersionKey /LANG=0 ProductVersion "${VERSION}"
VIAddVersionKey /LANG=0 FileVersion "${VERSION}"
VIAddVersionKey /LANG=0 FileDescription "PNS4OneS ${VERSION} setup"
VIAddVersionKey /LANG=0 LegalCopyright "Apache License 2.0"

!define MUI_ABORTWARNING
!define MUI_FINISHPAGE_NOAUTOCLOSE
!insertmacro MUI_PAGE_DIRECTORY
!insertmacro MUI_PAGE_INSTFILES
!insertmacro MUI_UNPAGE_CONFIRM
!insertmacro MUI_UNPAGE_INSTFILES
; The language is that of the system; the first one stands for all that are not here.
!insertmacro MUI_LANGUAGE "English"
!insertmacro MUI_LANGUAGE "Russian"

!macro Text NAME ENGLISH RUSSIAN
  LangString ${NAME} ${LANG_ENGLISH} "${ENGLISH}"
  LangString ${NAME} ${LANG_RUSSIAN} "${RUSSIAN}"
!macroend
!insertmacro Text LangCode "en" "ru"
!insertmacro Text TooOld \
  "PNS4OneS needs 64-bit Windows 10, Windows Server 2016 or later." \
  "Для PNS4OneS нужна 64-разрядная Windows 10, Windows Server 2016 или новее."
!insertmacro Text CheckFailed \
  "The new version cannot run with the settings of the service. Nothing was changed, and what runs goes on." \
  "Новая версия не может работать с настройками службы. Ничего не изменено: служба, если она работала, работает дальше."
!insertmacro Text StopFailed \
  "The service could not be stopped. Nothing was changed." \
  "Не удалось остановить службу. Ничего не изменено."
!insertmacro Text CopyFailed \
  "The files could not be written into $INSTDIR. Close the programs that run from there, check the free space, and start the setup again." \
  "Не удалось записать файлы в $INSTDIR. Закройте программы, запущенные оттуда, проверьте свободное место и запустите установку снова."
!insertmacro Text InstallFailed \
  "The service could not be installed." \
  "Не удалось установить службу."
!insertmacro Text StartFailed \
  "The programs are installed, but the service does not start." \
  "Программы установлены, но служба не запускается."
!insertmacro Text UpgradeFailed \
  "The new version does not start." \
  "Новая версия не запускается."
!insertmacro Text OldIsBack \
  "The old version is back." \
  "Возвращена прежняя версия."
!insertmacro Text OldIsBackAndRuns \
  "The old version is back and runs." \
  "Возвращена и запущена прежняя версия."
!insertmacro Text OldDoesNotStart \
  "The old version is back, but does not start either." \
  "Возвращена прежняя версия, но и она не запускается."
!insertmacro Text UninstallFailed \
  "The service could not be removed. The programs are left." \
  "Не удалось удалить службу. Программы оставлены."
!insertmacro Text AskPurge \
  "Remove settings and keys of all apps as well? They cannot be brought back." \
  "Удалить также настройки и ключи всех приложений? Вернуть их будет нельзя."
!insertmacro Text MenuPanel "Panel" "Панель"
!insertmacro Text MenuConsole "Console" "Консоль"
!insertmacro Text MenuSettings "Settings folder" "Папка настроек"
!insertmacro Text MenuManual "Manual" "Руководство"

!define UN ""

Var Log       ; path of the log
Var Output    ; what the last command said
Var Status    ; its exit status
Var OldImage  ; command line of the service that was there before; "": there was none
Var WasRunning
Var Failure

; Say writes a line into the log, which is UTF-8: in English.
!macro Say TEXT
  FileOpen $9 "$Log" a
  FileSeek $9 0 END
  FileWrite $9 `${TEXT}$\r$\n`
  FileClose $9
!macroend
!define Say "!insertmacro Say"

; Run runs one of our programs without a window. Its output goes into the log, and
; as far as a string holds it, into $Output.
!macro Run COMMAND
  ${Say} '> ${COMMAND}'
  nsExec::Exec `"$SYSDIR\cmd.exe" /d /s /c "${COMMAND} > "$PLUGINSDIR\output.txt" 2>&1"`
  Pop $Status
  nsExec::Exec `"$SYSDIR\cmd.exe" /d /s /c "type "$PLUGINSDIR\output.txt" >> "$Log""`
  Pop $9
  Call ${UN}ReadOutput
  ${If} $Output != ""
    DetailPrint "$Output"
  ${EndIf}
!macroend
!define Run "!insertmacro Run"

; RunSystem runs a program of Windows, whose output is not UTF-8, for its status.
!macro RunSystem COMMAND
  nsExec::Exec `${COMMAND}`
  Pop $Status
  ${Say} '> ${COMMAND} : $Status'
!macroend
!define RunSystem "!insertmacro RunSystem"

; ReadOutput reads the UTF-8 of our programs, which no command of NSIS can.
!macro DefineReadOutput UN
Function ${UN}ReadOutput
  StrCpy $Output ""
  System::Call 'kernel32::CreateFileW(w "$PLUGINSDIR\output.txt", i 0x80000000, i 3, p 0, i 3, i 0, p 0) p.r1'
  System::Alloc 1000
  Pop $2
  System::Call 'kernel32::ReadFile(p r1, p r2, i 1000, *i .r3, p 0)'
  ${If} $3 > 0
    System::Call 'kernel32::MultiByteToWideChar(i 65001, i 0, p r2, i r3, w .s, i 1000)'
    Pop $Output
  ${EndIf}
  System::Free $2
  System::Call 'kernel32::CloseHandle(p r1)'
FunctionEnd
!macroend
!insertmacro DefineReadOutput ""
!insertmacro DefineReadOutput "un."

; Init begins the log and chooses the registry and the language of our programs.
!macro Init
  SetRegView 64
  SetShellVarContext all
  InitPluginsDir
  StrCpy $Log "$TEMP\pns4ones-setup.log"
  Delete "$Log"
  System::Call 'kernel32::SetEnvironmentVariable(t "PNS4ONES_LANG", t "$(LangCode)")'
!macroend

; Fail tells what went wrong, and ends with a status.
!macro Fail STATUS TEXT
  ${Say} "failed with status ${STATUS}"
  SetErrorLevel ${STATUS}
  MessageBox MB_OK|MB_ICONSTOP "${TEXT}$\r$\n$\r$\n$Output$\r$\n$Log" /SD IDOK
  Quit
!macroend
!define Fail "!insertmacro Fail"

; ServiceRuns tells on the stack whether the service runs, is starting or ending.
Function ServiceRuns
  StrCpy $3 0
  System::Call 'advapi32::OpenSCManagerW(p 0, p 0, i 1) p.r1'
  System::Call 'advapi32::OpenServiceW(p r1, w "${SERVICE}", i 4) p.r2'
  ${If} $2 P<> 0
    System::Call '*(i 0, i 0, i 0, i 0, i 0, i 0, i 0) p.r4' ; SERVICE_STATUS
    System::Call 'advapi32::QueryServiceStatus(p r2, p r4)'
    System::Call '*$4(i, i .r3)' ; dwCurrentState; 1: stopped
    System::Free $4
    System::Call 'advapi32::CloseServiceHandle(p r2)'
  ${EndIf}
  System::Call 'advapi32::CloseServiceHandle(p r1)'
  ${If} $3 > 1
    Push "yes"
  ${Else}
    Push "no"
  ${EndIf}
FunctionEnd

Function .onInit
  !insertmacro Init
  ${Say} "PNS4OneS ${VERSION}"
  ${IfNot} ${RunningX64}
  ${OrIfNot} ${AtLeastWin10}
    ${Fail} 2 "$(TooOld)"
  ${EndIf}
  ${If} $INSTDIR == ""
    ReadRegStr $INSTDIR HKLM "${UNINSTALL_KEY}" "InstallLocation"
  ${EndIf}
  ${If} $INSTDIR == ""
    StrCpy $INSTDIR "$PROGRAMFILES64\pns4ones"
  ${EndIf}
FunctionEnd

; Asked before anything is stopped: can the new program run with the settings of the
; service?
Function CheckNewProgram
  SetOutPath $PLUGINSDIR
  File "${FOLDER}/pns4ones.exe"
  ${Run} '"$PLUGINSDIR\pns4ones.exe" install -check'
  ${If} $Status != 0
    ${Fail} 2 "$(CheckFailed)"
  ${EndIf}
FunctionEnd

; KeepOld puts the programs aside. Those that run can be renamed, but not replaced.
Function KeepOld
  Delete "$INSTDIR\pns4ones.exe.old"
  Delete "$INSTDIR\pns4onesadmin.exe.old"
  Rename "$INSTDIR\pns4ones.exe" "$INSTDIR\pns4ones.exe.old"
  Rename "$INSTDIR\pns4onesadmin.exe" "$INSTDIR\pns4onesadmin.exe.old"
  ClearErrors ; there may be none
FunctionEnd

; RestoreImage gives the service the command line that it had before.
Function RestoreImage
  StrCpy $5 $OldImage
  System::Call 'advapi32::OpenSCManagerW(p 0, p 0, i 1) p.r1'
  System::Call 'advapi32::OpenServiceW(p r1, w "${SERVICE}", i 2) p.r2'
  ; -1: SERVICE_NO_CHANGE
  System::Call 'advapi32::ChangeServiceConfigW(p r2, i -1, i -1, i -1, w r5, p 0, p 0, p 0, p 0, p 0, p 0) i.r3'
  System::Call 'advapi32::CloseServiceHandle(p r2)'
  System::Call 'advapi32::CloseServiceHandle(p r1)'
  ${Say} 'command line of the service restored: $3'
FunctionEnd

; BringOldBack undoes what was done, has the service that was there before run
; again if it ran, and ends with what is in $Failure.
Function BringOldBack
  StrCpy $R0 $Output ; why
  ${If} $OldImage == ""
    ${Run} '"$INSTDIR\pns4ones.exe" uninstall'
  ${EndIf}
  Delete "$INSTDIR\pns4ones.exe"
  Delete "$INSTDIR\pns4onesadmin.exe"
  Rename "$INSTDIR\pns4ones.exe.old" "$INSTDIR\pns4ones.exe"
  Rename "$INSTDIR\pns4onesadmin.exe.old" "$INSTDIR\pns4onesadmin.exe"
  ${IfNot} ${FileExists} "$INSTDIR\pns4ones.exe"
    !insertmacro RemoveFiles
    RMDir "$INSTDIR"
  ${EndIf}
  ${If} $OldImage == ""
    StrCpy $Output $R0
    ${Fail} 2 "$Failure"
  ${EndIf}
  Call RestoreImage
  ${If} $WasRunning == "no"
    StrCpy $Output $R0
    ${Fail} 2 "$Failure $(OldIsBack)"
  ${EndIf}
  ${Run} '"$PLUGINSDIR\pns4ones.exe" start'
  StrCpy $Output $R0
  ${If} $Status != 0
    ${Fail} 2 "$Failure $(OldDoesNotStart)"
  ${EndIf}
  ${Fail} 2 "$Failure $(OldIsBackAndRuns)"
FunctionEnd

Section
  Call CheckNewProgram

  ReadRegStr $OldImage HKLM "${SERVICE_KEY}" "ImagePath"
  Call ServiceRuns
  Pop $WasRunning
  ${Say} "service before: running $WasRunning"
  ${If} $WasRunning == "yes"
    ${Run} '"$PLUGINSDIR\pns4ones.exe" stop'
    ${If} $Status != 0
      ${Fail} 2 "$(StopFailed)"
    ${EndIf}
  ${EndIf}

  CreateDirectory "$INSTDIR"
  Call KeepOld
  SetOverwrite try
  !insertmacro InstallFiles
  ${If} ${Errors}
    StrCpy $Output ""
    StrCpy $Failure "$(CopyFailed)"
    Call BringOldBack
  ${EndIf}
  SetOutPath "$INSTDIR"
  ${Run} '"$INSTDIR\pns4ones.exe" install'
  ${If} $Status != 0
    StrCpy $Failure "$(InstallFailed)"
    Call BringOldBack
  ${EndIf}

  ; One that was stopped on purpose stays so.
  StrCpy $R1 0
  ${If} $OldImage == ""
  ${OrIf} $WasRunning == "yes"
    ${Run} '"$INSTDIR\pns4ones.exe" start'
    StrCpy $R1 $Status
    ${If} $R1 != 0
    ${AndIf} $OldImage != ""
      StrCpy $Failure "$(UpgradeFailed)"
      Call BringOldBack
    ${EndIf}
  ${EndIf}
  StrCpy $R2 $Output
  Delete /REBOOTOK "$INSTDIR\pns4ones.exe.old"
  Delete /REBOOTOK "$INSTDIR\pns4onesadmin.exe.old"

  WriteUninstaller "$INSTDIR\uninstall.exe"
  WriteRegStr HKLM "${UNINSTALL_KEY}" "DisplayName" "PNS4OneS"
  WriteRegStr HKLM "${UNINSTALL_KEY}" "DisplayVersion" "${VERSION}"
  WriteRegStr HKLM "${UNINSTALL_KEY}" "Publisher" "pns4ones developers"
  WriteRegStr HKLM "${UNINSTALL_KEY}" "DisplayIcon" "$INSTDIR\uninstall.exe"
  WriteRegStr HKLM "${UNINSTALL_KEY}" "InstallLocation" "$INSTDIR"
  WriteRegStr HKLM "${UNINSTALL_KEY}" "UninstallString" '"$INSTDIR\uninstall.exe"'
  WriteRegStr HKLM "${UNINSTALL_KEY}" "QuietUninstallString" '"$INSTDIR\uninstall.exe" /S'
  WriteRegDWORD HKLM "${UNINSTALL_KEY}" "EstimatedSize" ${SIZE_KB}
  WriteRegDWORD HKLM "${UNINSTALL_KEY}" "NoModify" 1
  WriteRegDWORD HKLM "${UNINSTALL_KEY}" "NoRepair" 1

  ${RunSystem} '"$SYSDIR\netsh.exe" advfirewall firewall delete rule name="${RULE}"'
  ${RunSystem} '"$SYSDIR\netsh.exe" advfirewall firewall add rule name="${RULE}" dir=in action=allow protocol=TCP localport=36695,36696 program="$INSTDIR\pns4ones.exe"'

  ; The panel and the console need the rights of an administrator, as the control
  ; channel does. The window stays if the panel has something to complain about.
  CreateDirectory "${MENU}"
  CreateShortcut "${MENU}\$(MenuPanel).lnk" "$SYSDIR\cmd.exe" '/d /c ""$INSTDIR\pns4onesadmin.exe" tui || pause"' "$INSTDIR\pns4onesadmin.exe"
  Push "${MENU}\$(MenuPanel).lnk"
  Call AsAdministrator
  CreateShortcut "${MENU}\$(MenuConsole).lnk" "$SYSDIR\cmd.exe" '/d /k "cd /d "$INSTDIR" && pns4onesadmin status"'
  Push "${MENU}\$(MenuConsole).lnk"
  Call AsAdministrator
  CreateShortcut "${MENU}\$(MenuManual).lnk" "$INSTDIR\doc"
  ${Run} '"$INSTDIR\pns4ones.exe" where'
  ${If} $Status = 0
    ${WordReplace} '$Output' '$\n' '' '+' $0
    CreateShortcut "${MENU}\$(MenuSettings).lnk" "$WINDIR\explorer.exe" '"$0"'
  ${EndIf}

  ${If} $R1 != 0
    StrCpy $Output $R2
    ${Fail} 3 "$(StartFailed)"
  ${EndIf}
  ${Say} "done"
SectionEnd

; AsAdministrator has a shortcut ask for an administrator's rights: the flag
; SLDF_RUNAS_USER of its header, which no command of NSIS sets.
Function AsAdministrator
  Pop $0
  ClearErrors
  FileOpen $1 "$0" a
  ${IfNot} ${Errors}
    FileSeek $1 0x15
    FileReadByte $1 $2
    IntOp $2 $2 | 0x20
    FileSeek $1 0x15
    FileWriteByte $1 $2
    FileClose $1
  ${EndIf}
FunctionEnd

!define /redef UN "un."

Var Purge

Function un.onInit
  !insertmacro Init
  ${Say} "removing PNS4OneS ${VERSION}"
  StrCpy $Purge ""
  ${GetParameters} $0
  ClearErrors
  ${GetOptions} $0 "/PURGE" $1
  ${IfNot} ${Errors}
    StrCpy $Purge "-purge"
  ${EndIf}
FunctionEnd

Section "un."
  ${If} $Purge == ""
    MessageBox MB_YESNO|MB_ICONQUESTION|MB_DEFBUTTON2 "$(AskPurge)" /SD IDNO IDNO keep
    StrCpy $Purge "-purge"
    keep:
  ${EndIf}
  ${Run} '"$INSTDIR\pns4ones.exe" uninstall $Purge'
  ${If} $Status != 0
    ${Fail} 2 "$(UninstallFailed)"
  ${EndIf}
  ${RunSystem} '"$SYSDIR\netsh.exe" advfirewall firewall delete rule name="${RULE}"'
  ; In both languages: it may have been installed under the other one.
  Delete "${MENU}\*.lnk"
  RMDir "${MENU}"
  !insertmacro RemoveFiles
  Delete "$INSTDIR\uninstall.exe"
  SetOutPath "$TEMP" ; a folder cannot be removed by who stands in it
  RMDir "$INSTDIR"
  DeleteRegKey HKLM "${UNINSTALL_KEY}"
  ${Say} "done"
SectionEnd
