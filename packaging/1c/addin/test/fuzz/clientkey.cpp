// A key is taken only in its one form: what is taken gives the same text again.
#include <cstdlib>
#include <string>

#include "../../clientkey.hpp"
#include "../../text.hpp"

namespace {

std::string base64(const std::string &bytes) {
	constexpr char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	std::string out;
	std::uint32_t bits = 0;
	int count = 0;
	for (const char c : bytes) {
		bits = (bits << 8) | static_cast<std::uint8_t>(c);
		for (count += 8; count >= 6; count -= 6) out += digits[(bits >> (count - 6)) & 63];
	}
	if (count > 0) out += digits[(bits << (6 - count)) & 63];
	while (out.size() % 4 != 0) out += '=';
	return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
	const std::string text(reinterpret_cast<const char *>(data), size);
	const auto key = pns4ones::ClientKey::parse(text);
	if (!key) return 0;
	std::string bytes("\x20\0\0\0\x10\0\0\0", 8);
	bytes.append(key->aes.begin(), key->aes.end());
	bytes.append(key->iv.begin(), key->iv.end());
	if (base64(bytes) != pns4ones::trimmed(text)) std::abort();
	return 0;
}
