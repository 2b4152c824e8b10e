#include "addresses.hpp"

#include <algorithm>

#include "text.hpp"

namespace pns4ones {
namespace {

constexpr std::string_view default_port = "36695";
constexpr std::string_view separators = ",; \t\r\n";
constexpr std::size_t max_host_bytes = 255;

bool is_digits(std::string_view text) {
	return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool is_port(std::string_view text) {
	if (!is_digits(text) || text.size() > 5) return false;
	unsigned number = 0;
	for (const char c : text) number = number * 10 + static_cast<unsigned>(c - '0');
	return number >= 1 && number <= 65535;
}

// A host is left to the system's resolver; only what cannot be one is refused.
bool is_host(std::string_view text) {
	return !text.empty() && text.size() <= max_host_bytes && text.find_first_of("[]/\\@\"'<>") == std::string_view::npos &&
		std::none_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
}

// An IPv6 address has colons, and may end with %zone. Whether it is a right one the
// system will say.
bool is_ipv6(std::string_view text) {
	const std::string_view number = text.substr(0, text.find('%'));
	return number.find(':') != std::string_view::npos && number.find_first_not_of("0123456789abcdefABCDEF:.") == std::string_view::npos;
}

std::optional<Address> parse_entry(std::string_view entry, std::string_view usual_port) {
	std::string_view host = entry, port = usual_port;
	if (entry.front() == '[') {
		const std::size_t end = entry.find(']');
		if (end == std::string_view::npos) return std::nullopt;
		host = entry.substr(1, end - 1);
		if (end + 1 < entry.size()) {
			if (entry[end + 1] != ':') return std::nullopt;
			port = entry.substr(end + 2);
		}
		if (!is_ipv6(host)) return std::nullopt;
	} else if (const std::size_t colon = entry.find(':'); colon != std::string_view::npos && colon == entry.rfind(':')) {
		host = entry.substr(0, colon);
		port = entry.substr(colon + 1);
	} else if (colon != std::string_view::npos && !is_ipv6(entry)) {
		return std::nullopt;
	}
	if (!is_host(host) || !is_port(port)) return std::nullopt;
	return Address{std::string(host), std::string(port)};
}

}  // namespace

std::string Address::text() const {
	if (host.find(':') == std::string::npos) return host + ":" + port;
	return "[" + host + "]:" + port;
}

std::optional<std::vector<Address>> parse_addresses(std::string_view host, std::string_view port) {
	host = trimmed(host);
	port = trimmed(port);
	std::string list(host);
	std::string_view usual_port = default_port;
	if (is_digits(port)) {
		usual_port = port;
	} else if (!port.empty()) {
		list += ':';
		list += port;
	}

	std::vector<Address> addresses;
	for (std::size_t at = 0; (at = list.find_first_not_of(separators, at)) != std::string::npos;) {
		const std::size_t end = std::min(list.find_first_of(separators, at), list.size());
		std::optional<Address> address = parse_entry(std::string_view(list).substr(at, end - at), usual_port);
		if (!address || addresses.size() == max_addresses) return std::nullopt;
		addresses.push_back(std::move(*address));
		at = end;
	}
	if (addresses.empty()) return std::nullopt;
	return addresses;
}

}  // namespace pns4ones
