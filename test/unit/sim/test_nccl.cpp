// Collectives between processes against a naive oracle: every rank knows what all ranks hold, and computes the result
// element by element.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <random>

#include "nccl_ranks.hpp"
#include "sim/nccl/numbers.hpp"

using nccl::Type;

namespace {

constexpr Type all_types[] = {Type::i8,  Type::u8,  Type::i32, Type::u32,  Type::i64,    Type::u64,
                              Type::f16, Type::f32, Type::f64, Type::bf16, Type::f8e4m3, Type::f8e5m2};

std::size_t size_of(Type type) { return nccl::element_bytes(static_cast<int>(type)); }

/// What rank `rank` holds: small whole numbers, which every type can add and multiply exactly for a few ranks.
double value_at(int rank, std::size_t i, Type type) {
  const auto mixed = static_cast<unsigned>((i * 7 + static_cast<std::size_t>(rank) * 13 + i / 5) % 3);
  const bool negative = type != Type::u8 && type != Type::u32 && type != Type::u64 && (i + static_cast<std::size_t>(rank)) % 2 == 1;
  return negative ? -static_cast<double>(mixed) : mixed;
}

std::vector<char> held(int rank, std::size_t count, Type type) {
  std::vector<char> bytes(count * size_of(type));
  for (std::size_t i = 0; i < count; ++i) nccl::from_number(type, value_at(rank, i, type), &bytes[i * size_of(type)]);
  return bytes;
}

double oracle(int reduction, int ranks, std::size_t i, Type type) {
  double result = value_at(0, i, type);
  for (int rank = 1; rank < ranks; ++rank) {
    const double next = value_at(rank, i, type);
    result = reduction == nccl::prod  ? result * next
             : reduction == nccl::max ? std::max(result, next)
             : reduction == nccl::min ? std::min(result, next)
                                      : result + next;
  }
  if (reduction != nccl::avg) return result;
  return type <= Type::u64 ? std::trunc(result / ranks) : result / ranks;
}

void check_elements(const Rank& rank, const std::vector<char>& found, std::size_t first, int reduction, Type type,
                    const std::string& what) {
  std::vector<char> wanted(size_of(type));
  for (std::size_t i = 0; i < found.size() / size_of(type); ++i) {
    nccl::from_number(type, oracle(reduction, rank.ranks, first + i, type), wanted.data());
    if (nccl::to_number(type, wanted.data()) == nccl::to_number(type, &found[i * size_of(type)])) continue;
    rank.check(false,
               what + ", reduction " + std::to_string(reduction) + ", type " + std::to_string(static_cast<int>(type)) +
                   ", element " + std::to_string(i));
  }
}

}  // namespace

TEST_CASE("small floating-point formats round to the nearest even") {
  for (const Type type : {Type::f16, Type::bf16, Type::f8e4m3, Type::f8e5m2}) {
    const std::size_t codes = size_of(type) == 1 ? 256 : 65536;
    double before = -INFINITY;
    for (std::size_t code = 0; code < codes / 2; ++code) {  // the positive ones, in order
      char bytes[2] = {static_cast<char>(code & 0xff), static_cast<char>(code >> 8)}, again[2] = {0, 0};
      const double value = nccl::to_number(type, bytes);
      if (!std::isfinite(value)) break;
      REQUIRE(value > before);
      nccl::from_number(type, value, again);
      REQUIRE(std::memcmp(bytes, again, size_of(type)) == 0);
      if (code > 0) {  // halfway between two neighbours: the even one
        nccl::from_number(type, (before + value) / 2, again);
        const auto rounded = static_cast<unsigned char>(again[0]);
        REQUIRE(rounded % 2 == 0);
      }
      before = value;
    }
  }
}

TEST_CASE("all-reduce gives every rank the reduction of all") {
  const int ranks = GENERATE(2, 3, 8);
  CHECK(run_ranks(ranks, [](Rank& rank) {
    for (const Type type : all_types) {
      const std::size_t count = 100;
      const DeviceBytes source(held(rank.rank, count, type)), target(source.bytes);
      for (const int reduction : {nccl::sum, nccl::prod, nccl::max, nccl::min, nccl::avg}) {
        rank.check(ncclAllReduce(source.memory, target.memory, count, static_cast<int>(type), reduction, rank.comm,
                                 rank.stream) == 0,
                   "ncclAllReduce");
        check_elements(rank, target.read(rank.stream), 0, reduction, type, "all-reduce");
      }
    }
    // In place, larger than every buffer on the way, and not a multiple of the ranks.
    const std::size_t count = 400'001;
    const DeviceBytes buffer(held(rank.rank, count, Type::f32));
    rank.check(ncclAllReduce(buffer.memory, buffer.memory, count, static_cast<int>(Type::f32), nccl::sum, rank.comm,
                             rank.stream) == 0,
               "ncclAllReduce");
    check_elements(rank, buffer.read(rank.stream), 0, nccl::sum, Type::f32, "all-reduce in place");
  }) == "");
}
