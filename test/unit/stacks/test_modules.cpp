// Libraries that come and go, also at the same address.
#include <dlfcn.h>

#include "interpose/core/memory.hpp"
#include "interpose/stacks/ip_table.hpp"
#include "interpose/stacks/modules.hpp"
#include "traced.hpp"

namespace vramtrack {
namespace {

struct Seen {
  StackId stack;
  std::uintptr_t function;
};

[[gnu::noinline]] Seen call_plugin(const char* path) {
  void* const library = ::dlopen(path, RTLD_NOW | RTLD_LOCAL);
  REQUIRE(library != nullptr);
  stacks::modules_changed();
  const auto call = reinterpret_cast<int (*)(void (*)(void*), void*)>(::dlsym(library, "plugin_call"));
  REQUIRE(call != nullptr);
  Seen seen{no_stack, reinterpret_cast<std::uintptr_t>(call)};
  call([](void* data) { *static_cast<StackId*>(data) = capture_here().stack; }, &seen.stack);
  REQUIRE(::dlclose(library) == 0);
  stacks::modules_changed();
  return seen;
}

}  // namespace

TEST_CASE("a library that takes another one's place is unwound by its own rules and told apart") {
  const CheckedTrace trace;
  int same_place = 0;
  for (int round = 0; round < 10; ++round) {
    const Seen one = call_plugin(PLUGIN_ONE);
    const Seen two = call_plugin(PLUGIN_TWO);
    CHECK(one.stack != two.stack);
    if (one.function == two.function) ++same_place;
  }
  CHECK(same_place > 0);  // else nothing was tested
  CHECK(trace.counts().stacks == 20);
  CHECK(trace.counts().mismatches == 0);
  const trace::TraceFile file = trace.read();
  // Each module that a stack runs through is there when the stack is written.
  for (const trace::Stack& stack : file.stacks) {
    bool has_plugin = false;
    for (std::uint32_t i = 0; i < stack.native_frames; ++i) {
      const std::uint64_t ip = file.words[stack.first_word + stack.python_frames + i];
      const trace::Module* found = nullptr;
      for (const trace::Module& module : file.modules) {
        if (ip >= module.start && ip < module.end && module.from <= stack.position && stack.position < module.until)
          found = &module;
      }
      REQUIRE(found != nullptr);
      has_plugin = has_plugin || found->path.find("vramtrack_plugin") != std::string::npos;
      if (found->path.find("vramtrack_plugin") != std::string::npos) CHECK(found->build_id.size() == 40);
    }
    CHECK(has_plugin);
  }
}

TEST_CASE("a library that comes back to its place is the same one") {
  const CheckedTrace trace;
  const Seen first = call_plugin(PLUGIN_ONE);
  std::size_t again = 0;
  for (int round = 0; round < 20; ++round) {
    const Seen seen = call_plugin(PLUGIN_ONE);
    if (seen.function == first.function) ++again;
  }
  CHECK(again > 0);
  CHECK(trace.read().stacks.size() <= 2);  // from two call sites, however often it came
}

TEST_CASE("an address in no object has no module and no rule") {
  stacks::refresh_ip_table();
  auto* const page = static_cast<std::byte*>(map_pages(4096));
  REQUIRE(page != nullptr);
  const stacks::IpInfo info = stacks::ip_info(reinterpret_cast<std::uintptr_t>(page) + 100);
  CHECK(info.module == stacks::no_module);
  CHECK_FALSE(info.rule.usable());
  unmap_pages(page, 4096);
}

}  // namespace vramtrack
