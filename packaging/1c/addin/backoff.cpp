#include "backoff.hpp"

#include <algorithm>

namespace pns4ones {
namespace {

// Everybody comes back at once when a service was restarted, so the first pause is
// drawn from a span of its own. No pause is shorter than its lower bound.
constexpr std::uint32_t first_from_ms = 500, first_to_ms = 2'000;
constexpr std::uint32_t second_span_ms = 2'000, longest_span_ms = 60'000;
// After a refusal there is no hurry: a person has to mend something.
constexpr std::uint32_t refused_span_ms = 120'000, longest_refused_span_ms = 300'000;

std::uint32_t draw(std::uint32_t from, std::uint32_t to, std::uint32_t random) { return from + random % (to - from + 1); }

}  // namespace

void Backoff::good() {
	refusals_ = 0;
	span_ms_ = 0;
}

std::uint32_t Backoff::after(Outcome outcome, std::uint32_t random) {
	if (outcome == Outcome::refused) {
		refusals_++;
	} else if (!refused()) {
		refusals_ = 0;
	}
	if (refused()) {
		span_ms_ = span_ms_ < refused_span_ms ? refused_span_ms : std::min(span_ms_ * 2, longest_refused_span_ms);
	} else if (span_ms_ == 0) {
		span_ms_ = second_span_ms / 2;
		return draw(first_from_ms, first_to_ms, random);
	} else {
		span_ms_ = std::min(span_ms_ * 2, longest_span_ms);
	}
	return draw(span_ms_ / 2, span_ms_, random);
}

}  // namespace pns4ones
