#include <windows.h>
// after windows.h
#include <shellapi.h>

#include "../text.hpp"
#include "library.hpp"

namespace host {
namespace {

std::u16string wide(const std::string &text) { return pns4ones::to_utf16(text); }

std::string narrow(const wchar_t *text) { return pns4ones::to_utf8(reinterpret_cast<const char16_t *>(text)); }

}  // namespace

std::string Library::load(const std::string &path) {
	handle_ = LoadLibraryW(reinterpret_cast<const wchar_t *>(wide(path).c_str()));
	if (handle_ == nullptr) return "LoadLibrary: error " + std::to_string(GetLastError());
	GetClassNames = reinterpret_cast<decltype(GetClassNames)>(find("GetClassNames"));
	GetClassObject = reinterpret_cast<decltype(GetClassObject)>(find("GetClassObject"));
	DestroyObject = reinterpret_cast<decltype(DestroyObject)>(find("DestroyObject"));
	SetPlatformCapabilities = reinterpret_cast<decltype(SetPlatformCapabilities)>(find("SetPlatformCapabilities"));
	GetAttachType = reinterpret_cast<decltype(GetAttachType)>(find("GetAttachType"));
	if (GetClassNames == nullptr || GetClassObject == nullptr || DestroyObject == nullptr) return "it is no native add-in";
	return "";
}

void Library::unload() {
	if (handle_ != nullptr) FreeLibrary(static_cast<HMODULE>(handle_));
	*this = Library();
}

void *Library::find(const char *name) { return reinterpret_cast<void *>(GetProcAddress(static_cast<HMODULE>(handle_), name)); }

void sleep_ms(unsigned ms) { Sleep(ms); }

namespace {
struct Start {
	void (*function)(void *);
	void *argument;
};

#ifdef __i386__
__attribute__((force_align_arg_pointer))
#endif
DWORD WINAPI run(void *given) {
	const auto *start = static_cast<Start *>(given);
	start->function(start->argument);
	return 0;
}
}  // namespace

void run_threads(unsigned count, void (*function)(void *), void *argument) {
	Start start = {function, argument};
	std::vector<HANDLE> threads;
	for (HANDLE thread; threads.size() < count && (thread = CreateThread(nullptr, 0, run, &start, 0, nullptr)) != nullptr;) threads.push_back(thread);
	for (const HANDLE thread : threads) {
		WaitForSingleObject(thread, INFINITE);
		CloseHandle(thread);
	}
}

unsigned open_handles() {
	DWORD count = 0;
	GetProcessHandleCount(GetCurrentProcess(), &count);
	return count;
}

// What main is given has lost the characters that are not of the system's code page.
std::vector<std::string> arguments(int, char **) {
	int count = 0;
	wchar_t **const given = CommandLineToArgvW(GetCommandLineW(), &count);
	std::vector<std::string> out;
	for (int i = 1; given != nullptr && i < count; i++) out.push_back(narrow(given[i]));
	LocalFree(given);
	return out;
}

void write_out(const std::string &text) {
	for (std::size_t at = 0; at < text.size();) {
		DWORD written = 0;
		if (!WriteFile(GetStdHandle(STD_OUTPUT_HANDLE), text.data() + at, static_cast<DWORD>(text.size() - at), &written, nullptr) || written == 0) return;
		at += written;
	}
}

bool read_line(std::string &line) {
	line.clear();
	char c;
	for (DWORD got = 0; ReadFile(GetStdHandle(STD_INPUT_HANDLE), &c, 1, &got, nullptr) && got == 1;) {
		if (c == '\n') return true;
		if (c != '\r') line += c;
	}
	return !line.empty();
}

}  // namespace host
