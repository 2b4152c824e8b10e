#include "connection.hpp"

#include <algorithm>
#include <new>
#include <utility>

#include "crypto.hpp"
#include "messages.hpp"
#include "text.hpp"

namespace pns4ones {
namespace {

constexpr std::uint64_t connect_ms = 5'000;       // for each address
constexpr std::uint64_t registered_ms = 300;      // not closed by then: registered
constexpr std::uint64_t stop_ms = 2'000;          // the longest that Shutdown waits
constexpr std::uint64_t no_memory_ms = 5'000;      // when it is short, until the next try
constexpr std::uint64_t first_retry_ms = 20, last_retry_ms = 1'000;  // of an event that 1C refuses

// The names of events. The 1C extension that was released knows the first only.
constexpr char16_t message_event[] = u"message";
constexpr char16_t state_event[] = u"state";

std::u16string json_object(std::string_view name, std::string_view value) {
	return to_utf16("{" + json_string(name) + ": " + json_string(value) + "}");
}

std::uint32_t random_number() {
	std::uint32_t number = 0;
	if (random_bytes(&number, sizeof number)) return number;
	return static_cast<std::uint32_t>(sys::now_ms() * 2654435761u);
}

}  // namespace

const char *state_name(State state) {
	switch (state) {
	case State::connecting:
		return "connecting";
	case State::connected:
		return "connected";
	case State::lost:
		return "lost";
	case State::refused:
		return "refused";
	case State::off:
		break;
	}
	return "off";
}

Connection::Connection(Settings settings, std::shared_ptr<Outlet> outlet, std::uint64_t ticket)
	: settings_(std::move(settings)), outlet_(std::move(outlet)), ticket_(ticket) {}

std::shared_ptr<Connection> Connection::start(Settings settings, std::shared_ptr<Outlet> outlet, std::uint64_t ticket) {
	auto connection = std::make_shared<Connection>(std::move(settings), std::move(outlet), ticket);
	if (!connection->stop_.valid() || !connection->ended_.valid()) return nullptr;
	auto own_reference = std::make_unique<std::shared_ptr<Connection>>(connection);
	if (!sys::start_thread(run_thread, own_reference.get())) return nullptr;
	own_reference.release();  // the thread's
	return connection;
}

void Connection::run_thread(void *own_reference) {
	const std::unique_ptr<std::shared_ptr<Connection>> owner(static_cast<std::shared_ptr<Connection> *>(own_reference));
	Connection &connection = **owner;
	try {
		connection.run();
	} catch (...) {
		// Only memory can be missing here; 1C must not end for it.
	}
	connection.ended_.raise();
}

void Connection::stop() {
	stop_.raise();
	{
		const sys::Guard guard(mutex_);
		state_ = State::off;
		// In these cases it would be waiting for nothing: a name's address, or itself.
		if (resolving_ || thread_ == sys::thread_id()) return;
	}
	ended_.wait(sys::now_ms() + stop_ms);
}

State Connection::state() const {
	const sys::Guard guard(mutex_);
	return state_;
}

std::string Connection::last_error() const {
	const sys::Guard guard(mutex_);
	return error_;
}

std::string Connection::statistics() const {
	const sys::Guard guard(mutex_);
	const std::uint64_t reconnects = connections_ == 0 ? 0 : connections_ - 1;
	return "{\"state\":" + json_string(state_name(state_)) + ",\"address\":" + json_string(address_) + ",\"since\":" + json_string(since_) +
		",\"reconnects\":" + std::to_string(reconnects) + ",\"frames\":" + std::to_string(frames_) + ",\"bytes\":" + std::to_string(bytes_) +
		",\"groups_left_out\":" + std::to_string(settings_.registration.groups_left_out()) + "}";
}

// run is the life of the thread.
void Connection::run() {
	{
		const sys::Guard guard(mutex_);
		thread_ = sys::thread_id();
	}
	const sys::Network network;
	while (!stopping()) {
		try {
			try_once();
		} catch (const std::bad_alloc &) {
			// The service sends again what was not counted. Nothing is allocated here.
			stop_.wait(sys::now_ms() + no_memory_ms);
		}
	}
}

// try_once has a connection, if it can, to its end, and waits until the next one is
// due.
void Connection::try_once() {
	const Outcome outcome = attempt();
	if (stopping()) return;
	const std::uint32_t ms = backoff_.after(outcome, random_number());
	if (backoff_.refused()) {
		set_state(State::refused);
		// Nobody else would tell the user; once is enough.
		if (!told_refused_) error_notice_ = json_object("error", messages::refused);
		told_refused_ = true;
	} else if (was_connected_) {
		set_state(State::lost);
	}
	wait(nullptr, sys::now_ms() + ms);
}

// attempt walks the list until a service answers, and stays with it to the end.
Outcome Connection::attempt() {
	const std::vector<Address> &addresses = settings_.addresses;
	for (std::size_t i = 0; i < addresses.size(); i++) {
		const std::size_t at = (first_address_ + i) % addresses.size();
		const Address &address = addresses[at];
		{
			const sys::Guard guard(mutex_);
			if (stopping()) return Outcome::unreachable;
			resolving_ = true;
		}
		const std::vector<sys::Endpoint> endpoints = sys::resolve(address.host, address.port);
		{
			const sys::Guard guard(mutex_);
			resolving_ = false;
		}
		if (stopping()) return Outcome::unreachable;
		if (endpoints.empty()) set_error(messages::unknown_host + address.host);
		for (const sys::Endpoint &endpoint : endpoints) {
			sys::Socket socket;
			const sys::Wait connected = socket.connect(endpoint, stop_, sys::now_ms() + connect_ms);
			if (connected == sys::Wait::stopped) return Outcome::unreachable;
			if (connected == sys::Wait::timeout) {
				set_error(messages::unreachable + address.text());
				continue;
			}
			// Next time the list is walked from here if this was a connection, and from
			// the entry behind if it was closed at once.
			first_address_ = (at + 1) % addresses.size();
			is_connected_ = false;
			const Outcome outcome = session(socket, address);
			if (is_connected_) first_address_ = at;
			return outcome;
		}
	}
	return Outcome::unreachable;
}

// session registers, and hands messages to 1C until the connection ends. Reading
// has ended when it returns: what the next packet says was received is final.
Outcome Connection::session(sys::Socket &socket, const Address &address) {
	const std::string hello = packet(false);
	if (hello.empty()) return Outcome::unreachable;
	const std::uint64_t own_turn = turn_;
	if (!socket.send_now(hello)) {
		set_error(messages::not_registered);
		return Outcome::unreachable;
	}
	const std::uint64_t registered = sys::now_ms();
	const auto connected = [&] {
		if (is_connected_) return;
		is_connected_ = was_connected_ = true;
		error_notice_.clear();  // 1C has not taken it, and it is no longer true
		{
			const sys::Guard guard(mutex_);
			address_ = address.text();
			since_ = sys::wall_clock();
			connections_++;
		}
		set_state(State::connected);
	};

	FrameReader frames(settings_.key);
	bool had_frame = false;
	const char *why = messages::closed;
	for (;;) {
		const FrameReader::Room room = frames.room();
		const long got = socket.receive(room.data, room.size);
		if (got == sys::Socket::would_block) {
			const sys::Wait waited = wait(&socket, is_connected_ ? sys::never : registered + registered_ms);
			if (waited == sys::Wait::stopped) break;
			if (waited == sys::Wait::timeout) connected();
			continue;
		}
		if (got <= 0) {
			if (got == sys::Socket::broken) why = messages::broken;
			const std::uint64_t life = sys::now_ms() - registered;
			if (life >= good_life_ms) {
				backoff_.good();
				told_refused_ = false;
			}
			if (!had_frame && life < refused_life_ms) {
				set_error(messages::closed_at_once);
				return Outcome::refused;
			}
			set_error(why);
			return Outcome::lost;
		}
		switch (frames.filled(static_cast<std::size_t>(got))) {
		case FrameReader::Result::more:
			continue;
		case FrameReader::Result::broken:
			set_error(messages::not_decrypted);
			return Outcome::refused;
		case FrameReader::Result::frame:
			break;
		}
		had_frame = true;
		backoff_.good();
		told_refused_ = false;
		connected();
		if (!deliver(frames)) break;
		from_ = own_turn;
	}
	say_goodbye(socket);
	return Outcome::lost;
}

// packet makes the next registration packet, under a turn of its own.
std::string Connection::packet(bool goodbye) {
	turn_++;
	std::optional<std::string> made = settings_.registration.packet(settings_.key, {turn_, received_, from_, goodbye});
	if (made) return std::move(*made);
	set_error(messages::not_signed);
	return {};
}

// say_goodbye tells the service that this session does not come back, if the
// system takes that at once.
void Connection::say_goodbye(sys::Socket &socket) {
	if (settings_.registration.remembered()) socket.send_now(packet(true));
	socket.finish();
}

// deliver hands the frame to 1C, again and again if 1C has no room for it, and
// counts it once 1C has it. Nothing is read meanwhile, so the service waits, too.
// It returns false when the connection is to end.
bool Connection::deliver(FrameReader &frames) {
	const std::size_t bytes = frames.plaintext().size();
	std::u16string data = to_utf16(frames.plaintext());
	frames.next();
	for (std::uint64_t delay = first_retry_ms;; delay = std::min(delay * 2, last_retry_ms)) {
		const Outlet::Answer answer = outlet_->post(ticket_, message_event, data);
		if (answer == Outlet::Answer::gone) return false;
		if (answer == Outlet::Answer::accepted) break;
		if (stop_.wait(sys::now_ms() + delay)) return false;
	}
	received_++;
	const sys::Guard guard(mutex_);
	frames_++;
	bytes_ += bytes;
	return true;
}

// wait waits for the socket, if there is one, and meanwhile posts what 1C has not
// taken yet of our own news.
sys::Wait Connection::wait(sys::Socket *socket, std::uint64_t deadline) {
	for (;;) {
		const std::uint64_t due = offer_notices();
		const std::uint64_t until = std::min(deadline, due);
		sys::Wait waited;
		if (socket != nullptr) {
			waited = socket->wait(stop_, until);
		} else {
			waited = stop_.wait(until) ? sys::Wait::stopped : sys::Wait::timeout;
		}
		if (waited != sys::Wait::timeout || sys::now_ms() >= deadline) return waited;
	}
}

// offer_notices posts what is due, and returns when to try again.
std::uint64_t Connection::offer_notices() {
	for (;;) {
		std::u16string &notice = error_notice_.empty() ? state_notice_ : error_notice_;
		if (notice.empty()) return sys::never;
		if (sys::now_ms() < notice_due_) return notice_due_;
		const char16_t *event = error_notice_.empty() ? state_event : message_event;
		if (outlet_->post(ticket_, event, notice) == Outlet::Answer::refused) {
			notice_delay_ms_ = std::clamp(notice_delay_ms_ * 2, first_retry_ms, last_retry_ms);
			notice_due_ = sys::now_ms() + notice_delay_ms_;
		} else {
			notice.clear();
			notice_delay_ms_ = notice_due_ = 0;
		}
	}
}

// set_state makes a state known. Of several that 1C has not taken only the last
// one matters.
void Connection::set_state(State state) {
	{
		const sys::Guard guard(mutex_);
		if (stopping() || state_ == state) return;
		state_ = state;
	}
	if (settings_.state_events) state_notice_ = json_object("state", state_name(state));
	offer_notices();
}

void Connection::set_error(std::string text) {
	const sys::Guard guard(mutex_);
	error_ = std::move(text);
}

}  // namespace pns4ones
