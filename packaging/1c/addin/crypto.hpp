// What the protocol needs of cryptography: crypto_cng.cpp takes it from Windows,
// crypto_bearssl.cpp from the BearSSL sources in third_party.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "clientkey.hpp"

namespace pns4ones {

// hmac_sha256 signs with the AES key. It returns nothing only when the system's
// cryptography fails.
std::optional<std::array<std::uint8_t, 32>> hmac_sha256(const ClientKey &key, std::string_view data);

// decrypt_cbc turns ciphertext into plaintext where it is; the padding is left to
// the caller. The number of bytes is a multiple of 16. It reports whether it did.
bool decrypt_cbc(const ClientKey &key, std::uint8_t *data, std::size_t bytes);

// random_bytes fills memory from the system's generator, and reports whether it did.
bool random_bytes(void *memory, std::size_t bytes);

}  // namespace pns4ones
