#include <windows.h>
// after windows.h
#include <bcrypt.h>

#include <limits>
#include <vector>

#include "crypto.hpp"

namespace pns4ones {
namespace {

bool ok(NTSTATUS status) { return status >= 0; }

// Algorithm is an opened provider of CNG.
class Algorithm {
 public:
	Algorithm(const wchar_t *name, ULONG flags) {
		if (!ok(BCryptOpenAlgorithmProvider(&handle_, name, nullptr, flags))) handle_ = nullptr;
	}
	~Algorithm() {
		if (handle_ != nullptr) BCryptCloseAlgorithmProvider(handle_, 0);
	}
	Algorithm(const Algorithm &) = delete;
	Algorithm &operator=(const Algorithm &) = delete;

	explicit operator bool() const { return handle_ != nullptr; }
	BCRYPT_ALG_HANDLE get() const { return handle_; }

	// object returns memory for a key or hash: Windows 7 does not bring its own.
	std::vector<UCHAR> object() const {
		DWORD bytes = 0;
		ULONG got = 0;
		if (!ok(BCryptGetProperty(handle_, BCRYPT_OBJECT_LENGTH, reinterpret_cast<PUCHAR>(&bytes), sizeof bytes, &got, 0))) return {};
		return std::vector<UCHAR>(bytes);
	}

 private:
	BCRYPT_ALG_HANDLE handle_ = nullptr;
};

// CNG takes pointers to what it only reads as if it wrote there.
PUCHAR input(const void *data) { return static_cast<PUCHAR>(const_cast<void *>(data)); }

}  // namespace

std::optional<std::array<std::uint8_t, 32>> hmac_sha256(const ClientKey &key, std::string_view data) {
	const Algorithm sha256(BCRYPT_SHA256_ALGORITHM, BCRYPT_ALG_HANDLE_HMAC_FLAG);
	if (!sha256 || data.size() > std::numeric_limits<ULONG>::max()) return std::nullopt;
	std::vector<UCHAR> object = sha256.object();
	BCRYPT_HASH_HANDLE hash = nullptr;
	if (!ok(BCryptCreateHash(sha256.get(), &hash, object.data(), static_cast<ULONG>(object.size()), input(key.aes.data()),
			static_cast<ULONG>(key.aes.size()), 0))) {
		return std::nullopt;
	}
	std::array<std::uint8_t, 32> out;
	const bool done = ok(BCryptHashData(hash, input(data.data()), static_cast<ULONG>(data.size()), 0)) &&
		ok(BCryptFinishHash(hash, out.data(), static_cast<ULONG>(out.size()), 0));
	BCryptDestroyHash(hash);
	if (!done) return std::nullopt;
	return out;
}

bool decrypt_cbc(const ClientKey &key, std::uint8_t *data, std::size_t bytes) {
	const Algorithm aes(BCRYPT_AES_ALGORITHM, 0);
	if (!aes || bytes > std::numeric_limits<ULONG>::max()) return false;
	if (!ok(BCryptSetProperty(aes.get(), BCRYPT_CHAINING_MODE, input(BCRYPT_CHAIN_MODE_CBC), sizeof BCRYPT_CHAIN_MODE_CBC, 0))) return false;
	std::vector<UCHAR> object = aes.object();
	BCRYPT_KEY_HANDLE handle = nullptr;
	if (!ok(BCryptGenerateSymmetricKey(aes.get(), &handle, object.data(), static_cast<ULONG>(object.size()), input(key.aes.data()),
			static_cast<ULONG>(key.aes.size()), 0))) {
		return false;
	}
	std::array<std::uint8_t, 16> iv = key.iv;  // it is overwritten
	ULONG written = 0;
	const ULONG count = static_cast<ULONG>(bytes);
	const bool done = ok(BCryptDecrypt(handle, data, count, nullptr, iv.data(), static_cast<ULONG>(iv.size()), data, count, &written, 0));
	BCryptDestroyKey(handle);
	return done && written == count;
}

bool random_bytes(void *memory, std::size_t bytes) {
	return ok(BCryptGenRandom(nullptr, static_cast<PUCHAR>(memory), static_cast<ULONG>(bytes), BCRYPT_USE_SYSTEM_PREFERRED_RNG));
}

}  // namespace pns4ones
