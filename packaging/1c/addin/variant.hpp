// Values that cross the border to 1C.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "abi.hpp"

namespace pns4ones {

// text_of reads a parameter as a string in UTF-8. Empty and null are "", numbers
// are their digits, since a port may come as one; anything else is nothing.
std::optional<std::string> text_of(const abi::Variant &value);

// boolean_of reads a parameter as a boolean: a boolean or a whole number.
std::optional<bool> boolean_of(const abi::Variant &value);

// copy_text makes a copy with its terminator in 1C's memory, which 1C frees; null
// when there is none.
abi::Char *copy_text(abi::MemoryManager *memory, std::u16string_view text);

// These set what a property or function returns. give_text reports whether there
// was memory; give_no_text is a string without characters, as the released add-in
// returns it when there is no error to tell of.
void give_empty(abi::Variant &value);
void give_boolean(abi::Variant &value, bool boolean);
bool give_text(abi::Variant &value, abi::MemoryManager *memory, std::string_view utf8);
void give_no_text(abi::Variant &value);

}  // namespace pns4ones
