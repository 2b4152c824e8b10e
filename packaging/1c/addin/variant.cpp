#include "variant.hpp"

#include <climits>
#include <cstring>

#include "text.hpp"

namespace pns4ones {
namespace {

// 1C's numbers come as whatever type is narrow enough.
std::optional<long long> whole_number(const abi::Variant &value) {
	const auto from_double = [](double number) -> std::optional<long long> {
		if (!(number > -1e15 && number < 1e15)) return std::nullopt;  // nor is it one that is no number
		const auto whole = static_cast<long long>(number);
		if (static_cast<double>(whole) != number) return std::nullopt;
		return whole;
	};
	switch (value.type) {
	case abi::type_i1:
		return value.i1;
	case abi::type_ui1:
		return value.ui1;
	case abi::type_i2:
		return value.i2;
	case abi::type_ui2:
		return value.ui2;
	case abi::type_i4:
	case abi::type_int:
		return value.i4;
	case abi::type_ui4:
	case abi::type_uint:
		return value.ui4;
	case abi::type_i8:
		return value.i8;
	case abi::type_ui8:
		if (value.ui8 > LLONG_MAX) return std::nullopt;
		return static_cast<long long>(value.ui8);
	case abi::type_r4:
		return from_double(value.r4);
	case abi::type_r8:
		return from_double(value.r8);
	default:
		return std::nullopt;
	}
}

}  // namespace

std::optional<std::string> text_of(const abi::Variant &value) {
	switch (value.type) {
	case abi::type_empty:
	case abi::type_null:
		return "";
	case abi::type_pwstr:
		if (value.pwstr.data == nullptr) return "";
		return to_utf8({value.pwstr.data, value.pwstr.length});
	case abi::type_pstr:
		if (value.pstr.data == nullptr) return "";
		return valid_utf8({value.pstr.data, value.pstr.length});
	default:
		break;
	}
	const std::optional<long long> number = whole_number(value);
	if (!number) return std::nullopt;
	return std::to_string(*number);
}

std::optional<bool> boolean_of(const abi::Variant &value) {
	if (value.type == abi::type_bool) return value.boolean;
	const std::optional<long long> number = whole_number(value);
	if (!number) return std::nullopt;
	return *number != 0;
}

abi::Char *copy_text(abi::MemoryManager *memory, std::u16string_view text) {
	const std::size_t bytes = (text.size() + 1) * sizeof(abi::Char);
	void *copy = nullptr;
	if (memory == nullptr || bytes > LONG_MAX || !memory->AllocMemory(&copy, static_cast<unsigned long>(bytes)) || copy == nullptr) return nullptr;
	std::memcpy(copy, text.data(), text.size() * sizeof(abi::Char));
	static_cast<abi::Char *>(copy)[text.size()] = 0;
	return static_cast<abi::Char *>(copy);
}

void give_empty(abi::Variant &value) { value.type = abi::type_empty; }

void give_boolean(abi::Variant &value, bool boolean) {
	value.type = abi::type_bool;
	value.boolean = boolean;
}

bool give_text(abi::Variant &value, abi::MemoryManager *memory, std::string_view utf8) {
	const std::u16string text = to_utf16(utf8);
	abi::Char *copy = copy_text(memory, text);
	if (copy == nullptr) return false;
	value.type = abi::type_pwstr;
	value.pwstr.data = copy;
	value.pwstr.length = static_cast<std::uint32_t>(text.size());
	return true;
}

void give_no_text(abi::Variant &value) {
	value.type = abi::type_pwstr;
	value.pwstr.data = nullptr;
	value.pwstr.length = 0;
}

}  // namespace pns4ones
