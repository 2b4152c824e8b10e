#include <winsock2.h>
// after winsock2.h
#include <mstcpip.h>
#include <windows.h>
#include <ws2tcpip.h>

#include <cstdio>
#include <memory>
#include <new>

#include "system.hpp"
#include "text.hpp"

namespace pns4ones::sys {
namespace {

constexpr std::size_t stack_bytes = 256 * 1024;

static_assert(sizeof(SRWLOCK) == sizeof(void *) && sizeof(wchar_t) == sizeof(char16_t));
PSRWLOCK native(void **lock) { return reinterpret_cast<PSRWLOCK>(lock); }

HANDLE object(Handle handle) { return reinterpret_cast<HANDLE>(handle); }

std::u16string wide(const std::string &text) { return to_utf16(text); }
const wchar_t *native_text(const std::u16string &text) { return reinterpret_cast<const wchar_t *>(text.c_str()); }

Handle new_event() {
	const HANDLE event = CreateEventW(nullptr, TRUE, FALSE, nullptr);
	return event == nullptr ? no_handle : reinterpret_cast<Handle>(event);
}

DWORD milliseconds_until(std::uint64_t deadline) {
	if (deadline == never) return INFINITE;
	const std::uint64_t now = now_ms();
	if (deadline <= now) return 0;
	const std::uint64_t left = deadline - now;
	return left >= INFINITE ? INFINITE - 1 : static_cast<DWORD>(left);
}

struct Start {
	void (*function)(void *);
	void *argument;
	HMODULE library;
};

// The stack of a thread of a 32-bit process is aligned to four bytes only.
#ifdef __i386__
__attribute__((force_align_arg_pointer))
#endif
DWORD WINAPI run(void *start_pointer) {
	const Start start = *static_cast<Start *>(start_pointer);
	delete static_cast<Start *>(start_pointer);
	start.function(start.argument);
	// Nothing of this library runs after its last reference is let go.
	FreeLibraryAndExitThread(start.library, 0);
}

// The clock of the system is as coarse as 16 ms: a wait may end that much early.
Wait wait_for(const Signal &stop, Handle event, std::uint64_t deadline) {
	const HANDLE handles[] = {object(stop.handle()), object(event)};
	switch (WaitForMultipleObjects(2, handles, FALSE, milliseconds_until(deadline))) {
	case WAIT_OBJECT_0:
		return Wait::stopped;
	case WAIT_OBJECT_0 + 1:
		return Wait::ready;
	default:
		return Wait::timeout;
	}
}

}  // namespace

std::uint64_t now_ms() { return GetTickCount64(); }

std::string wall_clock() {
	SYSTEMTIME now;
	GetSystemTime(&now);
	char text[64];
	std::snprintf(text, sizeof text, "%04u-%02u-%02uT%02u:%02u:%02uZ", now.wYear, now.wMonth, now.wDay, now.wHour, now.wMinute, now.wSecond);
	return text;
}

std::string host_name() {
	wchar_t name[256];
	DWORD size = sizeof name / sizeof name[0];
	if (!GetComputerNameExW(ComputerNameDnsHostname, name, &size)) return {};
	return to_utf8({reinterpret_cast<const char16_t *>(name), size});
}

std::uint64_t thread_id() { return GetCurrentThreadId(); }

bool start_thread(void (*function)(void *), void *argument) {
	std::unique_ptr<Start> start(new (std::nothrow) Start{function, argument, nullptr});
	if (start == nullptr) return false;
	const auto here = reinterpret_cast<LPCWSTR>(reinterpret_cast<void *>(&run));
	if (!GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, here, &start->library)) return false;
	const HANDLE thread = CreateThread(nullptr, stack_bytes, run, start.get(), STACK_SIZE_PARAM_IS_A_RESERVATION, nullptr);
	if (thread == nullptr) {
		FreeLibrary(start->library);
		return false;
	}
	start.release();
	CloseHandle(thread);
	return true;
}

Mutex::Mutex() : lock_(nullptr) { InitializeSRWLock(native(&lock_)); }
Mutex::~Mutex() = default;
void Mutex::lock() { AcquireSRWLockExclusive(native(&lock_)); }
void Mutex::unlock() { ReleaseSRWLockExclusive(native(&lock_)); }

Signal::Signal() : handle_(new_event()) {}

Signal::~Signal() {
	if (valid()) CloseHandle(object(handle_));
}

void Signal::raise() {
	if (valid()) SetEvent(object(handle_));
}

bool Signal::wait(std::uint64_t deadline) const { return WaitForSingleObject(object(handle_), milliseconds_until(deadline)) == WAIT_OBJECT_0; }

// Winsock counts who uses it; each thread of ours does for itself.
Network::Network() {
	WSADATA unused;
	if (WSAStartup(MAKEWORD(2, 2), &unused) != 0) throw std::bad_alloc();
}
Network::~Network() { WSACleanup(); }

std::vector<Endpoint> resolve(const std::string &host, const std::string &port) {
	ADDRINFOW hints = {};
	hints.ai_family = AF_UNSPEC;
	hints.ai_socktype = SOCK_STREAM;
	ADDRINFOW *found = nullptr;
	if (GetAddrInfoW(native_text(wide(host)), native_text(wide(port)), &hints, &found) != 0) return {};
	const std::unique_ptr<ADDRINFOW, void(WINAPI *)(PADDRINFOW)> owner(found, FreeAddrInfoW);
	std::vector<Endpoint> endpoints;
	for (const ADDRINFOW *one = found; one != nullptr; one = one->ai_next) {
		const auto *bytes = reinterpret_cast<const unsigned char *>(one->ai_addr);
		endpoints.push_back({one->ai_family, {bytes, bytes + one->ai_addrlen}});
	}
	return endpoints;
}

Socket::~Socket() {
	if (socket_ != no_handle) closesocket(socket_);
	if (event_ != no_handle) WSACloseEvent(object(event_));
}

Wait Socket::connect(const Endpoint &peer, const Signal &stop, std::uint64_t deadline) {
	socket_ = ::socket(peer.family, SOCK_STREAM, IPPROTO_TCP);
	event_ = new_event();
	if (socket_ == no_handle || event_ == no_handle) return Wait::timeout;
	SetHandleInformation(object(socket_), HANDLE_FLAG_INHERIT, 0);
	// The options for each of these times are younger than the systems this runs on.
	tcp_keepalive keepalive = {1, keepalive_idle_s * 1000, keepalive_interval_s * 1000};
	DWORD unused = 0;
	WSAIoctl(socket_, SIO_KEEPALIVE_VALS, &keepalive, sizeof keepalive, nullptr, 0, &unused, nullptr, nullptr);
	// This also makes the socket one that does not block.
	if (WSAEventSelect(socket_, object(event_), FD_CONNECT) != 0) return Wait::timeout;
	const auto *address = reinterpret_cast<const sockaddr *>(peer.address.data());
	if (::connect(socket_, address, static_cast<int>(peer.address.size())) != 0) {
		if (WSAGetLastError() != WSAEWOULDBLOCK) return Wait::timeout;
		if (const Wait waited = wait_for(stop, event_, deadline); waited != Wait::ready) return waited;
		WSANETWORKEVENTS events;
		if (WSAEnumNetworkEvents(socket_, object(event_), &events) != 0 || events.iErrorCode[FD_CONNECT_BIT] != 0) return Wait::timeout;
	}
	return WSAEventSelect(socket_, object(event_), FD_READ | FD_CLOSE) == 0 ? Wait::ready : Wait::timeout;
}

bool Socket::send_now(std::string_view data) {
	const int sent = send(socket_, data.data(), static_cast<int>(data.size()), 0);
	return sent >= 0 && static_cast<std::size_t>(sent) == data.size();
}

long Socket::receive(void *data, std::size_t size) {
	const int got = recv(socket_, static_cast<char *>(data), static_cast<int>(size), 0);
	if (got >= 0) return got;
	return WSAGetLastError() == WSAEWOULDBLOCK ? would_block : broken;
}

Wait Socket::wait(const Signal &stop, std::uint64_t deadline) {
	const Wait waited = wait_for(stop, event_, deadline);
	// Whatever it was, receive tells: the event only has to be taken back before.
	WSANETWORKEVENTS unused;
	if (waited == Wait::ready) WSAEnumNetworkEvents(socket_, object(event_), &unused);
	return waited;
}

void Socket::finish() { shutdown(socket_, SD_SEND); }

}  // namespace pns4ones::sys
