#include "report/symbolize/merge_stack.hpp"

#include <catch2/catch.hpp>
#include <random>
#include <string>

using namespace vramtrack;

namespace {

constexpr auto P = NativeRole::plain;
constexpr auto E = NativeRole::evaluator;
constexpr auto I = NativeRole::interpreter;
constexpr auto S = NativeRole::start;
constexpr auto T = NativeRole::tracer;

/// "n0 p0 p1 n3": native and Python frames with their index, innermost first.
std::string merged(const std::vector<std::uint8_t>& entry, const std::vector<NativeRole>& native) {
  std::string text;
  for (const MergedFrame& frame : merge_stack(entry, native)) {
    text += (text.empty() ? "" : " ") + std::string(frame.python ? "p" : "n") + std::to_string(frame.index);
  }
  return text;
}

}  // namespace

TEST_CASE("Python frames take the evaluator's place") {
  // hook <- torch <- torch <- eval(f <- g) <- helper <- start
  CHECK(merged({0, 1}, {P, P, I, E, I, I, S}) == "n0 n1 p0 p1");
  // Two evaluations with native code between them: autograd calling back into Python.
  CHECK(merged({1, 0, 1}, {P, E, I, P, E, I, I, S}) == "n0 p0 n3 p1 p2");
  // Before 3.11 each Python call is an evaluation of its own.
  CHECK(merged({1, 1, 1}, {P, E, I, E, I, E, I, S}) == "n0 p0 p1 p2");
}

TEST_CASE("one of the stacks alone") {
  CHECK(merged({0, 0, 1}, {}) == "p0 p1 p2");
  CHECK(merged({}, {P, P, S}) == "n0 n1 n2");
  CHECK(merged({}, {}) == "");
  // Python could not be read: the interpreter's frames are what there is.
  CHECK(merged({}, {P, E, I, S}) == "n0 n1 n2 n3");
}

TEST_CASE("the tracer's own frames are hidden") { CHECK(merged({1}, {T, P, T, E, S}) == "n1 p0"); }

TEST_CASE("an interpreter without symbols: each run of its frames stands for a piece of Python") {
  CHECK(merged({0, 1}, {P, I, I, I, S}) == "n0 p0 p1");
  CHECK(merged({1, 0, 1}, {P, I, I, P, I, I, S}) == "n0 p0 n3 p1 p2");
  CHECK(merged({1, 1, 1}, {P, I, I, P, I, I, S}) == "n0 p0 n3 p1 p2");
}

TEST_CASE("stacks that do not fit each other keep every Python frame") {
  CHECK(merged({1, 1}, {P, E}) == "n0 p0 p1");        // the native stack is cut
  CHECK(merged({1, 1}, {P, P}) == "n0 n1 p0 p1");     // no interpreter in sight
  CHECK(merged({1}, {P, E, P, E, S}) == "n0 p0 n2");  // an evaluator without a Python frame
  CHECK(merged({0, 0}, {P, E, S}) == "n0 p0 p1");     // no entry bit
}

TEST_CASE("whatever comes in, each Python frame comes out once, in order, and native ones in order") {
  std::mt19937 random(11);
  for (int round = 0; round < 20000; ++round) {
    std::vector<std::uint8_t> entry(random() % 8);
    for (auto& bit : entry) bit = random() % 2;
    std::vector<NativeRole> native(random() % 12);
    for (auto& role : native) role = static_cast<NativeRole>(random() % 5);
    std::uint32_t python = 0, next_native = 0;
    for (const MergedFrame& frame : merge_stack(entry, native)) {
      if (frame.python) {
        REQUIRE(frame.index == python++);
      } else {
        REQUIRE(frame.index >= next_native);
        next_native = frame.index + 1;
      }
    }
    REQUIRE(python == entry.size());
  }
}

TEST_CASE("roles by name and module") {
  const std::string python = "/usr/bin/python3.11", lib = "/usr/lib/libpython3.11.so.1.0";
  CHECK(native_role("_PyEval_EvalFrameDefault", lib) == E);
  CHECK(native_role("_PyEval_EvalFrameDefault.cold", python) == E);
  CHECK(native_role("_PyEval_EvalFrameDefaultX", "/opt/app") == I);
  CHECK(native_role("method_vectorcall", lib) == I);
  CHECK(native_role("", python) == I);
  CHECK(native_role("_PyEval_EvalFrameDefault", "/opt/embedding-app") == E);
  CHECK(native_role("PyObject_Call", "/opt/embedding-app") == I);
  CHECK(native_role("main", "/opt/embedding-app") == P);
  CHECK(native_role("__libc_start_call_main", "/lib/x86_64-linux-gnu/libc.so.6") == S);
  CHECK(native_role("qsort_r", "/lib/x86_64-linux-gnu/libc.so.6") == P);
  CHECK(native_role("vramtrack::record", "/opt/lib/libvramtrack.so") == T);
  CHECK(native_role("at::native::add", "/x/torch/lib/libtorch_cpu.so") == P);
  CHECK(native_role("pybind11::cpp_function::dispatcher", "/x/torch/lib/libtorch_python.so") == P);
}
