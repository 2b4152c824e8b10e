// The five functions that 1C looks for in the library.
#include <cstring>
#include <new>

#include "abi.hpp"
#include "object.hpp"

#ifdef _WIN32
#define EXPORTED extern "C" __declspec(dllexport)
#else
#define EXPORTED extern "C" __attribute__((visibility("default")))
#endif

namespace {

// The released extension and bundle know the class by this name.
constexpr char16_t class_name[] = u"PNS4OneSComp";

constexpr long version_of_capabilities = 1;

bool is_class_name(const abi::Char *name) {
	std::size_t i = 0;
	for (; class_name[i] != 0; i++) {
		if (name[i] != class_name[i]) return false;
	}
	return name[i] == 0;
}

}  // namespace

EXPORTED const abi::Char *GetClassNames() { return class_name; }

// It returns whether there is an object; not its address, which a long does not
// hold on Windows.
EXPORTED long GetClassObject(const abi::Char *name, abi::Life **object) {
	if (name == nullptr || object == nullptr || *object != nullptr || !is_class_name(name)) return 0;
	try {
		*object = new pns4ones::AddIn;
		return 1;
	} catch (...) {
		return 0;
	}
}

// 1C calls Done before, but is not obliged to.
EXPORTED long DestroyObject(abi::Life **object) {
	if (object == nullptr || *object == nullptr) return -1;
	auto *const addin = static_cast<pns4ones::AddIn *>(*object);
	*object = nullptr;
	try {
		addin->Done();
		delete addin;
	} catch (...) {
		return -1;
	}
	return 0;
}

// 1C tells which version of its interface it has. Without this function it takes
// the add-in for one that is older than all that.
EXPORTED long SetPlatformCapabilities(long) { return version_of_capabilities; }

EXPORTED int GetAttachType() { return abi::attach_either; }
