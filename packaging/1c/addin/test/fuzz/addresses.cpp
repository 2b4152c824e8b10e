// What is taken for addresses has a host and a port each, not more of them than the
// bound, and is the same list when it is written as people write it, and read again.
#include <cstdlib>
#include <string>

#include "../../addresses.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
	const std::string text(reinterpret_cast<const char *>(data), size);
	const std::size_t cut = std::min(text.find('\n'), text.size());
	const auto addresses = pns4ones::parse_addresses(text.substr(0, cut), cut < size ? text.substr(cut + 1) : "");
	if (!addresses) return 0;
	if (addresses->empty() || addresses->size() > pns4ones::max_addresses) std::abort();
	std::string list;
	for (const auto &address : *addresses) {
		const int port = std::atoi(address.port.c_str());
		if (address.host.empty() || port < 1 || port > 65535) std::abort();
		list += address.text() + ",";
	}
	const auto again = pns4ones::parse_addresses(list, "");
	if (!again || again->size() != addresses->size()) std::abort();
	for (std::size_t i = 0; i < again->size(); i++) {
		if ((*again)[i].host != (*addresses)[i].host || (*again)[i].port != (*addresses)[i].port) std::abort();
	}
	return 0;
}
