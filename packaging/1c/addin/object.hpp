// The object that 1C code works with: its names, properties and methods.
#pragma once

#include <memory>
#include <string>

#include "abi.hpp"
#include "connection.hpp"
#include "outlet.hpp"
#include "system.hpp"

namespace pns4ones {

// AddIn is one object of the type that 1C code makes with New. All its state is
// its own: objects do not know of each other. 1C may call it on any thread.
// Nothing is thrown across the border: a call that cannot be done returns false,
// null or -1.
class AddIn final : public abi::Object {
 public:
	AddIn();

	// close ends the connection: nothing comes to 1C after it. It may be called again.
	void close();

#ifdef _WIN32
	void *ABI_DESTRUCTOR destroy(unsigned flags) override;
#else
	void destroy_complete() override;
	void destroy_and_free() override;
#endif

	bool ABI_METHOD Init(void *platform) override;
	bool ABI_METHOD setMemManager(void *memory) override;
	long ABI_METHOD GetInfo() override;
	void ABI_METHOD Done() override;

	bool ABI_METHOD RegisterExtensionAs(abi::Char **name) override;
	long ABI_METHOD GetNProps() override;
	long ABI_METHOD FindProp(const abi::Char *name) override;
	const abi::Char *ABI_METHOD GetPropName(long property, long alias) override;
	bool ABI_METHOD GetPropVal(long property, abi::Variant *value) override;
	bool ABI_METHOD SetPropVal(long property, abi::Variant *value) override;
	bool ABI_METHOD IsPropReadable(long property) override;
	bool ABI_METHOD IsPropWritable(long property) override;
	long ABI_METHOD GetNMethods() override;
	long ABI_METHOD FindMethod(const abi::Char *name) override;
	const abi::Char *ABI_METHOD GetMethodName(long method, long alias) override;
	long ABI_METHOD GetNParams(long method) override;
	bool ABI_METHOD GetParamDefValue(long method, long parameter, abi::Variant *value) override;
	bool ABI_METHOD HasRetVal(long method) override;
	bool ABI_METHOD CallAsProc(long method, abi::Variant *parameters, long count) override;
	bool ABI_METHOD CallAsFunc(long method, abi::Variant *result, abi::Variant *parameters, long count) override;

	void ABI_METHOD SetLocale(const abi::Char *name) override;

 private:
	bool call(long method, abi::Variant *result, abi::Variant *parameters, long count);
	bool connect(const abi::Variant *parameters);
	bool refuse(const char *why);

	const std::shared_ptr<Outlet> outlet_;

	// Under the mutex, which is not held while a connection is stopped.
	sys::Mutex mutex_;
	abi::MemoryManager *memory_ = nullptr;
	std::shared_ptr<Connection> connection_;
	std::string connect_error_;
	bool state_events_ = false;
	std::string groups_, user_name_, infobase_name_;
};

}  // namespace pns4ones
