#include "outlet.hpp"

namespace pns4ones {

// What the 1C extension knows the events by.
static constexpr char16_t event_source[] = u"com_ptolkachev_pns4ones";

void Outlet::attach(abi::Platform *platform) {
	const sys::Guard guard(mutex_);
	platform_ = platform;
	good_ticket_ = 0;
}

std::uint64_t Outlet::open() {
	const sys::Guard guard(mutex_);
	if (platform_ == nullptr) return 0;
	good_ticket_ = ++last_ticket_;
	return good_ticket_;
}

void Outlet::close() {
	const sys::Guard guard(mutex_);
	good_ticket_ = 0;
}

Outlet::Answer Outlet::post(std::uint64_t ticket, const char16_t *event, std::u16string &data) {
	abi::Platform *platform;
	{
		const sys::Guard guard(mutex_);
		if (ticket != good_ticket_ || platform_ == nullptr) return Answer::gone;
		// A connection that was given up while it was in 1C may still be there. 1C
		// gets one event of ours at a time.
		if (busy_) return Answer::refused;
		busy_ = true;
		platform = platform_;
	}
	// Not under the lock: 1C may call back, or wait for a thread that wants to close.
	// Whoever closes waits for this call to end before 1C takes the platform away.
	const bool accepted =
		platform->ExternalEvent(const_cast<char16_t *>(event_source), const_cast<char16_t *>(event), data.data());
	const sys::Guard guard(mutex_);
	busy_ = false;
	return accepted ? Answer::accepted : Answer::refused;
}

}  // namespace pns4ones
