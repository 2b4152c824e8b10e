// Parameters that 1C code passes, written as words.
#pragma once

#include <string>

#include "../abi.hpp"

namespace host {

// Value is a parameter with the memory that it points to, so it stays where it is. A word
// is a string, or begins with a colon: the usage of the host tells what there is.
struct Value {
	explicit Value(const std::string &text);
	Value(const Value &) = delete;
	Value &operator=(const Value &) = delete;

	abi::Variant variant = {};
	std::u16string characters;
	std::string bytes;
};

}  // namespace host
