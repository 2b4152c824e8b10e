// The platform's side of the border: what 1C is to an add-in.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

#include "../abi.hpp"

namespace host {

// Memory is 1C's memory for add-ins. It is filled with zeros, as 1C's is, and
// counted, so that a leak shows.
class Memory final : public abi::MemoryManager {
 public:
#ifdef _WIN32
	void *ABI_DESTRUCTOR destroy(unsigned) override { return nullptr; }
#else
	void destroy_complete() override {}
	void destroy_and_free() override {}
#endif
	bool ABI_METHOD AllocMemory(void **memory, unsigned long bytes) override;
	void ABI_METHOD FreeMemory(void **memory) override;

	// live is how many pieces have not been freed.
	long live() const { return live_; }
	// fail makes AllocMemory fail from now on, or not.
	void fail(bool on) { failing_ = on; }

 private:
	std::atomic<long> live_{0};
	std::atomic<bool> failing_{false};
};

// Connection is what one object gets at Init: events come here, on whatever thread
// the add-in has.
class Connection final : public abi::Platform {
 public:
	using Handler = std::function<void(const std::u16string &source, const std::u16string &event, const std::u16string &data)>;
	explicit Connection(Handler handler) : handler_(std::move(handler)) {}

	// refuse makes the next count events come back with false; negative: all of them.
	void refuse(long count) { refuse_ = count; }
	// refuse_randomly refuses so many of a hundred, by a generator with a seed.
	void refuse_randomly(unsigned percent, unsigned seed);
	// hold makes each event wait so long inside of 1C.
	void hold(unsigned ms) { hold_ms_ = ms; }
	long refused() const { return refused_; }
	long depth() const { return depth_; }
	// overlapped reports whether an event came while another one was inside.
	bool overlapped() const { return overlapped_; }

#ifdef _WIN32
	void *ABI_DESTRUCTOR destroy(unsigned) override { return nullptr; }
#else
	void destroy_complete() override {}
	void destroy_and_free() override {}
#endif
	bool ABI_METHOD AddError(std::uint16_t, const abi::Char *, const abi::Char *, long) override { return true; }
	bool ABI_METHOD Read(abi::Char *, abi::Variant *, long *, abi::Char **) override { return false; }
	bool ABI_METHOD Write(abi::Char *, abi::Variant *) override { return false; }
	bool ABI_METHOD RegisterProfileAs(abi::Char *) override { return false; }
	bool ABI_METHOD SetEventBufferDepth(long depth) override;
	long ABI_METHOD GetEventBufferDepth() override { return depth_; }
	bool ABI_METHOD ExternalEvent(abi::Char *source, abi::Char *event, abi::Char *data) override;
	void ABI_METHOD CleanEventBuffer() override {}
	bool ABI_METHOD SetStatusLine(abi::Char *) override { return false; }
	void ABI_METHOD ResetStatusLine() override {}
	void *ABI_METHOD GetInterface(int) override { return nullptr; }

 private:
	bool refuses();

	Handler handler_;
	std::atomic<long> depth_{1};
	std::atomic<long> refuse_{0};
	std::atomic<long> refused_{0};
	std::atomic<unsigned> percent_{0}, random_{1};
	std::atomic<unsigned> hold_ms_{0};
	std::atomic<int> inside_{0};
	std::atomic<bool> overlapped_{false};
};

}  // namespace host
