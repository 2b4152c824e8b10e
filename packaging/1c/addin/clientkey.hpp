// The client key of an app (section 2 of the protocol): what a person copies
// into the settings of the 1C extension.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace pns4ones {

// ClientKey is the AES key, which signs registrations too, and the static IV.
struct ClientKey {
	std::array<std::uint8_t, 32> aes;
	std::array<std::uint8_t, 16> iv;

	// parse reads the base64 form: exactly 56 bytes, int32le 32, int32le 16, key, IV.
	// Blanks around it, as a person copies them along, are ignored.
	static std::optional<ClientKey> parse(std::string_view base64);
};

}  // namespace pns4ones
