// See hostile.hpp. Built twice, as hostile_bp and hostile_sp.
#include "hostile.hpp"

#include <alloca.h>
#include <setjmp.h>
#include <ucontext.h>
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#endif

#include <cstdlib>
#include <cstring>

namespace vramtrack {
namespace {

struct World {
  Random random;
  int left;
  void (*shot)();
};

void nest(World& world, int depth);

[[gnu::noinline]] void plain(World& world, int depth) {
  volatile std::uint64_t local = world.random(1000);
  nest(world, depth);
  local = local + 1;
}

[[gnu::noinline]] void variable(World& world, int depth) {
  const std::size_t bytes = 16 + world.random(600);
  auto* const block = static_cast<volatile char*>(alloca(bytes));
  block[0] = 1;
  block[bytes - 1] = 2;
  nest(world, depth);
  block[0] = block[bytes - 1];
}

[[gnu::noinline]] void realigned(World& world, int depth) {
  alignas(64) volatile std::uint64_t locals[8];
  locals[0] = reinterpret_cast<std::uintptr_t>(&locals) % 64;
  if (locals[0] != 0) std::abort();
  nest(world, depth);
  locals[1] = locals[0];
}

[[gnu::noinline]] void realigned_variable(World& world, int depth) {
  alignas(128) volatile std::uint64_t locals[16];
  auto* const block = static_cast<volatile unsigned char*>(alloca(16 + world.random(100)));
  block[0] = 1;
  locals[0] = block[0];
  nest(world, depth);
  locals[1] = locals[0];
}

struct Thrown {
  int levels;
};

/// ThreadSanitizer has a state for each stack that a thread runs on (where it may be jumped to, say), and has to be
/// told.
struct SanitizerFiber {
#ifdef __SANITIZE_THREAD__
  void* state;
  static SanitizerFiber make() { return {__tsan_create_fiber(0)}; }
  static SanitizerFiber current() { return {__tsan_get_current_fiber()}; }
  [[gnu::no_sanitize_thread]] void enter() const {
    __tsan_switch_to_fiber(state, 0);
  }  // entered on one, left on the other
  void end() const { __tsan_destroy_fiber(state); }
#else
  static SanitizerFiber make() { return {}; }
  static SanitizerFiber current() { return {}; }
  void enter() const {}
  void end() const {}
#endif
};

[[gnu::noinline]] void catches(World& world, int depth) {
  try {
    nest(world, depth);
    if (world.random(3) == 0) throw Thrown{0};
  } catch (const Thrown& thrown) {
    world.shot();
    --world.left;
    if (thrown.levels > 0 && depth > 0) throw Thrown{thrown.levels - 1};
  }
}

[[gnu::noinline]] void throws(World& world, int depth) {
  nest(world, depth);
  if (world.random(4) == 0) throw Thrown{static_cast<int>(world.random(3))};
}

[[gnu::noinline]] void jumps(World& world, jmp_buf* target, int depth) {
  nest(world, depth);
  if (world.random(2) == 0) longjmp(*target, 1);
}

[[gnu::noinline]] void lands(World& world, int depth) {
  jmp_buf target;
  if (setjmp(target) == 0) {
    try {
      jumps(world, &target, depth);
    } catch (const Thrown&) {
    }
  } else {
    world.shot();
    --world.left;
  }
}

struct Fiber {
  World* world;
  int depth;
  ucontext_t inside, outside;
  SanitizerFiber own, others;
};

[[gnu::no_sanitize_thread]] void fiber_main(unsigned high, unsigned low) {
  auto* const fiber = reinterpret_cast<Fiber*>(std::uint64_t{high} << 32 | low);
  for (int i = 0; i < 2; ++i) {
    try {
      nest(*fiber->world, fiber->depth);
    } catch (const Thrown&) {
    }
    fiber->others.enter();
    if (i == 0) swapcontext(&fiber->inside, &fiber->outside);
  }
}

[[gnu::noinline]] void on_fiber(World& world, int depth) {
  constexpr std::size_t stack_bytes = 256 * 1024;
  Fiber fiber{&world, depth < 12 ? depth : 12, {}, {}, SanitizerFiber::make(), SanitizerFiber::current()};
  void* const stack = std::malloc(stack_bytes);
  getcontext(&fiber.inside);
  fiber.inside.uc_stack.ss_sp = stack;
  fiber.inside.uc_stack.ss_size = stack_bytes;
  fiber.inside.uc_link = &fiber.outside;
  const auto at = reinterpret_cast<std::uint64_t>(&fiber);
  makecontext(&fiber.inside, reinterpret_cast<void (*)()>(fiber_main), 2, static_cast<unsigned>(at >> 32),
              static_cast<unsigned>(at));
  fiber.own.enter();
  swapcontext(&fiber.outside, &fiber.inside);
  world.shot();
  --world.left;
  fiber.own.enter();
  swapcontext(&fiber.outside, &fiber.inside);
  fiber.own.end();
  std::free(stack);
}

[[gnu::noinline]] void nest(World& world, int depth) {
  if (world.left <= 0) return;
  if (depth <= 0 || world.random(8) == 0) {
    world.shot();
    --world.left;
    if (depth <= 0) return;
  }
  switch (world.random(20)) {
    case 0:
    case 1:
    case 2:
      return variable(world, depth - 1);
    case 3:
    case 4:
      return realigned(world, depth - 1);
    case 5:
      return realigned_variable(world, depth - 1);
    case 6:
    case 7:
      return catches(world, depth - 1);
    case 8:
      return throws(world, depth - 1);
    case 9:
      return lands(world, depth - 1);
    case 10:
      if (world.random(10) == 0) return on_fiber(world, depth - 1);
      [[fallthrough]];
    default:
      return plain(world, depth - 1);
  }
}

}  // namespace

void HOSTILE(std::uint64_t seed, int events, void (*shot)()) {
  World world{{seed}, events, shot};
  while (world.left > 0) {
    try {
      nest(world, static_cast<int>(5 + world.random(40)));
    } catch (const Thrown&) {
    }
  }
}

}  // namespace vramtrack
