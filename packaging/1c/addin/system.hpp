// What the add-in needs of the operating system: locks, one thread, waiting, and
// TCP. system_linux.cpp and system_windows.cpp make it. Waiting never polls.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pns4ones::sys {

// Handle is a descriptor on Linux, a socket or an event on Windows.
#ifdef _WIN32
using Handle = std::uintptr_t;
#else
using Handle = int;
#endif
constexpr Handle no_handle = static_cast<Handle>(-1);

// now_ms is a clock that only goes forward, in milliseconds.
std::uint64_t now_ms();
constexpr std::uint64_t never = UINT64_MAX;

// wall_clock is the time for people: 2026-11-26T12:40:03Z.
std::string wall_clock();

// host_name is that of this computer, in UTF-8; empty if it has none.
std::string host_name();

// thread_id names the calling thread.
std::uint64_t thread_id();

// start_thread runs a function on a thread of its own, which gets no signals and
// keeps this library loaded until the function has returned. It reports whether
// the thread was started; nobody needs to wait for it.
bool start_thread(void (*function)(void *), void *argument);

// Mutex is held for moments only: never over the network, nor while 1C takes an
// event.
class Mutex {
 public:
	Mutex();
	~Mutex();
	Mutex(const Mutex &) = delete;
	Mutex &operator=(const Mutex &) = delete;
	void lock();
	void unlock();

 private:
#ifdef _WIN32
	void *lock_;  // an SRWLOCK, which is one pointer
#else
	alignas(8) unsigned char lock_[64];  // a pthread_mutex_t
#endif
};

class Guard {
 public:
	explicit Guard(Mutex &mutex) : mutex_(mutex) { mutex_.lock(); }
	~Guard() { mutex_.unlock(); }
	Guard(const Guard &) = delete;
	Guard &operator=(const Guard &) = delete;

 private:
	Mutex &mutex_;
};

// Signal is raised once, and stays so; any number of threads may wait for it.
class Signal {
 public:
	Signal();
	~Signal();
	Signal(const Signal &) = delete;
	Signal &operator=(const Signal &) = delete;

	// valid is false when the process had no descriptor left for it.
	bool valid() const { return handle_ != no_handle; }
	void raise();
	// wait returns true when the signal is raised, false when it is not by deadline.
	bool wait(std::uint64_t deadline) const;
	bool raised() const { return wait(0); }
	Handle handle() const { return handle_; }

 private:
	Handle handle_ = no_handle;
};

// Network is held by a thread that uses what follows.
class Network {
 public:
	Network();
	~Network();
	Network(const Network &) = delete;
	Network &operator=(const Network &) = delete;
};

// Endpoint is one address that a name stands for: a sockaddr.
struct Endpoint {
	int family;
	std::vector<unsigned char> address;
};

// resolve asks the system for all addresses of a name, IPv6 and IPv4, in the
// system's order. It may take as long as the system likes, and nothing ends it.
std::vector<Endpoint> resolve(const std::string &host, const std::string &port);

enum class Wait { ready, stopped, timeout };

// Socket is one TCP connection. Nothing blocks but what takes a signal to stop it.
class Socket {
 public:
	Socket() = default;
	~Socket();
	Socket(const Socket &) = delete;
	Socket &operator=(const Socket &) = delete;

	// connect returns ready when connected, with keep-alive set; timeout when the
	// peer is not reached until the deadline, or refuses. A socket connects once.
	Wait connect(const Endpoint &peer, const Signal &stop, std::uint64_t deadline);

	// send_now reports whether the system took all of it at once.
	bool send_now(std::string_view data);

	// receive returns how many bytes there were, up to size; 0 at the end of the
	// stream; would_block when there are none yet; broken when the connection is.
	static constexpr long would_block = -1;
	static constexpr long broken = -2;
	long receive(void *data, std::size_t size);

	// wait returns ready when receive may return something.
	Wait wait(const Signal &stop, std::uint64_t deadline);

	// finish says to the peer that nothing more comes.
	void finish();

 private:
	Handle socket_ = no_handle;
#ifdef _WIN32
	Handle event_ = no_handle;
#endif
};

// Keep-alive: first probe after, then every, and how many before the peer is gone.
constexpr int keepalive_idle_s = 30;
constexpr int keepalive_interval_s = 10;
constexpr int keepalive_probes = 3;

}  // namespace pns4ones::sys
