#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "bearssl_block.h"
#include "bearssl_hash.h"
#include "bearssl_hmac.h"
#include "crypto.hpp"

namespace pns4ones {

std::optional<std::array<std::uint8_t, 32>> hmac_sha256(const ClientKey &key, std::string_view data) {
	br_hmac_key_context prepared;
	br_hmac_key_init(&prepared, &br_sha256_vtable, key.aes.data(), key.aes.size());
	br_hmac_context mac;
	br_hmac_init(&mac, &prepared, 0);
	br_hmac_update(&mac, data.data(), data.size());
	std::array<std::uint8_t, 32> out;
	br_hmac_out(&mac, out.data());
	return out;
}

bool decrypt_cbc(const ClientKey &key, std::uint8_t *data, std::size_t bytes) {
	std::array<std::uint8_t, 16> iv = key.iv;  // it is overwritten
	br_aes_gen_cbcdec_keys keys;
	// The processor's own AES where it has it; else a constant-time one.
	const br_block_cbcdec_class *aes = br_aes_x86ni_cbcdec_get_vtable();
	if (aes == nullptr) aes = &br_aes_ct64_cbcdec_vtable;
	aes->init(&keys.vtable, key.aes.data(), key.aes.size());
	aes->run(&keys.vtable, iv.data(), data, bytes);
	return true;
}

// The function getrandom is younger than the systems this must run on.
bool random_bytes(void *memory, std::size_t bytes) {
	const int file = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
	if (file < 0) return false;
	auto *at = static_cast<std::uint8_t *>(memory);
	while (bytes > 0) {
		const ssize_t got = read(file, at, bytes);
		if (got < 0 && errno == EINTR) continue;
		if (got <= 0) break;
		at += got;
		bytes -= static_cast<std::size_t>(got);
	}
	close(file);
	return bytes == 0;
}

}  // namespace pns4ones
