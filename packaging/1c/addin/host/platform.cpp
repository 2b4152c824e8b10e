#include "platform.hpp"

#include <cstdlib>

#include "library.hpp"

namespace host {

bool ABI_METHOD Memory::AllocMemory(void **memory, unsigned long bytes) {
	if (memory == nullptr || failing_) return false;
	*memory = std::calloc(1, bytes);
	if (*memory == nullptr) return false;
	live_++;
	return true;
}

void ABI_METHOD Memory::FreeMemory(void **memory) {
	if (memory == nullptr || *memory == nullptr) return;
	std::free(*memory);
	*memory = nullptr;
	live_--;
}

void Connection::refuse_randomly(unsigned percent, unsigned seed) {
	random_ = seed == 0 ? 1 : seed;
	percent_ = percent;
}

bool ABI_METHOD Connection::SetEventBufferDepth(long depth) {
	depth_ = depth;
	return true;
}

bool Connection::refuses() {
	if (const long left = refuse_; left != 0) {
		if (left > 0) refuse_--;
		return true;
	}
	if (percent_ == 0) return false;
	// Marsaglia's xorshift: the same seed refuses the same events.
	unsigned x = random_;
	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	random_ = x;
	return x % 100 < percent_;
}

bool ABI_METHOD Connection::ExternalEvent(abi::Char *source, abi::Char *event, abi::Char *data) {
	if (inside_.fetch_add(1) != 0) overlapped_ = true;
	const bool refused = refuses();
	if (refused) {
		refused_++;
	} else {
		handler_(source == nullptr ? u"" : source, event == nullptr ? u"" : event, data == nullptr ? u"" : data);
	}
	if (const unsigned ms = hold_ms_; ms != 0) sleep_ms(ms);
	inside_--;
	return !refused;
}

}  // namespace host
