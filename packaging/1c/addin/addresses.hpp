// Where the service is: one address, or several, of which the first that answers
// is taken.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pns4ones {

// Address is a name or number of a host, and a port as digits.
struct Address {
	std::string host;
	std::string port;

	// text is how people write it: host:port, [2001:db8::1]:port.
	std::string text() const;
};

constexpr std::size_t max_addresses = 32;

// parse_addresses reads the two parameters of Connect. The 1C extension has one
// string of a person and cuts it at the first colon; so host and port are put
// together again, and read as a list separated by commas, semicolons or blanks:
// host, host:port, [IPv6], [IPv6]:port, IPv6. A port of digits only is that of the
// entries that name none; without it that is 36695. Nothing is returned when the
// list is empty, too long, or an entry is no address.
std::optional<std::vector<Address>> parse_addresses(std::string_view host, std::string_view port);

}  // namespace pns4ones
