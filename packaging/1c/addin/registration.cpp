#include "registration.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "crypto.hpp"
#include "text.hpp"

namespace pns4ones {
namespace {

constexpr std::size_t length_bytes = 2;
constexpr std::size_t mac_bytes = 32;
constexpr std::size_t header_bytes = length_bytes + 2 + mac_bytes;
constexpr std::size_t max_packet_bytes = 4096;
// With attributes a packet stays below what the old service takes.
constexpr std::size_t max_attributed_packet_bytes = 999;
constexpr std::size_t max_value_bytes = 255;
constexpr std::size_t max_groups = 32;
constexpr std::size_t digits_reserved = 20;  // of a 64-bit number

std::string attribute(std::string_view name, std::string_view value) {
	std::string out;
	if (value.empty()) return out;
	out += name;
	out += '=';
	out += value;
	out += '\0';
	return out;
}

std::string number(std::string_view name, std::uint64_t value) { return attribute(name, std::to_string(value)); }

std::string going_on(const Attributes &attributes, const Progress &progress) {
	if (attributes.session.empty()) return {};
	return attribute("session", attributes.session) + number("turn", progress.turn) + number("received", progress.received) +
		number("from", progress.from) + attribute("mode", progress.goodbye ? "end" : "");
}

std::string about(const Attributes &attributes) {
	std::string out = attribute("agent", attributes.agent);
	for (const std::string &group : attributes.groups) out += attribute("group", group);
	out += attribute("user", attributes.user_name);
	out += attribute("ib", attributes.infobase_name);
	out += attribute("host", attributes.host);
	return out;
}

// The most that going_on can take in any packet of a session.
std::size_t going_on_bytes(const Attributes &attributes) {
	if (attributes.session.empty()) return 0;
	const std::size_t names = attribute("session", attributes.session).size() + attribute("turn", "x").size() + attribute("received", "x").size() +
		attribute("from", "x").size() + attribute("mode", "again").size();
	return names + 3 * (digits_reserved - 1);
}

void put_u16(std::string &out, std::size_t value) {
	out += static_cast<char>(value & 0xFF);
	out += static_cast<char>(value >> 8);
}

bool has_nul(const std::string &text) { return text.find('\0') != std::string::npos; }

}  // namespace

Registration::Registration(Identity identity, Attributes attributes) : attributes_(std::move(attributes)) {
	broken_ = has_nul(identity.app) || has_nul(identity.infobase) || has_nul(identity.user) || has_nul(identity.group);
	for (const std::string *field : {&identity.app, &identity.infobase, &identity.user, &identity.group}) {
		identity_ += *field;
		identity_ += '\0';
	}

	// Names are for people, and one that is cut still helps. A group is not one of
	// those: half of its name is another group.
	for (std::string *name : {&attributes_.user_name, &attributes_.infobase_name, &attributes_.host}) {
		*name = std::string(cut_utf8(*name, max_value_bytes));
	}
	std::vector<std::string> groups;
	for (std::string &group : attributes_.groups) {
		if (group.empty() || group == identity.group || std::find(groups.begin(), groups.end(), group) != groups.end()) continue;
		if (group.size() > max_value_bytes || has_nul(group) || groups.size() == max_groups) {
			groups_left_out_++;
			continue;
		}
		groups.push_back(std::move(group));
	}

	// What does not fit is left out: the host first, then the infobase's name, the
	// user's, and groups from the last on.
	const std::size_t reserved = header_bytes + identity_.size() + going_on_bytes(attributes_);
	const auto fits = [&] { return reserved + about(attributes_).size() <= max_attributed_packet_bytes; };
	attributes_.groups = groups;
	if (!fits()) attributes_.host.clear();
	if (!fits()) attributes_.infobase_name.clear();
	if (!fits()) attributes_.user_name.clear();
	if (!fits()) {
		attributes_.groups.clear();
		for (const std::string &group : groups) {
			attributes_.groups.push_back(group);
			if (fits()) continue;
			attributes_.groups.pop_back();
			groups_left_out_++;
		}
	}
	// Long ids leave no room for any.
	if (!fits()) attributes_ = Attributes{};
}

bool Registration::fits() const { return !broken_ && header_bytes + identity_.size() <= max_packet_bytes; }

std::optional<std::string> Registration::packet(const ClientKey &key, const Progress &progress) const {
	if (!fits()) return std::nullopt;
	const std::string payload = identity_ + going_on(attributes_, progress) + about(attributes_);
	const auto mac = hmac_sha256(key, payload);
	if (!mac) return std::nullopt;
	std::string packet;
	packet.reserve(header_bytes + payload.size());
	put_u16(packet, header_bytes - length_bytes + payload.size());
	put_u16(packet, mac_bytes);
	packet.append(reinterpret_cast<const char *>(mac->data()), mac->size());
	packet += payload;
	return packet;
}

std::string new_session() {
	std::array<std::uint8_t, 16> bytes;
	if (!random_bytes(bytes.data(), bytes.size())) return {};
	constexpr char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	std::string out;
	std::uint32_t bits = 0;
	int count = 0;
	for (const std::uint8_t byte : bytes) {
		bits = ((bits << 8) | byte) & 0xFFFF;
		for (count += 8; count >= 6; count -= 6) out += digits[(bits >> (count - 6)) & 0x3F];
	}
	out += digits[(bits << (6 - count)) & 0x3F];  // 128 bits are 21 characters and two bits
	return out;
}

}  // namespace pns4ones
