// The packet that a session introduces itself with (sections 4.1 and 4.4 of the
// protocol).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "clientkey.hpp"

namespace pns4ones {

// Identity is what 1C passes to Connect. The group may be empty, the user too.
struct Identity {
	std::string app, infobase, user, group;
};

// Attributes are what this add-in says besides. Each may be empty, and is then
// left out.
struct Attributes {
	std::string session;  // 22 characters of base64url: asks the service to remember
	std::string agent;
	std::vector<std::string> groups;  // further ones, the most important first
	std::string user_name, infobase_name, host;
};

// Progress is how far a session has come: what the service needs to go on where
// the client stopped.
struct Progress {
	std::uint64_t turn;      // of this packet, from 1
	std::uint64_t received;  // frames whose events 1C has accepted
	std::uint64_t from;      // turn of the connection on which the last of them came
	bool goodbye;            // the session ends for good
};

// Registration is who a session is, with as many attributes as fit: the choice is
// made once, so all packets of a session say the same.
class Registration {
 public:
	Registration(Identity identity, Attributes attributes);

	// packet makes the bytes to send, or nothing when what 1C passed is longer than
	// the service takes, or the system's cryptography fails.
	std::optional<std::string> packet(const ClientKey &key, const Progress &progress) const;

	// fits reports whether the service can take what 1C passed: not too long, and
	// without NUL, which separates the fields.
	bool fits() const;

	bool remembered() const { return !attributes_.session.empty(); }
	std::size_t groups_left_out() const { return groups_left_out_; }

 private:
	std::string identity_;  // the four fields with their NULs
	bool broken_;
	Attributes attributes_;
	std::size_t groups_left_out_ = 0;
};

// new_session draws the value of the attribute session: a secret. It is empty when
// the system has no random numbers to give.
std::string new_session();

}  // namespace pns4ones
