#include "storm.hpp"

#include <atomic>
#include <deque>
#include <iterator>
#include <random>

#include "library.hpp"
#include "value.hpp"

namespace host {
namespace {

// What 1C code may have in a variable.
const char *const values[] = {":null", ":empty", ":date:0", ":blob:x", ":bytes:\xc0\xed", ":long:10000", ":nullstring", ":bool:1", ":int:-5", "", "Склад\nОтдел"};

struct Attack {
	abi::Language &language;
	Memory &memory;
	const unsigned calls_of_each, seed;
	const Service &service;
	std::atomic<unsigned> threads{0}, calls{0};

	void run();
	void call(std::mt19937 &random);
	void connect(const std::deque<Value> &words, std::size_t count);
	void free_text(const abi::Char *text);
};

void Attack::run() {
	std::mt19937 random(seed + threads++);
	for (unsigned i = 0; i < calls_of_each; i++, calls++) call(random);
}

void Attack::free_text(const abi::Char *text) {
	void *copy = const_cast<abi::Char *>(text);
	memory.FreeMemory(&copy);
}

void Attack::connect(const std::deque<Value> &words, std::size_t count) {
	abi::Variant parameters[7] = {};
	for (std::size_t i = 0; i < words.size(); i++) parameters[i] = words[i].variant;
	abi::Variant result = {};
	language.CallAsFunc(language.FindMethod(u"Connect"), &result, parameters, static_cast<long>(count));
}

void Attack::call(std::mt19937 &random) {
	const auto any = [&] { return std::string(values[random() % std::size(values)]); };
	const long number = static_cast<long>(random() % 14) - 2;  // of a property or method, or of none
	abi::Variant value = {};
	std::deque<Value> words;
	switch (random() % 8) {
	case 0:
		for (const std::string &word : {service.host, service.port, service.app, std::string("ib"), any(), std::string(), random() % 4 == 0 ? any() : service.key}) {
			words.emplace_back(word);
		}
		return connect(words, 7);
	case 1:
		for (int i = 0; i < 7; i++) words.emplace_back(any());
		return connect(words, random() % 8);
	case 2:
		language.CallAsProc(language.FindMethod(u"Shutdown"), nullptr, 0);
		return;
	case 3:
		if (language.GetPropVal(number, &value) && value.type == abi::type_pwstr) free_text(value.pwstr.data);
		return;
	case 4:
		words.emplace_back(any());
		language.SetPropVal(number, &words.back().variant);
		return;
	case 5:
		if (language.CallAsFunc(number, &value, nullptr, 0) && value.type == abi::type_pwstr) free_text(value.pwstr.data);
		return;
	case 6:
		free_text(language.GetMethodName(number, number));
		free_text(language.GetPropName(number, number & 1));
		return;
	default:
		language.GetPropVal(number, nullptr);
		language.SetPropVal(number, nullptr);
		language.FindProp(nullptr);
		language.CallAsProc(number, nullptr, 7);
		language.RegisterExtensionAs(nullptr);
	}
}

}  // namespace

unsigned storm(abi::Language &language, Memory &memory, unsigned calls_of_each, unsigned seed, const Service &service) {
	constexpr unsigned threads = 4;
	Attack attack = {language, memory, calls_of_each, seed, service};
	run_threads(threads, [](void *given) { static_cast<Attack *>(given)->run(); }, &attack);
	return attack.calls;
}

}  // namespace host
