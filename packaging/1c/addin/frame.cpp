#include "frame.hpp"

#include "crypto.hpp"

namespace pns4ones {
namespace {

constexpr std::size_t block_bytes = 16;

std::uint32_t get_u32(const std::uint8_t *data) {
	return static_cast<std::uint32_t>(data[0]) | static_cast<std::uint32_t>(data[1]) << 8 | static_cast<std::uint32_t>(data[2]) << 16 |
		static_cast<std::uint32_t>(data[3]) << 24;
}

}  // namespace

FrameReader::Room FrameReader::room() {
	if (have_ < header_bytes) return {header_ + have_, header_bytes - have_};
	const std::size_t done = have_ - header_bytes;
	return {body_.get() + done, ciphertext_bytes_ - done};
}

FrameReader::Result FrameReader::filled(std::size_t bytes) {
	have_ += bytes;
	if (have_ < header_bytes) return Result::more;
	if (body_ == nullptr) return check_header();
	if (have_ < header_bytes + ciphertext_bytes_) return Result::more;
	return decrypt();
}

FrameReader::Result FrameReader::check_header() {
	const std::size_t total = get_u32(header_);  // of what follows the first four bytes
	plaintext_bytes_ = get_u32(header_ + 4);
	if (total < 4 + block_bytes || total > 4 + max_ciphertext_bytes) return Result::broken;
	ciphertext_bytes_ = total - 4;
	if (ciphertext_bytes_ % block_bytes != 0) return Result::broken;
	if (plaintext_bytes_ >= ciphertext_bytes_ || ciphertext_bytes_ - plaintext_bytes_ > block_bytes) return Result::broken;
	body_.reset(new std::uint8_t[ciphertext_bytes_]);  // not touched before bytes come
	return Result::more;
}

FrameReader::Result FrameReader::decrypt() {
	if (!decrypt_cbc(key_, body_.get(), ciphertext_bytes_)) return Result::broken;
	const std::size_t padding = ciphertext_bytes_ - plaintext_bytes_;
	for (std::size_t i = plaintext_bytes_; i < ciphertext_bytes_; i++) {
		if (body_[i] != padding) return Result::broken;
	}
	if (plaintext_bytes_ == 0 || body_[0] != '{') return Result::broken;
	return Result::frame;
}

std::string_view FrameReader::plaintext() const { return {reinterpret_cast<const char *>(body_.get()), plaintext_bytes_}; }

void FrameReader::next() {
	have_ = 0;
	body_.reset();
}

}  // namespace pns4ones
