// The border between 1C:Enterprise and a native add-in, as bytes.
//
// 1C calls through tables of function pointers that its own compiler laid out:
// GCC on Linux, MSVC on Windows. A virtual destructor takes two places in such a
// table by the rules of the first and one by those of the second, and MinGW
// follows the first also on Windows. So no interface here has a virtual
// destructor: its places are plain virtual functions, and the same source makes
// the right table with every compiler.
#pragma once

#include <cstddef>
#include <cstdint>
#include <ctime>

// On 32-bit Windows methods clean the stack themselves (stdcall), and MSVC's
// destructors get their object in a register (thiscall). Elsewhere there is one
// convention.
#if defined(_WIN32) && defined(__i386__)
#define ABI_METHOD __attribute__((stdcall))
#define ABI_DESTRUCTOR __attribute__((thiscall))
#else
#define ABI_METHOD
#define ABI_DESTRUCTOR
#endif

#ifdef _WIN32
#define ABI_DESTRUCTOR_SLOTS virtual void *ABI_DESTRUCTOR destroy(unsigned flags) = 0;
#else
#define ABI_DESTRUCTOR_SLOTS          \
	virtual void destroy_complete() = 0; \
	virtual void destroy_and_free() = 0;
#endif

namespace abi {

// WCHAR of 1C's headers: UTF-16 on every system.
using Char = char16_t;

// The kinds of values that cross the border.
enum Type : std::uint16_t {
	type_empty = 0,
	type_null = 1,
	type_i2 = 2,
	type_i4 = 3,
	type_r4 = 4,
	type_r8 = 5,
	type_date = 6,
	type_tm = 7,
	type_pstr = 8,
	type_bool = 11,
	type_i1 = 13,
	type_ui1 = 14,
	type_ui2 = 15,
	type_ui4 = 16,
	type_i8 = 17,
	type_ui8 = 18,
	type_int = 19,
	type_uint = 20,
	type_pwstr = 22,
	type_blob = 23,
};

// tVariant of 1C's headers. Lengths are in code units, without a terminator.
struct Variant {
	union {
		std::int8_t i1;
		std::uint8_t ui1;
		std::int16_t i2;
		std::uint16_t ui2;
		std::int32_t i4;
		std::uint32_t ui4;
		std::int64_t i8;
		std::uint64_t ui8;
		float r4;
		double r8;
		double date;
		bool boolean;
		std::tm tm;
		struct {
			char *data;
			std::uint32_t length;
		} pstr;
		struct {
			Char *data;
			std::uint32_t length;
		} pwstr;
	};
	std::uint32_t elements;
	std::uint16_t type;
};

#ifdef _WIN32
static_assert(sizeof(std::tm) == 36 && sizeof(Variant) == 48);
static_assert(offsetof(Variant, elements) == 40 && offsetof(Variant, type) == 44);
#elif defined(__LP64__)
static_assert(sizeof(std::tm) == 56 && sizeof(Variant) == 64);
static_assert(offsetof(Variant, elements) == 56 && offsetof(Variant, type) == 60);
#endif
static_assert(offsetof(Variant, pwstr.data) == 0 && offsetof(Variant, pwstr.length) == sizeof(void *));
static_assert(sizeof(bool) == 1 && sizeof(Char) == 2);

// What 1C offers an add-in: it is given to Init. Strings are copied by 1C.
class Platform {
 public:
	ABI_DESTRUCTOR_SLOTS
	virtual bool ABI_METHOD AddError(std::uint16_t code, const Char *source, const Char *text, long result) = 0;
	virtual bool ABI_METHOD Read(Char *property, Variant *value, long *error, Char **error_text) = 0;
	virtual bool ABI_METHOD Write(Char *property, Variant *value) = 0;
	virtual bool ABI_METHOD RegisterProfileAs(Char *name) = 0;
	virtual bool ABI_METHOD SetEventBufferDepth(long depth) = 0;
	virtual long ABI_METHOD GetEventBufferDepth() = 0;
	virtual bool ABI_METHOD ExternalEvent(Char *source, Char *event, Char *data) = 0;
	virtual void ABI_METHOD CleanEventBuffer() = 0;
	virtual bool ABI_METHOD SetStatusLine(Char *text) = 0;
	virtual void ABI_METHOD ResetStatusLine() = 0;
	virtual void *ABI_METHOD GetInterface(int which) = 0;
};

// 1C's memory: what an add-in returns in it, 1C frees.
class MemoryManager {
 public:
	ABI_DESTRUCTOR_SLOTS
	virtual bool ABI_METHOD AllocMemory(void **memory, unsigned long bytes) = 0;
	virtual void ABI_METHOD FreeMemory(void **memory) = 0;
};

// The life of an object. The pointer that GetClassObject hands out is this one.
class Life {
 public:
	ABI_DESTRUCTOR_SLOTS
	virtual bool ABI_METHOD Init(void *platform) = 0;
	virtual bool ABI_METHOD setMemManager(void *memory) = 0;
	virtual long ABI_METHOD GetInfo() = 0;
	virtual void ABI_METHOD Done() = 0;
};

// Names, properties and methods of an object. The alias is 0 for English names
// and 1 for Russian ones.
class Language {
 public:
	ABI_DESTRUCTOR_SLOTS
	virtual bool ABI_METHOD RegisterExtensionAs(Char **name) = 0;
	virtual long ABI_METHOD GetNProps() = 0;
	virtual long ABI_METHOD FindProp(const Char *name) = 0;
	virtual const Char *ABI_METHOD GetPropName(long property, long alias) = 0;
	virtual bool ABI_METHOD GetPropVal(long property, Variant *value) = 0;
	virtual bool ABI_METHOD SetPropVal(long property, Variant *value) = 0;
	virtual bool ABI_METHOD IsPropReadable(long property) = 0;
	virtual bool ABI_METHOD IsPropWritable(long property) = 0;
	virtual long ABI_METHOD GetNMethods() = 0;
	virtual long ABI_METHOD FindMethod(const Char *name) = 0;
	virtual const Char *ABI_METHOD GetMethodName(long method, long alias) = 0;
	virtual long ABI_METHOD GetNParams(long method) = 0;
	virtual bool ABI_METHOD GetParamDefValue(long method, long parameter, Variant *value) = 0;
	virtual bool ABI_METHOD HasRetVal(long method) = 0;
	virtual bool ABI_METHOD CallAsProc(long method, Variant *parameters, long count) = 0;
	virtual bool ABI_METHOD CallAsFunc(long method, Variant *result, Variant *parameters, long count) = 0;
};

// The language of the user. Setting it must not change the process, which is 1C.
class Locale {
 public:
	ABI_DESTRUCTOR_SLOTS
	virtual void ABI_METHOD SetLocale(const Char *name) = 0;
};

// An object has the three tables one after the other.
class Object : public Life, public Language, public Locale {};
static_assert(sizeof(Object) == 3 * sizeof(void *));

// What GetAttachType answers: in the platform's process, in one of its own, or
// in either.
enum AttachType : int { attach_in_process = 1, attach_isolated = 2, attach_either = 3 };

}  // namespace abi
