#include "sim/nccl/operation.hpp"

#include <algorithm>
#include <cstring>

#include "sim/nccl/driver.hpp"

namespace vramtrack::sim::nccl {

namespace {

constexpr std::uint64_t small_reduction = slot_bytes;  // up to which every rank reduces everything

bool is_small(const Operation& operation) { return operation.bytes() <= small_reduction; }

Signature signature_of(const Operation& operation) {
  Signature signature;
  if (is_point_to_point(operation.kind)) {
    signature.kind = static_cast<std::uint32_t>(Kind::send);
    signature.count = operation.bytes();  // the two sides may count in different types
    return signature;
  }
  signature.kind = static_cast<std::uint32_t>(operation.kind);
  signature.type = operation.type;
  signature.reduction = operation.reduction;
  signature.root = operation.root;
  signature.count = operation.count;
  signature.sequence = operation.sequence;
  signature.scalar = operation.scalar;
  if (operation.scalar_address != 0) {
    std::memcpy(&signature.scalar, reinterpret_cast<void*>(operation.scalar_address), element_bytes(operation.type));
  }
  return signature;
}

void copy(std::uint64_t target, std::uint64_t source, std::uint64_t bytes) {
  if (target == source || bytes == 0) return;
  if (stream_work().holds_data(source, bytes) == 0) return stream_work().zero(target, bytes);
  stream_work().will_write(target, bytes);
  std::memmove(reinterpret_cast<void*>(target), reinterpret_cast<void*>(source), bytes);
}

/// The part of an all-reduce that `rank` reduces.
struct Slice {
  std::uint64_t start, bytes;
};
Slice slice_of(const Operation& operation, int ranks, int rank) {
  const std::uint64_t n = static_cast<std::uint64_t>(ranks), r = static_cast<std::uint64_t>(rank);
  const std::uint64_t each = operation.count / n, more = operation.count % n;
  const std::uint64_t first = each * r + std::min(r, more), length = each + (r < more ? 1 : 0);
  const std::uint64_t size = element_bytes(operation.type);
  return {first * size, length * size};
}

/// Adds transfers of one operation to a mover; nothing is moved for empty ones and between a rank and itself.
struct Planner {
  const Operation& operation;
  int ranks, rank;
  Mover& mover;
  Signature signature = signature_of(operation);

  void send(int peer, std::uint64_t address, std::uint64_t bytes) const {
    if (peer != rank && bytes != 0) mover.send({peer, false, address, bytes, 0, signature});
  }
  void receive(int peer, std::uint64_t address, std::uint64_t bytes) const {
    if (peer != rank && bytes != 0) mover.receive({peer, false, address, bytes, 0, signature});
  }
  void reduce(std::uint64_t own, std::uint64_t target, std::uint64_t bytes, bool after_sends = false) const {
    if (bytes != 0) mover.reduce({own, target, bytes, after_sends, 0, signature, {}});
  }
  template <typename Visit>
  void each_rank(Visit visit) const {
    for (int i = 0; i < ranks; ++i) visit((rank + i) % ranks);  // not all to the same rank at once
  }
};

void plan_all_reduce(const Planner& to, int phase) {
  const Operation& operation = to.operation;
  if (is_small(operation)) {
    to.each_rank([&](int peer) { to.send(peer, operation.source, operation.bytes()); });
    to.reduce(operation.source, operation.target, operation.bytes(), true);
    return;
  }
  const Slice own = slice_of(operation, to.ranks, to.rank);
  to.each_rank([&](int peer) {
    const Slice slice = slice_of(operation, to.ranks, peer);
    if (phase == 0) return to.send(peer, operation.source + slice.start, slice.bytes);
    to.send(peer, operation.target + own.start, own.bytes);
    to.receive(peer, operation.target + slice.start, slice.bytes);
  });
  if (phase == 0) to.reduce(operation.source + own.start, operation.target + own.start, own.bytes);
}

std::uint64_t times(std::uint64_t bytes, int rank) { return bytes * static_cast<std::uint64_t>(rank); }

}  // namespace

const char* name_of_kind(std::uint32_t kind) {
  static constexpr const char* names[] = {"AllReduce", "Broadcast", "Reduce",  "AllGather", "ReduceScatter",
                                          "AlltoAll",  "Gather",    "Scatter", "Send/Recv", "Send/Recv"};
  return kind < std::size(names) ? names[kind] : "an unknown operation";
}

std::uint64_t source_bytes(const Operation& operation, int ranks, int rank) {
  switch (operation.kind) {
    case Kind::reduce_scatter:
    case Kind::all_to_all:
      return times(operation.bytes(), ranks);
    case Kind::scatter:
      return rank == operation.root ? times(operation.bytes(), ranks) : 0;
    case Kind::broadcast:
      return rank == operation.root ? operation.bytes() : 0;
    case Kind::receive:
      return 0;
    default:
      return operation.bytes();
  }
}

std::uint64_t target_bytes(const Operation& operation, int ranks, int rank) {
  switch (operation.kind) {
    case Kind::all_gather:
    case Kind::all_to_all:
      return times(operation.bytes(), ranks);
    case Kind::gather:
      return rank == operation.root ? times(operation.bytes(), ranks) : 0;
    case Kind::reduce:
      return rank == operation.root ? operation.bytes() : 0;
    case Kind::send:
      return 0;
    default:
      return operation.bytes();
  }
}

int phases(const Operation& operation) { return operation.kind == Kind::all_reduce && !is_small(operation) ? 2 : 1; }

void plan(const Operation& operation, int phase, int ranks, int rank, Mover& mover) {
  const Planner to{operation, ranks, rank, mover};
  const std::uint64_t source = operation.source, target = operation.target, bytes = operation.bytes();
  const bool root = rank == operation.root;
  switch (operation.kind) {
    case Kind::all_reduce:
      return plan_all_reduce(to, phase);
    case Kind::reduce:
      return root ? to.reduce(source, target, bytes) : to.send(operation.root, source, bytes);
    case Kind::reduce_scatter:
      to.each_rank([&](int peer) { to.send(peer, source + times(bytes, peer), bytes); });
      return to.reduce(source + times(bytes, rank), target, bytes);
    case Kind::broadcast:
      if (!root) return to.receive(operation.root, target, bytes);
      to.each_rank([&](int peer) { to.send(peer, source, bytes); });
      return copy(target, source, bytes);
    case Kind::all_gather:
      to.each_rank([&](int peer) {
        to.send(peer, source, bytes);
        to.receive(peer, target + times(bytes, peer), bytes);
      });
      return copy(target + times(bytes, rank), source, bytes);
    case Kind::all_to_all:
      to.each_rank([&](int peer) {
        to.send(peer, source + times(bytes, peer), bytes);
        to.receive(peer, target + times(bytes, peer), bytes);
      });
      return copy(target + times(bytes, rank), source + times(bytes, rank), bytes);
    case Kind::gather:
      if (!root) return to.send(operation.root, source, bytes);
      to.each_rank([&](int peer) { to.receive(peer, target + times(bytes, peer), bytes); });
      return copy(target + times(bytes, rank), source, bytes);
    case Kind::scatter:
      if (!root) return to.receive(operation.root, target, bytes);
      to.each_rank([&](int peer) { to.send(peer, source + times(bytes, peer), bytes); });
      return copy(target, source + times(bytes, rank), bytes);
    case Kind::send:
    case Kind::receive:
      return plan_transfer(operation, mover);
  }
}

void plan_transfer(const Operation& operation, Mover& mover) {
  if (operation.bytes() == 0) return;
  const bool sends = operation.kind == Kind::send;
  const Transfer transfer{operation.root,    true, sends ? operation.source : operation.target,
                          operation.bytes(), 0,    signature_of(operation)};
  sends ? mover.send(transfer) : mover.receive(transfer);
}

void run_alone(const Operation& operation, const std::vector<Operation>& group, int ranks, int rank) {
  const std::uint64_t source = operation.source, target = operation.target, bytes = operation.bytes();
  if (bytes == 0) return;
  const auto reduce_own = [&](std::uint64_t from) {
    if (stream_work().holds_data(from, bytes) == 0) return stream_work().zero(target, bytes);
    stream_work().will_write(target, bytes);
    const Contribution own{reinterpret_cast<void*>(from), signature_of(operation).scalar};
    const std::vector<Contribution> all(static_cast<std::size_t>(ranks), own);
    reduce(static_cast<Type>(operation.type), operation.reduction, all, operation.count,
           reinterpret_cast<void*>(target));
  };
  switch (operation.kind) {
    case Kind::all_reduce:
      return reduce_own(source);
    case Kind::reduce:
      return rank == operation.root ? reduce_own(source) : void();
    case Kind::reduce_scatter:
      return reduce_own(source + times(bytes, rank));
    case Kind::broadcast:
      if (rank == operation.root) return copy(target, source, bytes);
      // Another root holds what this rank holds: what this one sends of that size in the same group (each rank's part
      // of a gathered list), or what is in the buffer already.
      for (const Operation& own : group)
        if (own.kind == Kind::broadcast && own.root == rank && own.bytes() == bytes)
          return copy(target, own.source, bytes);
      return;
    case Kind::scatter:
      return rank == operation.root ? copy(target, source + times(bytes, rank), bytes) : void();
    case Kind::gather:
      if (rank != operation.root) return;
      [[fallthrough]];
    case Kind::all_gather:
      for (int i = 0; i < ranks; ++i) copy(target + times(bytes, i), source, bytes);
      return;
    case Kind::all_to_all:  // every rank sends here what this one sends to itself
      for (int i = 0; i < ranks; ++i) copy(target + times(bytes, i), source + times(bytes, rank), bytes);
      return;
    case Kind::send:
    case Kind::receive:
      return;
  }
}

void run_transfers_alone(const std::vector<Operation>& operations, int rank) {
  std::vector<const Operation*> to_self;
  for (const Operation& one : operations) {
    if (one.kind == Kind::send && one.root == rank) to_self.push_back(&one);
  }
  auto next = to_self.begin();
  for (const Operation& one : operations) {
    if (one.kind != Kind::receive) continue;
    const Operation* from = nullptr;
    if (one.root == rank) {
      if (next != to_self.end()) from = *next++;
    } else {
      for (const Operation& sent : operations) {
        if (sent.kind == Kind::send && sent.bytes() == one.bytes() && (from == nullptr || sent.root == one.root)) {
          from = &sent;
        }
      }
    }
    if (from != nullptr) copy(one.target, from->source, std::min(one.bytes(), from->bytes()));
  }
}

}  // namespace vramtrack::sim::nccl
