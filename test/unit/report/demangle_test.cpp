#include "report/symbolize/demangle.hpp"

#include <catch2/catch.hpp>

using vramtrack::function_name;
using vramtrack::short_name;

TEST_CASE("function names without parameters, return types and clone suffixes") {
  CHECK(function_name("main") == "main");
  CHECK(function_name("_PyEval_EvalFrameDefault.cold") == "_PyEval_EvalFrameDefault");
  CHECK(function_name("memcpy@@GLIBC_2.14") == "memcpy");
  CHECK(function_name("_ZN2at6native3addERKNS_6TensorES3_") == "at::native::add");
  CHECK(function_name("_Znot_mangled") == "_Znot_mangled");
  CHECK(short_name("void at::native::gpu_kernel<int (*)(int)>(at::TensorIteratorBase&, int (* const&)(int))") ==
        "at::native::gpu_kernel<int (*)(int)>");
  CHECK(short_name("(anonymous namespace)::Local::run(int) const") == "(anonymous namespace)::Local::run");
  CHECK(short_name("f(int)::{lambda(int)#1}::operator()(int) const") == "f(int)::{lambda(int)#1}::operator()");
  CHECK(short_name("std::ostream::operator<<(int)") == "std::ostream::operator<<");
  CHECK(short_name("Pointer::operator->() const") == "Pointer::operator->");
  CHECK(short_name("Value::operator bool() const") == "Value::operator bool");
  CHECK(short_name("bool operator< <int>(A<int> const&, A<int> const&)") == "operator< <int>");
  CHECK(short_name("operator new(unsigned long)") == "operator new");
  CHECK(short_name("foo(int) [clone .cold]") == "foo");
  CHECK(short_name("std::map<int, int>::begin()") == "std::map<int, int>::begin");
  CHECK(short_name("") == "");
  CHECK(short_name("unbalanced)") == "unbalanced)");
  CHECK(short_name(std::string(5000, 'x')).size() < 500);
}
