// Names of C++ functions as people say them.
#pragma once

#include <string>
#include <string_view>

namespace vramtrack {

/// "_ZN2at6native3addERKNS_6TensorES3_" -> "at::native::add": demangled, without parameters, return type, clone
/// suffixes and symbol versions. A name that is not mangled comes back as it is.
std::string function_name(std::string_view mangled);

/// The same for text that is demangled already.
std::string short_name(std::string_view demangled);

}  // namespace vramtrack
