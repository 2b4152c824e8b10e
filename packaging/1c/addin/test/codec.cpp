// The parts of the add-in that turn bytes into meaning, as a program: the vectors
// of the protocol are run through it, on Linux and, with CNG, under Wine. It reads
// requests, one a line with tabs between the words, and answers each with a line.
// Bytes are in hexadecimal, so that nothing is lost on the way.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "../addresses.hpp"
#include "../clientkey.hpp"
#include "../frame.hpp"
#include "../registration.hpp"
#include "../text.hpp"

namespace {

using Words = std::vector<std::string>;

std::string to_hex(const void *data, std::size_t size) {
	constexpr char digits[] = "0123456789abcdef";
	const auto *const bytes = static_cast<const std::uint8_t *>(data);
	std::string out;
	for (std::size_t i = 0; i < size; i++) {
		out += digits[bytes[i] >> 4];
		out += digits[bytes[i] & 15];
	}
	return out;
}

std::string from_hex(const std::string &hex) {
	std::string out;
	for (std::size_t i = 0; i + 1 < hex.size(); i += 2) out += static_cast<char>(std::strtoul(hex.substr(i, 2).c_str(), nullptr, 16));
	return out;
}

Words split(const std::string &text, char separator) {
	Words words;
	for (std::size_t at = 0; at <= text.size();) {
		const std::size_t end = std::min(text.find(separator, at), text.size());
		words.push_back(text.substr(at, end - at));
		at = end + 1;
	}
	return words;
}

std::uint64_t number(const std::string &text) { return std::strtoull(text.c_str(), nullptr, 10); }

// key KEY
std::string key(const Words &words) {
	const auto parsed = pns4ones::ClientKey::parse(from_hex(words[1]));
	if (!parsed) return "refused";
	return to_hex(parsed->aes.data(), parsed->aes.size()) + "\t" + to_hex(parsed->iv.data(), parsed->iv.size());
}

// frame KEY BYTES PIECE: the frames in a stream that comes in pieces of a size
std::string frame(const Words &words) {
	const auto parsed = pns4ones::ClientKey::parse(from_hex(words[1]));
	if (!parsed) return "refused";
	const std::string bytes = from_hex(words[2]);
	const std::size_t piece = std::max<std::size_t>(1, number(words[3]));
	pns4ones::FrameReader reader(*parsed);
	std::string out;
	for (std::size_t at = 0; at < bytes.size();) {
		const auto room = reader.room();
		const std::size_t size = std::min({room.size, piece, bytes.size() - at});
		std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), size, room.data);
		at += size;
		switch (reader.filled(size)) {
		case pns4ones::FrameReader::Result::more:
			break;
		case pns4ones::FrameReader::Result::broken:
			return out + "broken";
		case pns4ones::FrameReader::Result::frame:
			out += to_hex(reader.plaintext().data(), reader.plaintext().size()) + "\t";
			reader.next();
		}
	}
	return out + "more";
}

// packet KEY APP IB USER GROUP SESSION TURN RECEIVED FROM END AGENT GROUPS USER_NAME IB_NAME HOST
// with GROUPS separated by commas, after they were made hexadecimal
std::string packet(const Words &words) {
	const auto parsed = pns4ones::ClientKey::parse(from_hex(words[1]));
	if (!parsed) return "refused";
	pns4ones::Attributes attributes;
	attributes.session = words[6];
	attributes.agent = from_hex(words[11]);
	for (const std::string &group : split(words[12], ',')) attributes.groups.push_back(from_hex(group));
	attributes.user_name = from_hex(words[13]);
	attributes.infobase_name = from_hex(words[14]);
	attributes.host = from_hex(words[15]);
	const pns4ones::Registration registration({from_hex(words[2]), from_hex(words[3]), from_hex(words[4]), from_hex(words[5])}, attributes);
	const auto made = registration.packet(*parsed, {number(words[7]), number(words[8]), number(words[9]), words[10] == "1"});
	if (!made) return "refused";
	return to_hex(made->data(), made->size()) + "\t" + std::to_string(registration.groups_left_out());
}

// addresses HOST PORT
std::string addresses(const Words &words) {
	const auto parsed = pns4ones::parse_addresses(from_hex(words[1]), from_hex(words[2]));
	if (!parsed) return "refused";
	std::string out;
	for (const auto &address : *parsed) out += (out.empty() ? "" : " ") + address.text();
	return out;
}

// utf16 BYTES, utf8 UNITS: what a text becomes on the other side
std::string utf16(const Words &words) {
	std::string out;
	for (const char16_t unit : pns4ones::to_utf16(from_hex(words[1]))) {
		const std::uint8_t bytes[] = {static_cast<std::uint8_t>(unit >> 8), static_cast<std::uint8_t>(unit & 0xFF)};
		out += to_hex(bytes, sizeof bytes);
	}
	return out;
}

std::string utf8(const Words &words) {
	std::u16string text;
	for (std::size_t i = 0; i + 3 < words[1].size(); i += 4) text += static_cast<char16_t>(std::strtoul(words[1].substr(i, 4).c_str(), nullptr, 16));
	const std::string out = pns4ones::to_utf8(text);
	return to_hex(out.data(), out.size());
}

// session: a new one
std::string session(const Words &) { return pns4ones::new_session(); }

std::string answer(const Words &words) {
	struct Request {
		const char *name;
		std::size_t words;
		std::string (*answer)(const Words &);
	};
	constexpr Request requests[] = {
		{"key", 2, key}, {"frame", 4, frame}, {"packet", 16, packet}, {"addresses", 3, addresses}, {"utf16", 2, utf16}, {"utf8", 2, utf8}, {"session", 1, session},
	};
	for (const Request &request : requests) {
		if (words[0] == request.name && words.size() == request.words) return request.answer(words);
	}
	return "unknown";
}

}  // namespace

int main() {
	std::string line;
	for (int c; (c = std::getchar()) != EOF;) {
		if (c != '\n') {
			if (c != '\r') line += static_cast<char>(c);
			continue;
		}
		const std::string out = answer(split(line, '\t')) + "\n";
		std::fwrite(out.data(), 1, out.size(), stdout);
		std::fflush(stdout);
		line.clear();
	}
}
