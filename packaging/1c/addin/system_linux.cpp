#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>
#include <ctime>
#include <memory>
#include <new>

#include "system.hpp"
#include "text.hpp"

namespace pns4ones::sys {
namespace {

constexpr std::size_t stack_bytes = 256 * 1024;

pthread_mutex_t *native(unsigned char *lock) { return reinterpret_cast<pthread_mutex_t *>(lock); }

// poll_until waits for the first descriptors that have something, or until the
// deadline. A signal handler of 1C's may interrupt it.
int poll_until(pollfd *files, nfds_t count, std::uint64_t deadline) {
	for (;;) {
		int timeout = -1;
		if (deadline != never) {
			const std::uint64_t now = now_ms();
			const std::uint64_t left = deadline > now ? deadline - now : 0;
			timeout = left > INT_MAX ? INT_MAX : static_cast<int>(left);
		}
		const int ready = poll(files, count, timeout);
		if (ready >= 0 || errno != EINTR) return ready;
	}
}

struct Start {
	void (*function)(void *);
	void *argument;
};

void *run(void *start_pointer) {
	const std::unique_ptr<Start> start(static_cast<Start *>(start_pointer));
	start->function(start->argument);
	return nullptr;
}

void set(int socket, int level, int option, int value) { setsockopt(socket, level, option, &value, sizeof value); }

}  // namespace

std::uint64_t now_ms() {
	timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return static_cast<std::uint64_t>(now.tv_sec) * 1000 + static_cast<std::uint64_t>(now.tv_nsec) / 1000000;
}

std::string wall_clock() {
	const std::time_t now = std::time(nullptr);
	std::tm parts;
	char text[32];
	if (gmtime_r(&now, &parts) == nullptr) return {};
	return std::string(text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts));
}

std::string host_name() {
	char name[256] = {};
	if (gethostname(name, sizeof name - 1) != 0) return {};
	return valid_utf8(name);
}

std::uint64_t thread_id() { return static_cast<std::uint64_t>(pthread_self()); }

bool start_thread(void (*function)(void *), void *argument) {
	std::unique_ptr<Start> start(new (std::nothrow) Start{function, argument});
	if (start == nullptr) return false;
	pthread_attr_t attributes;
	if (pthread_attr_init(&attributes) != 0) return false;
	pthread_attr_setstacksize(&attributes, stack_bytes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	// 1C's signals are 1C's: the thread inherits a mask that lets none through but
	// those for a mistake of its own, which end a process when they are blocked, and
	// by which a runtime that 1C calls on this thread may live.
	sigset_t others, before;
	sigfillset(&others);
	for (const int own : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT}) sigdelset(&others, own);
	pthread_sigmask(SIG_SETMASK, &others, &before);
	pthread_t thread;
	const bool started = pthread_create(&thread, &attributes, run, start.get()) == 0;
	pthread_sigmask(SIG_SETMASK, &before, nullptr);
	pthread_attr_destroy(&attributes);
	// The library is linked with -z nodelete: it stays loaded under the thread.
	if (started) start.release();
	return started;
}

static_assert(sizeof(pthread_mutex_t) <= 64 && alignof(pthread_mutex_t) <= 8);
Mutex::Mutex() { pthread_mutex_init(native(lock_), nullptr); }
Mutex::~Mutex() { pthread_mutex_destroy(native(lock_)); }
void Mutex::lock() { pthread_mutex_lock(native(lock_)); }
void Mutex::unlock() { pthread_mutex_unlock(native(lock_)); }

Signal::Signal() : handle_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

Signal::~Signal() {
	if (valid()) close(handle_);
}

void Signal::raise() {
	const std::uint64_t one = 1;
	// It can fail only when the counter is full, and then it is raised.
	if (valid() && write(handle_, &one, sizeof one) < 0) return;
}

bool Signal::wait(std::uint64_t deadline) const {
	pollfd file = {handle_, POLLIN, 0};
	return poll_until(&file, 1, deadline) > 0;
}

Network::Network() = default;
Network::~Network() = default;

std::vector<Endpoint> resolve(const std::string &host, const std::string &port) {
	addrinfo hints = {};
	hints.ai_family = AF_UNSPEC;
	hints.ai_socktype = SOCK_STREAM;
	hints.ai_flags = AI_NUMERICSERV;
	addrinfo *found = nullptr;
	if (getaddrinfo(host.c_str(), port.c_str(), &hints, &found) != 0) return {};
	const std::unique_ptr<addrinfo, void (*)(addrinfo *)> owner(found, freeaddrinfo);
	std::vector<Endpoint> endpoints;
	for (const addrinfo *one = found; one != nullptr; one = one->ai_next) {
		const auto *bytes = reinterpret_cast<const unsigned char *>(one->ai_addr);
		endpoints.push_back({one->ai_family, {bytes, bytes + one->ai_addrlen}});
	}
	return endpoints;
}

Socket::~Socket() {
	if (socket_ != no_handle) close(socket_);
}

Wait Socket::connect(const Endpoint &peer, const Signal &stop, std::uint64_t deadline) {
	socket_ = ::socket(peer.family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
	if (socket_ == no_handle) return Wait::timeout;
	set(socket_, SOL_SOCKET, SO_KEEPALIVE, 1);
	set(socket_, IPPROTO_TCP, TCP_KEEPIDLE, keepalive_idle_s);
	set(socket_, IPPROTO_TCP, TCP_KEEPINTVL, keepalive_interval_s);
	set(socket_, IPPROTO_TCP, TCP_KEEPCNT, keepalive_probes);
	// While the packet is not acknowledged, no probe is sent.
	set(socket_, IPPROTO_TCP, TCP_USER_TIMEOUT, (keepalive_idle_s + keepalive_interval_s * keepalive_probes) * 1000);
	const auto *address = reinterpret_cast<const sockaddr *>(peer.address.data());
	if (::connect(socket_, address, static_cast<socklen_t>(peer.address.size())) == 0) return Wait::ready;
	if (errno != EINPROGRESS && errno != EINTR) return Wait::timeout;
	pollfd files[] = {{stop.handle(), POLLIN, 0}, {socket_, POLLOUT, 0}};
	const int ready = poll_until(files, 2, deadline);
	if (files[0].revents != 0) return Wait::stopped;
	if (ready <= 0) return Wait::timeout;
	int error = 0;
	socklen_t size = sizeof error;
	if (getsockopt(socket_, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0) return Wait::timeout;
	return Wait::ready;
}

bool Socket::send_now(std::string_view data) {
	const ssize_t sent = send(socket_, data.data(), data.size(), MSG_NOSIGNAL);
	return sent >= 0 && static_cast<std::size_t>(sent) == data.size();
}

long Socket::receive(void *data, std::size_t size) {
	for (;;) {
		const ssize_t got = recv(socket_, data, size, 0);
		if (got >= 0) return static_cast<long>(got);
		if (errno == EAGAIN || errno == EWOULDBLOCK) return would_block;
		if (errno != EINTR) return broken;
	}
}

Wait Socket::wait(const Signal &stop, std::uint64_t deadline) {
	pollfd files[] = {{stop.handle(), POLLIN, 0}, {socket_, POLLIN, 0}};
	const int ready = poll_until(files, 2, deadline);
	if (files[0].revents != 0) return Wait::stopped;
	return ready == 0 ? Wait::timeout : Wait::ready;
}

void Socket::finish() { shutdown(socket_, SHUT_WR); }

}  // namespace pns4ones::sys
