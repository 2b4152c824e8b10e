// The way of events out to 1C, which is closed at any moment: by Shutdown, Done,
// or a new Connect.
#pragma once

#include <cstdint>
#include <string>

#include "abi.hpp"
#include "system.hpp"

namespace pns4ones {

// Outlet belongs to one add-in object and is shared with its connections, also
// with one that has been given up and has not ended yet. Of these only the newest
// reaches 1C: each has a ticket, and the last one given out is good.
class Outlet {
 public:
	// attach gives the outlet its platform, at Init; null takes it away, at Done.
	void attach(abi::Platform *platform);

	// open gives out a ticket, after which older ones are worth nothing; 0 when
	// there is no platform. close makes the last one worthless, too.
	std::uint64_t open();
	void close();

	// post offers an event to 1C. refused: 1C has no room for it now, and nothing of
	// it was kept. gone: the ticket is worth nothing any more.
	enum class Answer { accepted, refused, gone };
	Answer post(std::uint64_t ticket, const char16_t *event, std::u16string &data);

 private:
	sys::Mutex mutex_;
	abi::Platform *platform_ = nullptr;
	std::uint64_t last_ticket_ = 0;
	std::uint64_t good_ticket_ = 0;
	bool busy_ = false;  // a thread of ours is in 1C
};

}  // namespace pns4ones
