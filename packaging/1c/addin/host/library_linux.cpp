#include <dirent.h>
#include <dlfcn.h>
#include <pthread.h>
#include <unistd.h>

#include <cstdio>
#include <ctime>

#include "library.hpp"

namespace host {

std::string Library::load(const std::string &path) {
	handle_ = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
	if (handle_ == nullptr) return dlerror();
	GetClassNames = reinterpret_cast<decltype(GetClassNames)>(find("GetClassNames"));
	GetClassObject = reinterpret_cast<decltype(GetClassObject)>(find("GetClassObject"));
	DestroyObject = reinterpret_cast<decltype(DestroyObject)>(find("DestroyObject"));
	SetPlatformCapabilities = reinterpret_cast<decltype(SetPlatformCapabilities)>(find("SetPlatformCapabilities"));
	GetAttachType = reinterpret_cast<decltype(GetAttachType)>(find("GetAttachType"));
	if (GetClassNames == nullptr || GetClassObject == nullptr || DestroyObject == nullptr) return "it is no native add-in";
	return "";
}

void Library::unload() {
	if (handle_ != nullptr) dlclose(handle_);
	*this = Library();
}

void *Library::find(const char *name) { return dlsym(handle_, name); }

void sleep_ms(unsigned ms) {
	const timespec time = {static_cast<std::time_t>(ms / 1000), static_cast<long>(ms % 1000) * 1000000};
	nanosleep(&time, nullptr);
}

namespace {
struct Start {
	void (*function)(void *);
	void *argument;
};
}  // namespace

void run_threads(unsigned count, void (*function)(void *), void *argument) {
	Start start = {function, argument};
	const auto run = [](void *given) -> void * {
		const auto *begin = static_cast<Start *>(given);
		begin->function(begin->argument);
		return nullptr;
	};
	std::vector<pthread_t> threads;
	for (pthread_t thread; threads.size() < count && pthread_create(&thread, nullptr, run, &start) == 0;) threads.push_back(thread);
	for (const pthread_t thread : threads) pthread_join(thread, nullptr);
}

unsigned open_handles() {
	unsigned count = 0;
	if (DIR *const folder = opendir("/proc/self/fd"); folder != nullptr) {
		while (readdir(folder) != nullptr) count++;
		closedir(folder);
	}
	return count;
}

std::vector<std::string> arguments(int count, char **given) { return {given + 1, given + count}; }

void write_out(const std::string &text) {
	for (std::size_t at = 0; at < text.size();) {
		const ssize_t written = write(STDOUT_FILENO, text.data() + at, text.size() - at);
		if (written <= 0) return;
		at += static_cast<std::size_t>(written);
	}
}

bool read_line(std::string &line) {
	line.clear();
	for (int c; (c = std::getchar()) != EOF;) {
		if (c == '\n') return true;
		line += static_cast<char>(c);
	}
	return !line.empty();
}

}  // namespace host
