#include "text.hpp"

#include <cstdint>

namespace pns4ones {
namespace {

constexpr char32_t replacement = 0xFFFD;

bool is_high(char32_t c) { return c >= 0xD800 && c <= 0xDBFF; }
bool is_low(char32_t c) { return c >= 0xDC00 && c <= 0xDFFF; }

void append_utf8(std::string &out, char32_t c) {
	if (c < 0x80) {
		out += static_cast<char>(c);
	} else if (c < 0x800) {
		out += static_cast<char>(0xC0 | (c >> 6));
		out += static_cast<char>(0x80 | (c & 0x3F));
	} else if (c < 0x10000) {
		out += static_cast<char>(0xE0 | (c >> 12));
		out += static_cast<char>(0x80 | ((c >> 6) & 0x3F));
		out += static_cast<char>(0x80 | (c & 0x3F));
	} else {
		out += static_cast<char>(0xF0 | (c >> 18));
		out += static_cast<char>(0x80 | ((c >> 12) & 0x3F));
		out += static_cast<char>(0x80 | ((c >> 6) & 0x3F));
		out += static_cast<char>(0x80 | (c & 0x3F));
	}
}

void append_utf16(std::u16string &out, char32_t c) {
	if (c < 0x10000) {
		out += static_cast<char16_t>(c);
		return;
	}
	c -= 0x10000;
	out += static_cast<char16_t>(0xD800 + (c >> 10));
	out += static_cast<char16_t>(0xDC00 + (c & 0x3FF));
}

// next_utf8 reads one character and moves on behind it. A broken sequence is read
// up to the byte that breaks it, so that what follows is not swallowed.
char32_t next_utf8(std::string_view text, std::size_t &at) {
	const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
	const std::uint8_t first = byte(at++);
	if (first < 0x80) return first;
	int more = 0;
	char32_t c = 0, least = 0;
	if (first >= 0xC2 && first <= 0xDF) {
		more = 1, c = first & 0x1F, least = 0x80;
	} else if (first >= 0xE0 && first <= 0xEF) {
		more = 2, c = first & 0x0F, least = 0x800;
	} else if (first >= 0xF0 && first <= 0xF4) {
		more = 3, c = first & 0x07, least = 0x10000;
	} else {
		return replacement;
	}
	for (; more > 0; more--) {
		if (at == text.size() || (byte(at) & 0xC0) != 0x80) return replacement;
		c = (c << 6) | (byte(at++) & 0x3F);
	}
	if (c < least || c > 0x10FFFF || is_high(c) || is_low(c)) return replacement;
	return c;
}

char16_t lower(char16_t c) {
	if (c >= u'A' && c <= u'Z') return static_cast<char16_t>(c + 0x20);
	if (c >= u'А' && c <= u'Я') return static_cast<char16_t>(c + 0x20);
	if (c >= u'Ѐ' && c <= u'Џ') return static_cast<char16_t>(c + 0x50);
	return c;
}

}  // namespace

std::string to_utf8(std::u16string_view text) {
	std::string out;
	out.reserve(text.size() * 2);
	for (std::size_t i = 0; i < text.size(); i++) {
		char32_t c = text[i];
		if (is_high(c) && i + 1 < text.size() && is_low(text[i + 1])) {
			c = 0x10000 + ((c - 0xD800) << 10) + (text[++i] - 0xDC00);
		} else if (is_high(c) || is_low(c)) {
			c = replacement;
		}
		append_utf8(out, c);
	}
	return out;
}

std::u16string to_utf16(std::string_view text) {
	std::u16string out;
	out.reserve(text.size());  // UTF-16 never has more units than UTF-8 has bytes
	for (std::size_t at = 0; at < text.size();) append_utf16(out, next_utf8(text, at));
	return out;
}

std::string valid_utf8(std::string_view text) { return to_utf8(to_utf16(text)); }

bool same_name(std::u16string_view a, std::u16string_view b) {
	if (a.size() != b.size()) return false;
	for (std::size_t i = 0; i < a.size(); i++) {
		if (lower(a[i]) != lower(b[i])) return false;
	}
	return true;
}

std::string_view cut_utf8(std::string_view text, std::size_t max_bytes) {
	text = text.substr(0, text.find('\0'));
	if (text.size() <= max_bytes) return text;
	std::size_t end = max_bytes;
	while (end > 0 && (static_cast<std::uint8_t>(text[end]) & 0xC0) == 0x80) end--;
	return text.substr(0, end);
}

std::string_view trimmed(std::string_view text) {
	constexpr std::string_view blanks = " \t\r\n";
	const std::size_t first = text.find_first_not_of(blanks);
	if (first == std::string_view::npos) return {};
	return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

std::string json_string(std::string_view text) {
	std::string out = "\"";
	for (const char c : text) {
		if (c == '"' || c == '\\') {
			out += '\\';
			out += c;
		} else if (static_cast<std::uint8_t>(c) < 0x20) {
			constexpr char digits[] = "0123456789abcdef";
			out += "\\u00";
			out += digits[static_cast<std::uint8_t>(c) >> 4];
			out += digits[c & 0x0F];
		} else {
			out += c;
		}
	}
	out += '"';
	return out;
}

}  // namespace pns4ones
