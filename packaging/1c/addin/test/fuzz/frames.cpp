// Whatever comes, in whatever pieces: the reader finds the same frames, gives room
// for no more than a frame may have, and takes nothing after a broken one.
#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "../../frame.hpp"

namespace {

const pns4ones::ClientKey key = {};

// read returns the frames of a stream, and at last how it ended.
std::vector<std::string> read(const std::uint8_t *data, std::size_t size, std::size_t piece) {
	pns4ones::FrameReader reader(key);
	std::vector<std::string> out;
	while (size > 0) {
		const auto room = reader.room();
		if (room.size == 0 || room.size > pns4ones::max_ciphertext_bytes) std::abort();
		const std::size_t n = std::min({room.size, piece, size});
		std::copy_n(data, n, room.data);
		data += n;
		size -= n;
		switch (reader.filled(n)) {
		case pns4ones::FrameReader::Result::more:
			break;
		case pns4ones::FrameReader::Result::broken:
			out.push_back("broken");
			return out;
		case pns4ones::FrameReader::Result::frame:
			if (reader.plaintext().empty() || reader.plaintext().front() != '{') std::abort();
			out.emplace_back(reader.plaintext());
			reader.next();
		}
	}
	return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
	const std::vector<std::string> whole = read(data, size, size);
	if (read(data, size, 1) != whole || read(data, size, 7) != whole) std::abort();
	return 0;
}
