#include "clientkey.hpp"

#include <algorithm>

#include "text.hpp"

namespace pns4ones {
namespace {

constexpr std::array<std::uint8_t, 8> header = {32, 0, 0, 0, 16, 0, 0, 0};
constexpr std::size_t key_bytes = 56;
constexpr std::size_t base64_characters = 76;  // 75 and one "="

int digit(char c) {
	if (c >= 'A' && c <= 'Z') return c - 'A';
	if (c >= 'a' && c <= 'z') return c - 'a' + 26;
	if (c >= '0' && c <= '9') return c - '0' + 52;
	if (c == '+') return 62;
	if (c == '/') return 63;
	return -1;
}

}  // namespace

std::optional<ClientKey> ClientKey::parse(std::string_view base64) {
	base64 = trimmed(base64);
	if (base64.size() != base64_characters || base64.back() != '=') return std::nullopt;
	std::array<std::uint8_t, key_bytes> bytes;
	std::size_t filled = 0;
	std::uint32_t bits = 0;
	int count = 0;
	for (const char c : base64.substr(0, base64_characters - 1)) {
		const int value = digit(c);
		if (value < 0) return std::nullopt;
		bits = ((bits << 6) | static_cast<std::uint32_t>(value)) & 0xFFFF;
		count += 6;
		if (count < 8) continue;
		count -= 8;
		bytes[filled++] = static_cast<std::uint8_t>(bits >> count);
	}
	// 75 characters are 450 bits: two are left over, and must be zero.
	if ((bits & 3) != 0) return std::nullopt;
	if (!std::equal(header.begin(), header.end(), bytes.begin())) return std::nullopt;
	ClientKey key;
	std::copy_n(bytes.begin() + 8, key.aes.size(), key.aes.begin());
	std::copy_n(bytes.begin() + 40, key.iv.size(), key.iv.begin());
	return key;
}

}  // namespace pns4ones
