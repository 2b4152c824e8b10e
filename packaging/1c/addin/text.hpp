// Text at the border: 1C speaks UTF-16, the service UTF-8.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace pns4ones {

// to_utf8 turns what is no UTF-16 (a half of a surrogate pair) into U+FFFD.
std::string to_utf8(std::u16string_view text);

// to_utf16 turns what is no UTF-8 into U+FFFD, one for each broken sequence.
std::u16string to_utf16(std::string_view text);

// valid_utf8 returns a text with U+FFFD in place of what is no UTF-8.
std::string valid_utf8(std::string_view text);

// same_name compares names as 1C does: Latin and Cyrillic letters of either case
// are the same.
bool same_name(std::u16string_view a, std::u16string_view b);

// cut_utf8 returns the longest beginning of a text that has no NUL, is at most so
// many bytes long, and does not end within a character.
std::string_view cut_utf8(std::string_view text, std::size_t max_bytes);

// trimmed returns a text without the blanks and line ends around it.
std::string_view trimmed(std::string_view text);

// json_string writes a text as a JSON string, with its quotes.
std::string json_string(std::string_view text);

}  // namespace pns4ones
