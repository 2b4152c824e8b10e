// The add-in as a file, and the little of the system that the host needs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "../abi.hpp"

namespace host {

// Library is a loaded add-in: all five functions, of which the last is not in the
// add-ins made before version 8.3.21 of 1C.
class Library {
 public:
	const abi::Char *(*GetClassNames)() = nullptr;
	long (*GetClassObject)(const abi::Char *, abi::Life **) = nullptr;
	long (*DestroyObject)(abi::Life **) = nullptr;
	long (*SetPlatformCapabilities)(long) = nullptr;
	int (*GetAttachType)() = nullptr;

	// load loads the file as 1C does, and returns an empty text, or what failed.
	std::string load(const std::string &path);
	void unload();
	bool loaded() const { return handle_ != nullptr; }

 private:
	void *find(const char *name);

	void *handle_ = nullptr;
};

void sleep_ms(unsigned ms);

// run_threads runs a function on so many other threads at once, and waits for them.
void run_threads(unsigned count, void (*function)(void *), void *argument);

// open_handles is how many files, sockets and the like this process has open.
unsigned open_handles();

// arguments returns those of the command line in UTF-8, without the program's name.
std::vector<std::string> arguments(int count, char **given);

// write_out writes bytes to the standard output, at once.
void write_out(const std::string &text);

// read_line reads one line from the standard input; false at its end.
bool read_line(std::string &line);

}  // namespace host
