// How long to wait before the service is tried again.
#pragma once

#include <cstdint>

namespace pns4ones {

// How a try to have a connection ended.
enum class Outcome {
	unreachable,  // no address answered
	refused,      // registered, and closed at once, or a frame did not decrypt
	lost,         // it was good, and ended
};

// Backoff doubles the pause from try to try, and spreads the clients of one
// service: each pause is drawn from the upper half of its span.
class Backoff {
 public:
	// good is said of a connection that has proven itself: a message came, or it
	// lived long. The next loss is mended fast, and refusals are counted anew.
	void good();

	// after returns the pause in milliseconds after a try that ended so; random is
	// any number.
	std::uint32_t after(Outcome outcome, std::uint32_t random);

	// refused reports that the service has closed so often at once that nobody but
	// a person can help; it stays so until good is said.
	bool refused() const { return refusals_ >= refusals_for_certain; }

 private:
	static constexpr unsigned refusals_for_certain = 3;

	unsigned refusals_ = 0;
	std::uint32_t span_ms_ = 0;
};

// A connection that lived so long was good.
constexpr std::uint64_t good_life_ms = 30'000;
// One that is closed sooner than this, without a message, was refused.
constexpr std::uint64_t refused_life_ms = 3'000;

}  // namespace pns4ones
