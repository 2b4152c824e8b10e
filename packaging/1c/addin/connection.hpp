// A session with the service, from Connect until Shutdown: it connects, registers,
// hands messages to 1C, and connects again for as long as it takes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "addresses.hpp"
#include "backoff.hpp"
#include "clientkey.hpp"
#include "frame.hpp"
#include "outlet.hpp"
#include "registration.hpp"
#include "system.hpp"

namespace pns4ones {

enum class State { off, connecting, connected, lost, refused };

// state_name is the word for it: in the property State, and in events.
const char *state_name(State state);

// Connection runs on a thread of its own, which shares it with the object that
// started it: whichever lets go last frees it. The thread may outlive the object,
// since asking for a name's address cannot be interrupted.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
	struct Settings {
		ClientKey key;
		std::vector<Address> addresses;  // not empty
		Registration registration;
		bool state_events;
	};

	// start makes a connection that posts with the outlet's ticket; null when the
	// system has no thread for it.
	static std::shared_ptr<Connection> start(Settings settings, std::shared_ptr<Outlet> outlet, std::uint64_t ticket);

	Connection(Settings settings, std::shared_ptr<Outlet> outlet, std::uint64_t ticket);

	// stop ends it: nothing comes to 1C any more once stop has returned, unless 1C
	// holds an event of ours for longer than two seconds. The outlet was closed
	// before. On the connection's own thread, inside of an event, it does not wait.
	void stop();

	State state() const;
	std::string last_error() const;
	// statistics is a JSON object for people and support.
	std::string statistics() const;

 private:
	static void run_thread(void *own_reference);
	void run();
	void try_once();
	Outcome attempt();
	Outcome session(sys::Socket &socket, const Address &address);
	std::string packet(bool goodbye);
	void say_goodbye(sys::Socket &socket);
	bool deliver(FrameReader &frames);
	sys::Wait wait(sys::Socket *socket, std::uint64_t deadline);
	std::uint64_t offer_notices();
	void set_state(State state);
	void set_error(std::string text);
	bool stopping() const { return stop_.raised(); }

	const Settings settings_;
	const std::shared_ptr<Outlet> outlet_;
	const std::uint64_t ticket_;
	sys::Signal stop_;
	sys::Signal ended_;

	// Of the thread alone.
	Backoff backoff_;
	std::size_t first_address_ = 0;  // the list is walked from here
	std::uint64_t turn_ = 0, received_ = 0, from_ = 0;
	bool is_connected_ = false;   // the connection there is was not closed at once
	bool was_connected_ = false;  // one of them
	bool told_refused_ = false;
	std::u16string error_notice_, state_notice_;  // to be posted; empty when there is none
	std::uint64_t notice_due_ = 0, notice_delay_ms_ = 0;

	// For anybody, under the mutex.
	mutable sys::Mutex mutex_;
	State state_ = State::connecting;
	bool resolving_ = false;
	std::uint64_t thread_ = 0;
	std::string error_, address_, since_;
	std::uint64_t connections_ = 0, frames_ = 0, bytes_ = 0;
};

}  // namespace pns4ones
