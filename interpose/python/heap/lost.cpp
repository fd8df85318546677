// What no root leads to: the collector's arithmetic on that part alone. An object is garbage when every reference to it
// comes from other garbage; where a reference is left over, something that the walk cannot see (a C++ library, a value
// on an interpreter's stack) holds the object, and it is said to be that.
#include "interpose/python/heap/walk.hpp"

namespace vramtrack::agent::heap {

void Walk::walk_lost(Object* known) noexcept {
  mark_ = lost;
  const std::ptrdiff_t count = var_size(known);
  for (std::ptrdiff_t i = 0; i < count; ++i) ours(api_.list_get(known, i));
  for (std::ptrdiff_t i = 0; i < count && !stop_; ++i) {
    const Number n = find(api_.list_get(known, i));
    if (n == none || has(n, reached | lost | root)) continue;
    set(n, lost);
    queue_.push(n);
    walk_queue();
  }
  follow_classes();
  mark_ = reached;
}

/// References to a lost object that nothing explains. `cxx`: how many C++ references to each number were met.
std::int64_t Walk::unexplained(Number n, const PageVector<std::uint16_t>& cxx) noexcept {
  Object* const o = object(n);
  const std::uint32_t count = reference_count(o);
  if (count >= immortal_count) return 0;
  std::int64_t left = static_cast<std::int64_t>(count) - ours_[n] - seen_[n];
  const std::uint32_t bits = type_info(type_of(o)).bits;
  if ((bits & TypeInfo::tensor) != 0) {
    // The C++ object may own the Python one, and is owned by the others of C++: a view, a gradient's owner, a node.
    const Tensor* const facts = tensor(n);
    const std::int64_t holders = facts == nullptr ? -1 : facts->cxx_holders;
    if (holders >= 0 && holders > cxx[n]) return holders - cxx[n];
    if (holders < 0 && left > 0) return left;
    if (left == 1 && cxx[n] > 0) left = 0;
  } else if (part(n) != nullptr && left > 0 && cxx[n] > 0) {
    --left;  // a custom function's node: its C++ part owns it, and is owned by those that lead to it
  }
  return left;
}

void Walk::judge_lost() noexcept {
  PageVector<std::uint16_t> cxx;
  if (!cxx.resize(numbers_.size())) return;
  for (const Extra& extra : extras_) {
    switch (extra.kind) {
      case trace::GraphEdgeKind::grad_fn:
      case trace::GraphEdgeKind::next_function:
      case trace::GraphEdgeKind::saved:
      case trace::GraphEdgeKind::variable:
      case trace::GraphEdgeKind::grad:
      case trace::GraphEdgeKind::base:
        if (cxx[extra.to] != 0xffff) ++cxx[extra.to];
        break;
      default:
        break;
    }
  }
  queue_.clear();
  queue_at_ = 0;
  for (Number n = 0; n < numbers_.size(); ++n) {
    if (!has(n, lost) || has(n, reached) || is_storage(n) || unexplained(n, cxx) <= 0) continue;
    set(n, unseen | kept);
    queue_.push(n);
  }
  while (queue_at_ < queue_.size()) {
    const Number from = queue_[queue_at_++];
    const auto keep_alive = [&](Number to) {
      if (!has(to, lost) || has(to, kept)) return;
      set(to, kept);
      queue_.push(to);
    };
    for (const Number* to = begin_references(from); to != end_references(from); ++to) keep_alive(*to);
    for (const Extra* extra = begin_extras(from); extra != end_extras(from); ++extra) keep_alive(extra->to);
  }
  for (Number n = 0; n < numbers_.size(); ++n)
    if (has(n, lost) && !has(n, reached | kept)) set(n, garbage);
}

}  // namespace vramtrack::agent::heap
