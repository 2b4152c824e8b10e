// Frames: the messages that the service sends (section 4.2 of the protocol).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "clientkey.hpp"

namespace pns4ones {

// The largest ciphertext that is taken: 16 MiB.
constexpr std::size_t max_ciphertext_bytes = std::size_t{16} << 20;

// FrameReader puts frames together from bytes that come in any pieces. It holds
// one frame at a time, reads nothing beyond its end, and takes memory for it only
// after its announced length was found possible.
class FrameReader {
 public:
	explicit FrameReader(const ClientKey &key) : key_(key) {}

	// Room is where the next bytes go: never of size 0.
	struct Room {
		std::uint8_t *data;
		std::size_t size;
	};
	Room room();

	// What the bytes made of it: not yet a frame, a frame, or something that a
	// service with our key does not send. After broken no more bytes are taken.
	enum class Result { more, frame, broken };
	Result filled(std::size_t bytes);

	// plaintext is what the frame says, until next is called: UTF-8 from outside.
	std::string_view plaintext() const;

	// next frees the frame, and prepares for another.
	void next();

 private:
	static constexpr std::size_t header_bytes = 8;

	Result check_header();
	Result decrypt();

	ClientKey key_;
	std::uint8_t header_[header_bytes];
	std::size_t have_ = 0;  // bytes of the frame that are there, its header included
	std::size_t ciphertext_bytes_ = 0;
	std::size_t plaintext_bytes_ = 0;
	std::unique_ptr<std::uint8_t[]> body_;
};

}  // namespace pns4ones
