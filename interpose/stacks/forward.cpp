// See forward.hpp.
#include "interpose/stacks/forward.hpp"

#include <dlfcn.h>

#include <memory>

#include "interpose/core/hot.hpp"
#include "interpose/core/lock.hpp"
#include "interpose/core/memory.hpp"
#include "interpose/core/say.hpp"
#include "interpose/core/tag_table.hpp"
#include "interpose/stacks/python.hpp"

namespace vramtrack::stacks {
namespace {

// torch::autograd::Node, an internal layout: the vtable pointer, then how nodes are counted (the weak_ptr of
// enable_shared_from_this since 1.13, one word of intrusive_ptr_target since 2.15), then its members, of which we read
// two. Checked on the first nodes seen.
constexpr std::size_t shared_members = 24, counted_members = 16;
constexpr std::size_t node_sequence = 0, node_thread = 24;  // from there
constexpr std::uint64_t no_sequence = ~std::uint64_t{0};    // AccumulateGrad: built outside of any forward operation

/// torch's intrusive_ptr<Node>. The engine itself holds the node that it runs, so this is never the last reference, and
/// giving it back is a subtraction; the low half of the word is the count.
struct CountedNode {
  std::byte* node = nullptr;
  ~CountedNode() {
    if (node != nullptr) reinterpret_cast<std::atomic<std::uint64_t>*>(node + 8)->fetch_sub(1);
  }
};

using CurrentNode = std::shared_ptr<void> (*)();  // torch's Node by its own type: returned by hidden pointer
using CurrentCountedNode = CountedNode (*)();     // the same
using CurrentThread = std::uint64_t (*)();

enum class Search : std::uint32_t { again, busy, absent, ready, refused };
VRAMTRACK_HOT constinit std::atomic<Search> g_search{Search::again};
void* g_current_node = nullptr;
bool g_counted = false;  // it is a CurrentCountedNode
CurrentThread g_current_thread = nullptr;

// A slot holds the key, and the stack with 32 bits of the key's hash: a reader that meets two writers sees it.
struct Slot {
  std::atomic<std::uint64_t> key;    // sequence number << 16 | low bits of the forward thread's number
  std::atomic<std::uint64_t> stack;  // hash of the key << 32 | id
};
constexpr std::size_t ring_slots = std::size_t{1} << 17;
VRAMTRACK_HOT constinit std::atomic<Slot*> g_ring{nullptr};
std::atomic<std::uint64_t> g_highest{0};  // sequence number seen: what a node says cannot be above it
std::atomic<std::uint64_t> g_nodes_checked{0};

std::uint64_t key_of(std::uint64_t thread, std::uint64_t sequence) noexcept {
  return sequence << 16 | (thread & 0xffff);
}

Slot& slot_of(Slot* ring, std::uint64_t thread, std::uint64_t sequence) noexcept {
  return ring[(sequence + thread * 7919) % ring_slots];
}

[[gnu::noinline]] bool find_torch() noexcept {
  Search expected = Search::again;
  if (!g_search.compare_exchange_strong(expected, Search::busy)) return false;
  const SignalsWait signals_wait;
  // Loaded by an extension module, so not in the global scope.
  void* const torch = ::dlopen("libtorch_cpu.so", RTLD_NOW | RTLD_NOLOAD);
  if (torch != nullptr) {
    // What get_current_node returns is not part of its symbol; a function that takes such a pointer tells.
    constexpr const char* takes_shared =
        "_ZN5torch8autograd6Engine23execute_with_graph_taskERKSt10shared_ptrINS0_9GraphTaskEES2_INS0_4NodeEEONS0_"
        "11InputBufferE";
    constexpr const char* takes_counted =
        "_ZN5torch8autograd6Engine23execute_with_graph_taskERKSt10shared_ptrINS0_9GraphTaskEEN3c1013intrusive_ptrINS0_"
        "4NodeENS7_6detail34intrusive_target_default_null_typeIS9_EEEEONS0_11InputBufferE";
    g_counted = ::dlsym(torch, takes_counted) != nullptr;
    if (g_counted || ::dlsym(torch, takes_shared) != nullptr)
      g_current_node = ::dlsym(torch, "_ZN5torch8autograd16get_current_nodeEv");
    g_current_thread = reinterpret_cast<CurrentThread>(::dlsym(torch, "_ZN2at14RecordFunction15currentThreadIdEv"));
  }
  const bool found = g_current_node != nullptr && g_current_thread != nullptr;
  g_search.store(found ? Search::ready : Search::absent, std::memory_order_release);
  return found;
}

bool ready() noexcept {
  const Search search = g_search.load(std::memory_order_acquire);
  return search == Search::ready || (search == Search::again && find_torch());
}

/// False, and backward stacks are off for good, when a node's members are not where we think.
bool plausible(std::uint64_t thread, std::uint64_t sequence) noexcept {
  if (g_nodes_checked.load(std::memory_order_relaxed) > 1000) return true;
  g_nodes_checked.fetch_add(1, std::memory_order_relaxed);
  if (thread - 1 < 1u << 20 && (sequence == no_sequence || sequence <= g_highest.load(std::memory_order_relaxed)))
    return true;
  if (g_search.exchange(Search::refused) != Search::refused)
    say("autograd nodes of this PyTorch are not laid out as expected: backward allocations get no forward line");
  return false;
}

}  // namespace

Forward find_forward() noexcept {
  Slot* const ring = g_ring.load(std::memory_order_acquire);
  if (ring == nullptr || !ready()) return {};  // no node was ever built here
  std::uint64_t thread = 0, sequence = no_sequence;
  const auto read = [&](const void* node, std::size_t members) {
    if (node == nullptr) return false;
    sequence = read_at<std::uint64_t>(node, members + node_sequence);
    thread = read_at<std::uint64_t>(node, members + node_thread);
    return true;
  };
  const bool inside = g_counted ? read(reinterpret_cast<CurrentCountedNode>(g_current_node)().node, counted_members)
                                : read(reinterpret_cast<CurrentNode>(g_current_node)().get(), shared_members);
  if (!inside) return {.outside = true};
  if (!plausible(thread, sequence)) return {};
  if (sequence == no_sequence) return {.inside = true};
  const Slot& slot = slot_of(ring, thread, sequence);
  const std::uint64_t key = slot.key.load(std::memory_order_acquire);
  const std::uint64_t stack = slot.stack.load(std::memory_order_acquire);
  if (key != key_of(thread, sequence) || stack >> 32 != mix64(key) >> 32) return {.inside = true};
  return {.stack = static_cast<StackId>(stack), .inside = true};
}

void remember_node(ThreadState& state, std::uint64_t sequence, StackId stack) noexcept {
  Slot* ring = g_ring.load(std::memory_order_acquire);
  if (ring == nullptr) [[unlikely]] {
    auto* const fresh = static_cast<Slot*>(map_huge_pages(ring_slots * sizeof(Slot)));
    if (fresh == nullptr) return;
    if (g_ring.compare_exchange_strong(ring, fresh)) {
      ring = fresh;
    } else {
      unmap_pages(fresh, ring_slots * sizeof(Slot));
    }
  }
  if (state.autograd_thread == 0) [[unlikely]] {
    if (!ready()) return;
    state.autograd_thread = g_current_thread();
  }
  if (sequence > g_highest.load(std::memory_order_relaxed)) g_highest.store(sequence, std::memory_order_relaxed);
  Slot& slot = slot_of(ring, state.autograd_thread, sequence);
  const std::uint64_t key = key_of(state.autograd_thread, sequence);
  slot.key.store(key, std::memory_order_release);
  slot.stack.store(mix64(key) >> 32 << 32 | number_of(stack), std::memory_order_release);
}

void torch_may_have_come() noexcept {
  Search expected = Search::absent;
  g_search.compare_exchange_strong(expected, Search::again);
}

void forget_forward() noexcept {
  Slot* const ring = g_ring.load(std::memory_order_relaxed);
  if (ring != nullptr) {
    for (std::size_t i = 0; i < ring_slots; ++i) {
      if (ring[i].key.load(std::memory_order_relaxed) != 0) ring[i].key.store(0, std::memory_order_relaxed);
    }
  }
  Search expected = Search::busy;
  g_search.compare_exchange_strong(expected, Search::again);
}

}  // namespace vramtrack::stacks
