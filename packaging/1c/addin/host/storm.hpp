// An attack on an object from 1C's side.
#pragma once

#include <string>

#include "../abi.hpp"
#include "platform.hpp"

namespace host {

// Service is where a right Connect leads.
struct Service {
	std::string host, port, app, key;
};

// storm calls what 1C code may call, and what it should not, on four threads at once, with
// good and bad values, and returns how many calls there were. The seed says which.
unsigned storm(abi::Language &language, Memory &memory, unsigned calls_of_each, unsigned seed, const Service &service);

}  // namespace host
