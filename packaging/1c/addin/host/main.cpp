// A host for native 1C add-ins: it plays the platform, step by step. It drives the
// proofs of packaging/test, and tells support whether an add-in reaches a service
// from a machine.
//
// What happens is written at once, one JSON object a line: the result of each step
// with the milliseconds it took, and each event with the number of its object.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "../system.hpp"
#include "../text.hpp"
#include "library.hpp"
#include "platform.hpp"
#include "storm.hpp"
#include "value.hpp"

namespace {

using pns4ones::json_string;
using pns4ones::to_utf16;
using pns4ones::to_utf8;

constexpr char usage[] =
	"A host for native 1C add-ins.\n"
	"\n"
	"  host LIBRARY check HOST PORT APP IB USER GROUP KEY\n"
	"        does this add-in reach this service? Messages are shown for a minute.\n"
	"  host LIBRARY STEP...      runs the steps; - reads them from the input,\n"
	"                            one a line, with tabs between the words\n"
	"\n"
	"  new N                     makes object N, as 1C does;  bare N: without Init\n"
	"  connect N HOST PORT APP IB USER GROUP KEY\n"
	"  few N                     Connect with too few parameters\n"
	"  error N | shutdown N      GetLastError | Shutdown\n"
	"  get N NAME | set N NAME VALUE\n"
	"  describe N | find N NAME  names and numbers of properties and methods\n"
	"  done N | release N        Done | Done and DestroyObject;  destroy N: without Done\n"
	"  refuse N COUNT            refuses the next events, -1: all\n"
	"  random N PERCENT SEED     refuses some of them\n"
	"  hold N MS                 keeps each event so long\n"
	"  events N COUNT MS         waits for so many events of the object in all\n"
	"  state N STATE MS          waits for a value of its property State\n"
	"  many FIRST COUNT HOST PORT APP IB USER GROUP KEY   connects many; USER gets the number\n"
	"  states                    counts objects by State;  quiet: events are only counted\n"
	"  storm N COUNT SEED HOST PORT APP KEY   calls of all kinds on four threads at once\n"
	"  elsewhere STEP...         runs a step on another thread (with its words)\n"
	"  memory | handles          pieces of 1C's memory in use | files and the like\n"
	"  fail ON                   AllocMemory fails\n"
	"  unload | load | sleep MS | say TEXT\n"
	"\n"
	"A VALUE is a string, or :empty, :null, :nullstring, :int:5, :real:2.5, :bool:1,\n"
	":date:0, :blob:x, :bytes:x, :long:10000 (so many characters), :utf16:D83D,0041\n";

// Object is one object of the add-in's class.
struct Object {
	abi::Life *life = nullptr;
	std::unique_ptr<host::Connection> platform;
	long events = 0;  // under the lock of the output

	abi::Language *language() const { return static_cast<abi::Language *>(static_cast<abi::Object *>(life)); }
	abi::Locale *locale() const { return static_cast<abi::Locale *>(static_cast<abi::Object *>(life)); }
};

class Host {
 public:
	explicit Host(std::string library) : path_(std::move(library)) {}

	// step runs one, whose words begin at, and returns where the next one begins; or
	// 0 when there is no such step or words are missing.
	std::size_t step(const std::vector<std::string> &words, std::size_t at);
	bool load();
	int check(const std::vector<std::string> &words);

 private:
	struct Step {
		const char *name;
		std::size_t words;
		std::string (Host::*run)(const std::string *words);
	};
	static const Step steps[];

	std::string create(const std::string *words);
	std::string create_bare(const std::string *words);
	std::string connect(const std::string *words);
	std::string few(const std::string *words);
	std::string error(const std::string *words);
	std::string shutdown(const std::string *words);
	std::string get(const std::string *words);
	std::string set(const std::string *words);
	std::string describe(const std::string *words);
	std::string find(const std::string *words);
	std::string done(const std::string *words);
	std::string release(const std::string *words);
	std::string destroy(const std::string *words);
	std::string refuse(const std::string *words);
	std::string random(const std::string *words);
	std::string hold(const std::string *words);
	std::string events(const std::string *words);
	std::string state(const std::string *words);
	std::string many(const std::string *words);
	std::string states(const std::string *words);
	std::string storm(const std::string *words);
	std::string quiet(const std::string *words);
	std::string memory(const std::string *words);
	std::string handles(const std::string *words);
	std::string fail(const std::string *words);
	std::string unload(const std::string *words);
	std::string load_again(const std::string *words);
	std::string sleep(const std::string *words);
	std::string say(const std::string *words);

	Object &at(const std::string &number);
	void make(const std::string &number, bool initialized);
	bool call_connect(Object &object, const std::string *words, std::size_t count, bool &result);
	std::string text_of(abi::Variant &value);
	std::string free_text(const abi::Char *text);
	std::string property(Object &object, const char16_t *name);
	void write(const std::string &line);
	long events_of(Object &object);

	const std::string path_;
	host::Library library_;
	host::Memory memory_;
	std::map<std::string, Object> objects_;
	pns4ones::sys::Mutex output_;
	bool quiet_ = false;
};

const Host::Step Host::steps[] = {
	{"new", 1, &Host::create},
	{"bare", 1, &Host::create_bare},
	{"connect", 8, &Host::connect},
	{"few", 1, &Host::few},
	{"error", 1, &Host::error},
	{"shutdown", 1, &Host::shutdown},
	{"get", 2, &Host::get},
	{"set", 3, &Host::set},
	{"describe", 1, &Host::describe},
	{"find", 2, &Host::find},
	{"done", 1, &Host::done},
	{"release", 1, &Host::release},
	{"destroy", 1, &Host::destroy},
	{"refuse", 2, &Host::refuse},
	{"random", 3, &Host::random},
	{"hold", 2, &Host::hold},
	{"events", 3, &Host::events},
	{"state", 3, &Host::state},
	{"many", 9, &Host::many},
	{"states", 0, &Host::states},
	{"storm", 7, &Host::storm},
	{"quiet", 0, &Host::quiet},
	{"memory", 0, &Host::memory},
	{"handles", 0, &Host::handles},
	{"fail", 1, &Host::fail},
	{"unload", 0, &Host::unload},
	{"load", 0, &Host::load_again},
	{"sleep", 1, &Host::sleep},
	{"say", 1, &Host::say},
};

std::string boolean(bool value) { return value ? "true" : "false"; }

unsigned number_of(const std::string &text) { return static_cast<unsigned>(std::strtoul(text.c_str(), nullptr, 10)); }

void Host::write(const std::string &line) {
	const pns4ones::sys::Guard guard(output_);
	host::write_out(line + "\n");
}

bool Host::load() {
	const std::string failure = library_.load(path_);
	if (!failure.empty()) {
		write("{\"failed\":" + json_string(failure) + "}");
		return false;
	}
	// 1C tells the version of its interface before anything else.
	if (library_.SetPlatformCapabilities != nullptr) library_.SetPlatformCapabilities(1);
	return true;
}

std::size_t Host::step(const std::vector<std::string> &words, std::size_t at) {
	const bool elsewhere = words[at] == "elsewhere";
	if (elsewhere && ++at == words.size()) return 0;
	for (const Step &step : steps) {
		if (words[at] != step.name) continue;
		if (words.size() - at - 1 < step.words) return 0;
		struct Call {
			Host *host;
			const Step *step;
			const std::string *words;
			std::string result;
		} call = {this, &step, words.data() + at + 1, {}};
		const auto run = [](void *given) {
			auto *const call = static_cast<Call *>(given);
			call->result = (call->host->*call->step->run)(call->words);
		};
		const std::uint64_t before = pns4ones::sys::now_ms();
		if (elsewhere) {
			host::run_threads(1, run, &call);
		} else {
			run(&call);
		}
		const std::uint64_t ms = pns4ones::sys::now_ms() - before;
		std::string line = "{\"did\":" + json_string(step.name);
		if (step.words > 0) line += ",\"object\":" + json_string(words[at + 1]);
		write(line + ",\"result\":" + call.result + ",\"ms\":" + std::to_string(ms) + "}");
		return at + 1 + step.words;
	}
	return 0;
}

Object &Host::at(const std::string &number) {
	const auto found = objects_.find(number);
	if (found == objects_.end() || found->second.life == nullptr) {
		write("{\"failed\":" + json_string("there is no object " + number) + "}");
		std::exit(2);
	}
	return found->second;
}

void Host::make(const std::string &number, bool initialized) {
	Object &object = objects_[number];
	object = Object();
	library_.GetClassObject(library_.GetClassNames(), &object.life);
	if (object.life == nullptr) return;
	object.platform = std::make_unique<host::Connection>([this, number, &object](const std::u16string &source, const std::u16string &event, const std::u16string &data) {
		const std::string line = "{\"event\":" + json_string(to_utf8(event)) + ",\"object\":" + json_string(number) +
			",\"source\":" + json_string(to_utf8(source)) + ",\"data\":" + json_string(to_utf8(data)) + "}\n";
		const pns4ones::sys::Guard guard(output_);
		object.events++;
		if (!quiet_) host::write_out(line);
	});
	if (!initialized) return;
	object.life->setMemManager(&memory_);
	object.life->Init(object.platform.get());
	object.locale()->SetLocale(u"ru_RU");
	abi::Char *name = nullptr;
	object.language()->RegisterExtensionAs(&name);
	free_text(name);
}

std::string Host::create(const std::string *words) {
	make(words[0], true);
	return boolean(objects_[words[0]].life != nullptr);
}

std::string Host::create_bare(const std::string *words) {
	make(words[0], false);
	return boolean(objects_[words[0]].life != nullptr);
}

bool Host::call_connect(Object &object, const std::string *words, std::size_t count, bool &result) {
	std::deque<host::Value> values;
	std::vector<abi::Variant> parameters;
	for (std::size_t i = 0; i < count; i++) {
		values.emplace_back(words[i]);
		parameters.push_back(values.back().variant);
	}
	abi::Variant returned = {};
	const bool called = object.language()->CallAsFunc(object.language()->FindMethod(u"Connect"), &returned, parameters.data(), static_cast<long>(count));
	result = returned.type == abi::type_bool && returned.boolean;
	return called;
}

std::string Host::connect(const std::string *words) {
	bool result = false;
	if (!call_connect(at(words[0]), words + 1, 7, result)) return "\"raised\"";
	return boolean(result);
}

std::string Host::few(const std::string *words) {
	bool result = false;
	const std::string given[] = {"localhost", "1", "a"};
	return call_connect(at(words[0]), given, 3, result) ? boolean(result) : "\"raised\"";
}

std::string Host::text_of(abi::Variant &value) {
	if (value.type == abi::type_bool) return boolean(value.boolean);
	if (value.type != abi::type_pwstr) return "null";
	std::string text = "null";
	if (value.pwstr.data != nullptr) text = json_string(to_utf8({value.pwstr.data, value.pwstr.length}));
	void *memory = value.pwstr.data;
	memory_.FreeMemory(&memory);
	return text;
}

std::string Host::free_text(const abi::Char *text) {
	if (text == nullptr) return "null";
	const std::string out = json_string(to_utf8(text));
	void *memory = const_cast<abi::Char *>(text);
	memory_.FreeMemory(&memory);
	return out;
}

std::string Host::error(const std::string *words) {
	Object &object = at(words[0]);
	abi::Variant returned = {};
	if (!object.language()->CallAsFunc(object.language()->FindMethod(u"GetLastError"), &returned, nullptr, 0)) return "\"raised\"";
	return text_of(returned);
}

std::string Host::shutdown(const std::string *words) {
	Object &object = at(words[0]);
	return boolean(object.language()->CallAsProc(object.language()->FindMethod(u"Shutdown"), nullptr, 0));
}

std::string Host::property(Object &object, const char16_t *name) {
	const long number = object.language()->FindProp(name);
	abi::Variant value = {};
	if (number < 0 || !object.language()->GetPropVal(number, &value)) return "\"raised\"";
	return text_of(value);
}

std::string Host::get(const std::string *words) { return property(at(words[0]), to_utf16(words[1]).c_str()); }

std::string Host::set(const std::string *words) {
	Object &object = at(words[0]);
	const long number = object.language()->FindProp(to_utf16(words[1]).c_str());
	host::Value value(words[2]);
	return boolean(number >= 0 && object.language()->SetPropVal(number, &value.variant));
}

std::string Host::describe(const std::string *words) {
	abi::Language *const language = at(words[0]).language();
	std::string out = "{\"class\":" + json_string(to_utf8(library_.GetClassNames()));
	out += ",\"info\":" + std::to_string(objects_[words[0]].life->GetInfo());
	abi::Char *name = nullptr;
	language->RegisterExtensionAs(&name);
	out += ",\"extension\":" + free_text(name);
	out += ",\"attach\":" + (library_.GetAttachType == nullptr ? "null" : std::to_string(library_.GetAttachType()));
	out += ",\"depth\":" + std::to_string(objects_[words[0]].platform->depth());
	out += ",\"properties\":[";
	for (long i = 0; i < language->GetNProps(); i++) {
		out += (i == 0 ? "[" : ",[") + free_text(language->GetPropName(i, 0)) + "," + free_text(language->GetPropName(i, 1)) + "," +
			boolean(language->IsPropReadable(i)) + "," + boolean(language->IsPropWritable(i)) + "]";
	}
	out += "],\"methods\":[";
	for (long i = 0; i < language->GetNMethods(); i++) {
		out += (i == 0 ? "[" : ",[") + free_text(language->GetMethodName(i, 0)) + "," + free_text(language->GetMethodName(i, 1)) + "," +
			std::to_string(language->GetNParams(i)) + "," + boolean(language->HasRetVal(i)) + "]";
	}
	return out + "]}";
}

std::string Host::find(const std::string *words) {
	abi::Language *const language = at(words[0]).language();
	const std::u16string name = to_utf16(words[1]);
	return "[" + std::to_string(language->FindProp(name.c_str())) + "," + std::to_string(language->FindMethod(name.c_str())) + "]";
}

std::string Host::done(const std::string *words) {
	at(words[0]).life->Done();
	return "true";
}

std::string Host::release(const std::string *words) {
	at(words[0]).life->Done();
	return destroy(words);
}

std::string Host::destroy(const std::string *words) {
	Object &object = at(words[0]);
	const long result = library_.DestroyObject(&object.life);
	// 1C's side of it is gone now: whoever still calls it is found out.
	object.platform.reset();
	return boolean(result == 0 && object.life == nullptr);
}

std::string Host::refuse(const std::string *words) {
	at(words[0]).platform->refuse(std::atol(words[1].c_str()));
	return "true";
}

std::string Host::random(const std::string *words) {
	at(words[0]).platform->refuse_randomly(number_of(words[1]), number_of(words[2]));
	return "true";
}

std::string Host::hold(const std::string *words) {
	at(words[0]).platform->hold(number_of(words[1]));
	return "true";
}

long Host::events_of(Object &object) {
	const pns4ones::sys::Guard guard(output_);
	return object.events;
}

std::string Host::events(const std::string *words) {
	Object &object = at(words[0]);
	const std::uint64_t deadline = pns4ones::sys::now_ms() + number_of(words[2]);
	const long wanted = std::atol(words[1].c_str());
	while (events_of(object) < wanted && pns4ones::sys::now_ms() < deadline) host::sleep_ms(5);
	return "{\"events\":" + std::to_string(events_of(object)) + ",\"refused\":" + std::to_string(object.platform->refused()) +
		",\"overlapped\":" + boolean(object.platform->overlapped()) + "}";
}

std::string Host::state(const std::string *words) {
	Object &object = at(words[0]);
	const std::uint64_t deadline = pns4ones::sys::now_ms() + number_of(words[2]);
	const std::string wanted = json_string(words[1]);
	std::string got;
	while ((got = property(object, u"State")) != wanted && pns4ones::sys::now_ms() < deadline) host::sleep_ms(5);
	return got;
}

std::string Host::many(const std::string *words) {
	const unsigned first = number_of(words[0]), count = number_of(words[1]);
	unsigned good = 0;
	for (unsigned i = first; i < first + count; i++) {
		const std::string number = std::to_string(i);
		make(number, true);
		std::string given[7];
		std::copy_n(words + 2, 7, given);
		given[4] += number;
		bool result = false;
		if (objects_[number].life != nullptr && call_connect(objects_[number], given, 7, result) && result) good++;
	}
	return std::to_string(good);
}

std::string Host::states(const std::string *) {
	std::map<std::string, int> counts;
	for (auto &[number, object] : objects_) {
		if (object.life != nullptr) counts[property(object, u"State")]++;
	}
	std::string out = "{";
	for (const auto &[state, count] : counts) out += (out.size() == 1 ? "" : ",") + state + ":" + std::to_string(count);
	return out + "}";
}

std::string Host::storm(const std::string *words) {
	const host::Service service = {words[3], words[4], words[5], words[6]};
	return std::to_string(host::storm(*at(words[0]).language(), memory_, number_of(words[1]), number_of(words[2]), service));
}

std::string Host::quiet(const std::string *) {
	const pns4ones::sys::Guard guard(output_);
	quiet_ = true;
	return "true";
}

std::string Host::memory(const std::string *) { return std::to_string(memory_.live()); }

std::string Host::handles(const std::string *) { return std::to_string(host::open_handles()); }

std::string Host::fail(const std::string *words) {
	memory_.fail(words[0] == "1");
	return "true";
}

std::string Host::unload(const std::string *) {
	library_.unload();
	return "true";
}

std::string Host::load_again(const std::string *) { return boolean(load()); }

std::string Host::sleep(const std::string *words) {
	host::sleep_ms(number_of(words[0]));
	return "true";
}

std::string Host::say(const std::string *) { return "true"; }

// check is for people: it says in words what happens.
int Host::check(const std::vector<std::string> &words) {
	constexpr unsigned answer_ms = 20'000, listen_ms = 60'000;
	make("1", true);
	Object &object = objects_["1"];
	if (object.life == nullptr) {
		host::write_out("The library loads, but makes no object.\n");
		return 1;
	}
	const bool has_state = object.language()->FindProp(u"State") >= 0;
	host::write_out("The library loads. Version: " + (has_state ? property(object, u"Version") : std::string("none, one of before 2026")) + "\n");
	bool result = false;
	if (!call_connect(object, words.data(), 7, result) || !result) {
		const std::string number = "1";
		host::write_out("Connect says no: " + error(&number) + "\n");
		return 1;
	}
	if (has_state) {
		const std::uint64_t deadline = pns4ones::sys::now_ms() + answer_ms;
		std::string state;
		while ((state = property(object, u"State")) != "\"connected\"" && state != "\"refused\"" && pns4ones::sys::now_ms() < deadline) host::sleep_ms(20);
		if (state != "\"connected\"") {
			host::write_out("Not connected: " + state + ". Last error: " + property(object, u"LastError") + "\n");
			return 1;
		}
		host::write_out("Connected: " + property(object, u"Statistics") + "\n");
	}
	host::write_out("Send a message to this user now; for a minute they are shown.\n");
	host::sleep_ms(listen_ms);
	object.life->Done();
	library_.DestroyObject(&object.life);
	return 0;
}

}  // namespace

int main(int count, char **given) {
	std::vector<std::string> words = host::arguments(count, given);
	if (words.size() < 2) {
		std::fputs(usage, stderr);
		return 2;
	}
	// It is never destroyed: an add-in that was not released may still use it while
	// the process ends.
	static Host &host = *new Host(words[0]);
	if (!host.load()) return 1;
	words.erase(words.begin());
	if (words[0] == "check" && words.size() == 8) {
		words.erase(words.begin());
		return host.check(words);
	}
	if (words[0] == "-") {
		for (std::string line; host::read_line(line);) {
			std::vector<std::string> step;
			for (std::size_t at = 0; at <= line.size();) {
				const std::size_t end = std::min(line.find('\t', at), line.size());
				step.push_back(line.substr(at, end - at));
				at = end + 1;
			}
			if (host.step(step, 0) != 0) continue;
			std::fprintf(stderr, "no such step: %s\n", line.c_str());
			return 2;
		}
		return 0;
	}
	for (std::size_t at = 0; at < words.size();) {
		const std::size_t next = host.step(words, at);
		if (next == 0) {
			std::fprintf(stderr, "no such step, or words are missing: %s\n%s", words[at].c_str(), usage);
			return 2;
		}
		at = next;
	}
	return 0;
}
