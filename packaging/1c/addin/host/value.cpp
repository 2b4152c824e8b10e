#include "value.hpp"

#include <cstdlib>
#include <optional>

#include "../text.hpp"

namespace host {

Value::Value(const std::string &text) {
	const auto rest = [&](const char *prefix) -> std::optional<std::string> {
		const std::string name = prefix;
		if (text.compare(0, name.size(), name) != 0) return std::nullopt;
		return text.substr(name.size());
	};
	if (text == ":empty") {
		variant.type = abi::type_empty;
		return;
	}
	if (text == ":null") {
		variant.type = abi::type_null;
		return;
	}
	if (const auto number = rest(":int:")) {
		variant.type = abi::type_i4;
		variant.i4 = std::atoi(number->c_str());
		return;
	}
	if (const auto number = rest(":real:")) {
		variant.type = abi::type_r8;
		variant.r8 = std::atof(number->c_str());
		return;
	}
	if (const auto number = rest(":bool:")) {
		variant.type = abi::type_bool;
		variant.boolean = *number == "1";
		return;
	}
	if (rest(":date:")) {
		variant.type = abi::type_tm;
		return;
	}
	const auto narrow = rest(":bytes:");
	if (const auto content = rest(":blob:"); content || narrow) {
		bytes = content ? *content : *narrow;
		variant.type = content ? abi::type_blob : abi::type_pstr;
		variant.pstr.data = bytes.data();
		variant.pstr.length = static_cast<std::uint32_t>(bytes.size());
		return;
	}
	variant.type = abi::type_pwstr;
	if (text == ":nullstring") return;
	if (const auto count = rest(":long:")) {
		characters.assign(static_cast<std::size_t>(std::atol(count->c_str())), u'я');
	} else if (const auto units = rest(":utf16:")) {
		for (std::size_t at = 0; at < units->size(); at += 5) characters += static_cast<char16_t>(std::strtoul(units->substr(at, 4).c_str(), nullptr, 16));
	} else {
		characters = pns4ones::to_utf16(text);
	}
	variant.pwstr.data = characters.data();
	variant.pwstr.length = static_cast<std::uint32_t>(characters.size());
}

}  // namespace host
