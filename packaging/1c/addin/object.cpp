#include "object.hpp"

#include <array>
#include <utility>
#include <vector>

#include "messages.hpp"
#include "text.hpp"
#include "variant.hpp"

#ifndef ADDIN_VERSION
#error "ADDIN_VERSION is what build.sh reads from the file VERSION"
#endif

namespace pns4ones {
namespace {

// The second half of the type in 1C code: it must stay as it is.
constexpr char16_t extension_name[] = u"com_ptolkachev_PNS4OneSCompExtension";
// More events than this wait for 1C in ourselves, and at last in the service.
constexpr long event_buffer_depth = 1000;
constexpr long info = 1000;  // GetInfo: version 1.0 of 1C's interface

struct Name {
	const char16_t *english, *russian;
};

// Numbers of properties and methods are their places in these tables.
enum Property : long { version, state, state_events, groups, user_name, infobase_name, last_error, statistics };
constexpr std::array<Name, 8> property_names = {{
	{u"Version", u"Версия"},
	{u"State", u"Состояние"},
	{u"StateEvents", u"СобытияСостояния"},
	{u"Groups", u"Группы"},
	{u"UserName", u"ИмяПользователя"},
	{u"InfobaseName", u"ИмяБазы"},
	{u"LastError", u"ПоследняяОшибка"},
	{u"Statistics", u"Статистика"},
}};

enum Method : long { connect_method, shutdown_method, get_last_error_method };
constexpr std::array<Name, 3> method_names = {{
	{u"Connect", u"Подключить"},
	{u"Shutdown", u"Отключить"},
	{u"GetLastError", u"ПолучитьОшибку"},
}};
constexpr long connect_parameters = 7;

#if defined(_WIN32)
#define ADDIN_SYSTEM "windows-"
#else
#define ADDIN_SYSTEM "linux-"
#endif
#if defined(__x86_64__)
#define ADDIN_PROCESSOR "x86_64"
#elif defined(__i386__)
#define ADDIN_PROCESSOR "i386"
#elif defined(__aarch64__)
#define ADDIN_PROCESSOR "arm64"
#else
#error "name this processor"
#endif
constexpr char agent[] = "pns4ones-addin/" ADDIN_VERSION " " ADDIN_SYSTEM ADDIN_PROCESSOR;

template <std::size_t N>
long find(const std::array<Name, N> &names, const abi::Char *name) {
	if (name == nullptr) return -1;
	for (std::size_t i = 0; i < N; i++) {
		if (same_name(name, names[i].english) || same_name(name, names[i].russian)) return static_cast<long>(i);
	}
	return -1;
}

template <std::size_t N>
bool contains(const std::array<Name, N> &, long number) {
	return number >= 0 && number < static_cast<long>(N);
}

template <std::size_t N>
const abi::Char *name_of(const std::array<Name, N> &names, long number, long alias, abi::MemoryManager *memory) {
	if (!contains(names, number) || alias < 0 || alias > 1) return nullptr;
	const Name &name = names[static_cast<std::size_t>(number)];
	return copy_text(memory, alias == 0 ? name.english : name.russian);
}

// guarded keeps exceptions from 1C, which would end with them.
template <typename Result, typename Function>
Result guarded(Result otherwise, Function function) {
	try {
		return function();
	} catch (...) {
		return otherwise;
	}
}

std::vector<std::string> lines_of(const std::string &text) {
	std::vector<std::string> lines;
	for (std::size_t at = 0; at < text.size();) {
		std::size_t end = text.find_first_of("\r\n", at);
		if (end == std::string::npos) end = text.size();
		if (end > at) lines.push_back(text.substr(at, end - at));
		at = end + 1;
	}
	return lines;
}

}  // namespace

AddIn::AddIn() : outlet_(std::make_shared<Outlet>()) {}

void AddIn::close() {
	outlet_->close();
	std::shared_ptr<Connection> connection;
	{
		const sys::Guard guard(mutex_);
		connection = std::move(connection_);
		connection_.reset();
	}
	if (connection != nullptr) connection->stop();
}

#ifdef _WIN32
void *ABI_DESTRUCTOR AddIn::destroy(unsigned flags) {
	close();
	if ((flags & 1) != 0) delete this;
	return nullptr;
}
#else
void AddIn::destroy_complete() { close(); }
void AddIn::destroy_and_free() {
	close();
	delete this;
}
#endif

bool ABI_METHOD AddIn::Init(void *platform) {
	return guarded(false, [&] {
		if (platform == nullptr) return false;
		auto *const offered = static_cast<abi::Platform *>(platform);
		outlet_->attach(offered);
		offered->SetEventBufferDepth(event_buffer_depth);
		return true;
	});
}

bool ABI_METHOD AddIn::setMemManager(void *memory) {
	const sys::Guard guard(mutex_);
	memory_ = static_cast<abi::MemoryManager *>(memory);
	return memory_ != nullptr;
}

long ABI_METHOD AddIn::GetInfo() { return info; }

void ABI_METHOD AddIn::Done() {
	guarded(false, [&] {
		close();
		outlet_->attach(nullptr);
		return true;
	});
}

bool ABI_METHOD AddIn::RegisterExtensionAs(abi::Char **name) {
	return guarded(false, [&] {
		if (name == nullptr) return false;
		const sys::Guard guard(mutex_);
		*name = copy_text(memory_, extension_name);
		return *name != nullptr;
	});
}

long ABI_METHOD AddIn::GetNProps() { return static_cast<long>(property_names.size()); }

long ABI_METHOD AddIn::FindProp(const abi::Char *name) { return find(property_names, name); }

const abi::Char *ABI_METHOD AddIn::GetPropName(long property, long alias) {
	const sys::Guard guard(mutex_);
	return name_of(property_names, property, alias, memory_);
}

bool ABI_METHOD AddIn::GetPropVal(long property, abi::Variant *value) {
	return guarded(false, [&] {
		if (value == nullptr) return false;
		const sys::Guard guard(mutex_);
		const Connection *const connection = connection_.get();
		switch (property) {
		case version:
			return give_text(*value, memory_, ADDIN_VERSION);
		case state:
			return give_text(*value, memory_, state_name(connection == nullptr ? State::off : connection->state()));
		case state_events:
			give_boolean(*value, state_events_);
			return true;
		case groups:
			return give_text(*value, memory_, groups_);
		case user_name:
			return give_text(*value, memory_, user_name_);
		case infobase_name:
			return give_text(*value, memory_, infobase_name_);
		case last_error:
			return give_text(*value, memory_, connection == nullptr ? connect_error_ : connection->last_error());
		case statistics:
			return give_text(*value, memory_, connection == nullptr ? "{\"state\":\"off\"}" : connection->statistics());
		default:
			return false;
		}
	});
}

bool ABI_METHOD AddIn::SetPropVal(long property, abi::Variant *value) {
	return guarded(false, [&] {
		if (value == nullptr || !IsPropWritable(property)) return false;
		if (property == state_events) {
			const std::optional<bool> boolean = boolean_of(*value);
			if (!boolean) return false;
			const sys::Guard guard(mutex_);
			state_events_ = *boolean;
			return true;
		}
		std::optional<std::string> text = text_of(*value);
		if (!text) return false;
		const sys::Guard guard(mutex_);
		std::string &target = property == groups ? groups_ : property == user_name ? user_name_ : infobase_name_;
		target = std::move(*text);
		return true;
	});
}

bool ABI_METHOD AddIn::IsPropReadable(long property) { return contains(property_names, property); }

bool ABI_METHOD AddIn::IsPropWritable(long property) {
	return property == state_events || property == groups || property == user_name || property == infobase_name;
}

long ABI_METHOD AddIn::GetNMethods() { return static_cast<long>(method_names.size()); }

long ABI_METHOD AddIn::FindMethod(const abi::Char *name) { return find(method_names, name); }

const abi::Char *ABI_METHOD AddIn::GetMethodName(long method, long alias) {
	const sys::Guard guard(mutex_);
	return name_of(method_names, method, alias, memory_);
}

long ABI_METHOD AddIn::GetNParams(long method) { return method == connect_method ? connect_parameters : 0; }

bool ABI_METHOD AddIn::GetParamDefValue(long, long, abi::Variant *value) {
	if (value != nullptr) give_empty(*value);
	return false;
}

bool ABI_METHOD AddIn::HasRetVal(long method) { return method == connect_method || method == get_last_error_method; }

bool ABI_METHOD AddIn::CallAsProc(long method, abi::Variant *parameters, long count) {
	return guarded(false, [&] { return call(method, nullptr, parameters, count); });
}

bool ABI_METHOD AddIn::CallAsFunc(long method, abi::Variant *result, abi::Variant *parameters, long count) {
	return guarded(false, [&] { return call(method, result, parameters, count); });
}

void ABI_METHOD AddIn::SetLocale(const abi::Char *) {}

// call does what 1C code asks for. A function that is called as a procedure has no
// place for its result.
bool AddIn::call(long method, abi::Variant *result, abi::Variant *parameters, long count) {
	switch (method) {
	case connect_method: {
		if (parameters == nullptr || count < connect_parameters) return false;
		const bool connected = connect(parameters);
		if (result != nullptr) give_boolean(*result, connected);
		return true;
	}
	case shutdown_method:
		close();
		if (result != nullptr) give_empty(*result);
		return true;
	case get_last_error_method: {
		if (result == nullptr) return true;
		const sys::Guard guard(mutex_);
		if (!connect_error_.empty()) return give_text(*result, memory_, connect_error_);
		give_no_text(*result);
		return true;
	}
	default:
		return false;
	}
}

// connect checks what can be checked without the network, and starts a connection
// in place of the one there may be.
bool AddIn::connect(const abi::Variant *parameters) {
	close();
	std::array<std::string, connect_parameters> texts;
	for (std::size_t i = 0; i < texts.size(); i++) {
		std::optional<std::string> text = text_of(parameters[i]);
		if (!text) return refuse(messages::bad_parameters);
		texts[i] = std::move(*text);
	}
	auto &[host, port, app, infobase, user, group, client_key] = texts;

	const std::optional<ClientKey> key = ClientKey::parse(client_key);
	if (!key) return refuse(messages::bad_client_key);
	std::optional<std::vector<Address>> addresses = parse_addresses(host, port);
	if (!addresses) return refuse(messages::bad_address);

	Attributes attributes;
	attributes.session = new_session();
	attributes.agent = agent;
	attributes.host = sys::host_name();
	bool with_state_events;
	{
		const sys::Guard guard(mutex_);
		attributes.groups = lines_of(groups_);
		attributes.user_name = user_name_;
		attributes.infobase_name = infobase_name_;
		with_state_events = state_events_;
	}
	Registration registration({app, infobase, user, group}, std::move(attributes));
	if (!registration.fits()) return refuse(messages::too_long);

	const char *failure = nullptr;
	std::shared_ptr<Connection> other;
	{
		// In one step, so that of two threads of 1C the later has both the ticket and
		// the place.
		const sys::Guard guard(mutex_);
		const std::uint64_t ticket = outlet_->open();
		std::shared_ptr<Connection> connection;
		if (ticket == 0) {
			failure = messages::not_initialized;
		} else {
			connection = Connection::start({*key, std::move(*addresses), std::move(registration), with_state_events}, outlet_, ticket);
			if (connection == nullptr) failure = messages::no_thread;
		}
		connect_error_ = failure == nullptr ? "" : failure;
		other = std::exchange(connection_, std::move(connection));
	}
	if (other != nullptr) other->stop();
	return failure == nullptr;
}

bool AddIn::refuse(const char *why) {
	const sys::Guard guard(mutex_);
	connect_error_ = why;
	return false;
}

}  // namespace pns4ones
