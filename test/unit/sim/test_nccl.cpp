// Collectives between processes against a naive oracle: every rank knows what all ranks hold, and computes the result
// element by element.
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <limits>
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
  const bool negative =
      type != Type::u8 && type != Type::u32 && type != Type::u64 && (i + static_cast<std::size_t>(rank)) % 2 == 1;
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
    rank.check(false, what + ", reduction " + std::to_string(reduction) + ", type " +
                          std::to_string(static_cast<int>(type)) + ", element " + std::to_string(i));
  }
}

}  // namespace

TEST_CASE("small floating-point formats round to the nearest even") {
  for (const Type type : {Type::f16, Type::bf16, Type::f8e4m3, Type::f8e5m2}) {
    const std::size_t codes = size_of(type) == 1 ? 256 : 65536;
    double before = -std::numeric_limits<double>::infinity();
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
              rank.check(ncclAllReduce(source.memory, target.memory, count, static_cast<int>(type), reduction,
                                       rank.comm, rank.stream) == 0,
                         "ncclAllReduce");
              check_elements(rank, target.read(rank.stream), 0, reduction, type, "all-reduce");
            }
          }
          // In place, larger than every buffer on the way, and not a multiple of the ranks.
          const std::size_t count = 400'001;
          const DeviceBytes buffer(held(rank.rank, count, Type::f32));
          rank.check(ncclAllReduce(buffer.memory, buffer.memory, count, static_cast<int>(Type::f32), nccl::sum,
                                   rank.comm, rank.stream) == 0,
                     "ncclAllReduce");
          check_elements(rank, buffer.read(rank.stream), 0, nccl::sum, Type::f32, "all-reduce in place");
        }) == "");
}

TEST_CASE("the other collectives move every rank's bytes to their place") {
  const int ranks = GENERATE(2, 5);
  CHECK(
      run_ranks(ranks, [](Rank& rank) {
        const auto n = static_cast<std::size_t>(rank.ranks), me = static_cast<std::size_t>(rank.rank);
        const int type = static_cast<int>(Type::i32), last = rank.ranks - 1;
        for (const std::size_t count : {std::size_t{3}, std::size_t{60'000}}) {
          const std::size_t bytes = count * 4;
          const auto part = [&](const std::vector<char>& all, std::size_t index) {
            return std::vector<char>(all.begin() + static_cast<long>(index * bytes),
                                     all.begin() + static_cast<long>((index + 1) * bytes));
          };
          const auto mine = held(rank.rank, count, Type::i32), mine_for_all = held(rank.rank, count * n, Type::i32);
          const DeviceBytes source(mine), wide(mine_for_all), target(bytes), all(bytes * n);

          rank.check(ncclAllGather(source.memory, all.memory, count, type, rank.comm, rank.stream) == 0, "all-gather");
          auto found = all.read(rank.stream);
          for (std::size_t i = 0; i < n; ++i) {
            rank.check(part(found, i) == held(static_cast<int>(i), count, Type::i32), "all-gather");
          }

          rank.check(ncclReduceScatter(wide.memory, target.memory, count, type, nccl::sum, rank.comm, rank.stream) == 0,
                     "");
          check_elements(rank, target.read(rank.stream), me * count, nccl::sum, Type::i32, "reduce-scatter");

          rank.check(ncclAlltoAll(wide.memory, all.memory, count, type, rank.comm, rank.stream) == 0, "all-to-all");
          found = all.read(rank.stream);
          for (std::size_t i = 0; i < n; ++i) {
            rank.check(part(found, i) == part(held(static_cast<int>(i), count * n, Type::i32), me), "all-to-all");
          }

          rank.check(ncclBroadcast(source.memory, target.memory, count, type, last, rank.comm, rank.stream) == 0, "");
          rank.check(target.read(rank.stream) == held(last, count, Type::i32), "broadcast");

          rank.check(
              ncclReduce(source.memory, target.memory, count, type, nccl::max, last, rank.comm, rank.stream) == 0, "");
          found = target.read(rank.stream);
          if (rank.rank == last) check_elements(rank, found, 0, nccl::max, Type::i32, "reduce");

          rank.check(ncclGather(source.memory, all.memory, count, type, last, rank.comm, rank.stream) == 0, "gather");
          found = all.read(rank.stream);
          for (std::size_t i = 0; i < n && rank.rank == last; ++i) {
            rank.check(part(found, i) == held(static_cast<int>(i), count, Type::i32), "gather");
          }

          rank.check(ncclScatter(wide.memory, target.memory, count, type, 0, rank.comm, rank.stream) == 0, "scatter");
          rank.check(target.read(rank.stream) == part(held(0, count * n, Type::i32), me), "scatter");

          // A ring in one group: everybody sends first.
          const int next = (rank.rank + 1) % rank.ranks, before = (rank.rank + last) % rank.ranks;
          ncclGroupStart();
          ncclSend(source.memory, count, type, next, rank.comm, rank.stream);
          ncclRecv(target.memory, count, type, before, rank.comm, rank.stream);
          rank.check(ncclGroupEnd() == 0, "ring");
          rank.check(target.read(rank.stream) == held(before, count, Type::i32), "ring");
        }
        float factor = static_cast<float>(rank.rank + 1);
        int scaled = 0;
        rank.check(ncclRedOpCreatePreMulSum(&scaled, &factor, static_cast<int>(Type::f32), 1, rank.comm) == 0,
                   "factor");
        const std::vector<float> ones(10, 1);
        const DeviceBytes buffer(ones.size() * 4);
        cudaMemcpy(buffer.memory, ones.data(), buffer.bytes, cudaMemcpyHostToDevice);
        ncclAllReduce(buffer.memory, buffer.memory, ones.size(), static_cast<int>(Type::f32), scaled, rank.comm,
                      rank.stream);
        const auto found = buffer.read(rank.stream);
        float first = 0;
        std::memcpy(&first, found.data(), sizeof first);
        rank.check(first == 0.5F * static_cast<float>(rank.ranks * (rank.ranks + 1)), "premultiplied sum");
      }) == "");
}

TEST_CASE("collectives keep the order of streams, and communicators do not wait for each other") {
  CHECK(run_ranks(2, [](Rank& rank) {
          Comm other = nullptr;
          rank.check(ncclCommSplit(rank.comm, 0, -rank.rank, &other, nullptr) == 0, "split");
          int turned = -1;
          rank.check(ncclCommUserRank(other, &turned) == 0 && turned == 1 - rank.rank, "keys order the ranks");
          cudaStream_t second = nullptr;
          cudaEvent_t done = nullptr;
          cudaStreamCreateWithFlags(&second, cudaStreamNonBlocking);
          cudaEventCreateWithFlags(&done, cudaEventDisableTiming);
          const std::vector<char> ones(4000, 1);
          const DeviceBytes a(ones), b(ones), copy(ones.size());
          // The ranks begin the two in opposite order: each communicator goes on by itself.
          const auto first = [&] { ncclAllReduce(a.memory, a.memory, a.bytes, 1, nccl::sum, rank.comm, rank.stream); };
          const auto then = [&] { ncclAllReduce(b.memory, b.memory, b.bytes, 1, nccl::sum, other, second); };
          if (rank.rank == 0) {
            first();
            then();
          } else {
            usleep(50'000);
            then();
            first();
          }
          if (rank.rank == 0) rank.check(cudaStreamQuery(second) != cudaErrorInvalidValue, "query");
          cudaEventRecord(done, rank.stream);
          cudaStreamWaitEvent(second, done, 0);
          cudaMemcpyAsync(copy.memory, a.memory, a.bytes, cudaMemcpyDeviceToDevice, second);
          rank.check(copy.read(second) == std::vector<char>(ones.size(), 2), "the copy comes after both");
          rank.check(b.read(second) == std::vector<char>(ones.size(), 2), "the second one");
          rank.check(cudaEventQuery(done) == cudaSuccess, "the event has happened");
          ncclCommDestroy(other);
        }) == "");
}

TEST_CASE("an event is not ready while another rank has yet to come") {
  CHECK(run_ranks(2, [](Rank& rank) {
          const DeviceBytes buffer(std::vector<char>(100, 1));
          cudaEvent_t done = nullptr;
          cudaEventCreateWithFlags(&done, cudaEventDisableTiming);
          if (rank.rank == 0) {
            ncclAllReduce(buffer.memory, buffer.memory, 100, 1, nccl::sum, rank.comm, rank.stream);
            cudaEventRecord(done, rank.stream);
            rank.check(cudaEventQuery(done) == cudaErrorNotReady && cudaStreamQuery(rank.stream) == cudaErrorNotReady,
                       "ready");
            ncclSend(buffer.memory, 1, 1, 1, rank.comm, nullptr);  // behind it in the communicator
          } else {
            usleep(200'000);
            ncclAllReduce(buffer.memory, buffer.memory, 100, 1, nccl::sum, rank.comm, rank.stream);
            ncclRecv(buffer.memory, 1, 1, 0, rank.comm, nullptr);
          }
          rank.check(cudaDeviceSynchronize() == cudaSuccess, "synchronize");
          if (rank.rank == 0) rank.check(cudaEventQuery(done) == cudaSuccess, "not ready");
        }) == "");
}

TEST_CASE("a graph that was captured runs its collectives at each launch") {
  CHECK(run_ranks(2, [](Rank& rank) {
          const DeviceBytes buffer(std::vector<char>(100, 1));
          cudaGraph_t graph = nullptr;
          cudaGraphExec_t executable = nullptr;
          cudaStreamBeginCapture(rank.stream, cudaStreamCaptureModeThreadLocal);
          rank.check(ncclAllReduce(buffer.memory, buffer.memory, 100, 1, nccl::sum, rank.comm, rank.stream) == 0,
                     "capture");
          rank.check(cudaStreamEndCapture(rank.stream, &graph) == cudaSuccess, "end of capture");
          rank.check(cudaGraphInstantiate(&executable, graph, 0) == cudaSuccess, "instantiate");
          for (const char wanted : {'\2', '\4', '\10'}) {
            rank.check(cudaGraphLaunch(executable, rank.stream) == cudaSuccess, "launch");
            rank.check(buffer.read(rank.stream) == std::vector<char>(100, wanted), "the sum of a launch");
          }
        }) == "");
}

TEST_CASE("the devices of one process form a communicator") {
  CHECK(run_ranks(
            1,
            [](Rank& rank) {
              Comm comms[3];
              rank.check(ncclCommInitAll(comms, 3, nullptr) == 0, "ncclCommInitAll");
              std::vector<DeviceBytes*> buffers;
              for (int device = 0; device < 3; ++device) {
                cudaSetDevice(device);
                buffers.push_back(new DeviceBytes(std::vector<char>(1000, static_cast<char>(device + 1))));
              }
              ncclGroupStart();
              for (int device = 0; device < 3; ++device) {
                ncclAllReduce(buffers[static_cast<std::size_t>(device)]->memory,
                              buffers[static_cast<std::size_t>(device)]->memory, 1000, 1, nccl::sum, comms[device],
                              nullptr);
              }
              rank.check(ncclGroupEnd() == 0, "ncclGroupEnd");
              for (int device = 0; device < 3; ++device) {
                cudaSetDevice(device);
                rank.check(buffers[static_cast<std::size_t>(device)]->read(nullptr) == std::vector<char>(1000, 6),
                           "sum");
              }
              for (Comm comm : comms) rank.check(ncclCommDestroy(comm) == 0, "ncclCommDestroy");
            },
            false) == "");
}

TEST_CASE("ranks that leave, differ or share a device are errors, never a wait for ever") {
  SECTION("a rank dies") {
    CHECK(run_ranks(3, [](Rank& rank) {
            if (rank.rank == 1) raise(SIGKILL);
            const DeviceBytes buffer(std::vector<char>(100, 1));
            ncclAllReduce(buffer.memory, buffer.memory, 100, 1, nccl::sum, rank.comm, rank.stream);
            rank.check(cudaStreamSynchronize(rank.stream) == cudaErrorExternalDevice, "the stream is in error");
            int state = 0;
            rank.check(ncclCommGetAsyncError(rank.comm, &state) == 0 && state == nccl::remote_error,
                       "the communicator too");
            rank.check(ncclCommAbort(rank.comm) == 0, "abort");
            rank.check(cudaStreamSynchronize(rank.stream) == cudaSuccess, "after the abort the stream goes on");
            rank.comm = nullptr;
          }) == "");
  }
  SECTION("a rank that aborts frees its own waiters, and ends the others'") {
    CHECK(run_ranks(2, [](Rank& rank) {
            const DeviceBytes buffer(std::vector<char>(100, 1));
            if (rank.rank == 0) {
              ncclAllReduce(buffer.memory, buffer.memory, 100, 1, nccl::sum, rank.comm, rank.stream);
              rank.check(cudaStreamSynchronize(rank.stream) == cudaErrorExternalDevice, "the other has aborted");
            } else {
              ncclRecv(buffer.memory, 100, 1, 0, rank.comm, rank.stream);
              usleep(50'000);
              rank.check(ncclCommAbort(rank.comm) == 0, "abort");
              rank.check(cudaStreamSynchronize(rank.stream) == cudaSuccess, "its stream goes on");
              rank.comm = nullptr;
            }
          }) == "");
  }
  SECTION("different operations") {
    CHECK(run_ranks(2, [](Rank& rank) {
            const DeviceBytes buffer(std::vector<char>(100, 1));
            ncclAllReduce(buffer.memory, buffer.memory, rank.rank == 0 ? 100 : 99, 1, nccl::sum, rank.comm,
                          rank.stream);
            rank.check(cudaStreamSynchronize(rank.stream) == cudaErrorExternalDevice, "refused");
            rank.check(std::string(ncclGetLastError(rank.comm)) != "", "a reason is given");
          }) == "");
  }
  SECTION("one device twice") {
    CHECK(run_ranks(
              2,
              [](Rank& rank) {
                cudaSetDevice(0);
                Comm comm = nullptr;
                rank.check(ncclCommInitRank(&comm, rank.ranks, rank.id, rank.rank) == nccl::invalid_usage,
                           "duplicate device");
              },
              false) == "");
  }
  SECTION("a rank that never comes") {
    setenv("VRAMTRACK_SIM_NCCL_TIMEOUT", "1", 1);
    CHECK(run_ranks(
              1,
              [](Rank& rank) {
                Comm comm = nullptr;
                rank.check(ncclCommInitRank(&comm, 2, rank.id, 0) == nccl::system_error, "given up");
              },
              false) == "");
    unsetenv("VRAMTRACK_SIM_NCCL_TIMEOUT");
  }
}

TEST_CASE("a communicator goes on without the ranks that are excluded") {
  CHECK(run_ranks(3, [](Rank& rank) {
          if (rank.rank == 1) return;
          const int excluded = 1;
          Comm rest = nullptr;
          rank.check(ncclCommShrink(rank.comm, &excluded, 1, &rest, nullptr, 0) == 0, "shrink");
          const DeviceBytes buffer(std::vector<char>(100, 1));
          ncclAllReduce(buffer.memory, buffer.memory, 100, 1, nccl::sum, rest, rank.stream);
          rank.check(buffer.read(rank.stream) == std::vector<char>(100, 2), "the sum of two");
          ncclCommDestroy(rest);
        }) == "");
}

TEST_CASE("a communicator that may not block is made in the background") {
  CHECK(run_ranks(
            2,
            [](Rank& rank) {
              nccl::Config config{};
              config.size = sizeof config;
              config.blocking = 0;
              config.max_ctas = 4;
              Comm comm = nullptr;
              rank.check(ncclCommInitRankConfig(&comm, rank.ranks, rank.id, rank.rank, &config) == nccl::in_progress,
                         "init");
              int state = nccl::in_progress;
              while (state == nccl::in_progress) {
                usleep(1000);
                ncclCommGetAsyncError(comm, &state);
              }
              rank.check(state == 0, "ready");
              std::size_t before = 0, after = 0, total = 0;
              cudaMemGetInfo(&before, &total);
              const DeviceBytes buffer(std::vector<char>(100, 1));
              ncclAllReduce(buffer.memory, buffer.memory, 100, 1, nccl::sum, comm, rank.stream);
              rank.check(buffer.read(rank.stream) == std::vector<char>(100, 2), "sum");
              cudaMemGetInfo(&after, &total);
              rank.check(before - after == (2u << 20) + 4u * (12u << 20),
                         "four channels of 12 MiB, and the buffer's page");
              ncclCommDestroy(comm);
            },
            false) == "");
}

TEST_CASE("one rank of many: the others answer as if they held what it holds") {
  setenv("VRAMTRACK_SIM_WORLD", "128", 1);
  CHECK(run_ranks(
            1,
            [](Rank& rank) {
              Comm comm = nullptr;
              rank.check(ncclCommInitRank(&comm, 128, rank.id, 5) == 0, "no rank is waited for");
              const DeviceBytes source(held(5, 10, Type::i32)), target(std::size_t{40}), all(std::size_t{40 * 128});
              ncclAllReduce(source.memory, target.memory, 10, static_cast<int>(Type::i32), nccl::sum, comm,
                            rank.stream);
              ncclAllGather(source.memory, all.memory, 40, 1, comm, rank.stream);
              const auto sums = target.read(rank.stream), gathered = all.read(rank.stream);
              for (std::size_t i = 0; i < 10; ++i) {
                rank.check(nccl::to_number(Type::i32, &sums[i * 4]) == 128 * value_at(5, i, Type::i32), "sum");
                rank.check(std::memcmp(&gathered[40 * 127 + i * 4], &held(5, 10, Type::i32)[i * 4], 4) == 0, "gather");
              }
              // A list that is gathered by a broadcast of each rank, in one group: PyTorch 2.15 does that.
              ncclGroupStart();
              for (int root = 0; root < 128; ++root)
                ncclBroadcast(root == 5 ? source.memory : nullptr, all.memory + 40 * (127 - root), 10,
                              static_cast<int>(Type::i32), root, comm, rank.stream);
              ncclGroupEnd();
              const auto listed = all.read(rank.stream);
              for (std::size_t i = 0; i < 128; ++i)
                rank.check(std::memcmp(&listed[40 * i], held(5, 10, Type::i32).data(), 40) == 0, "list");
              const auto taken_for = [&](const std::vector<int>& peers) {
                std::size_t before = 0, after = 0, size = 0;
                cudaMemGetInfo(&before, &size);
                for (const int peer : peers) {
                  ncclSend(source.memory, 40, 1, peer, comm, rank.stream);
                  ncclRecv(target.memory, 40, 1, peer, comm, rank.stream);
                }
                cudaStreamSynchronize(rank.stream);
                cudaMemGetInfo(&after, &size);
                return (before - after) >> 20;
              };
              rank.check(taken_for({8, 64, 127}) == 2 * 64, "peers on other machines share a pool for each direction");
              rank.check(taken_for({7}) == 32 * 12, "a peer on this machine of eight has buffers of its own");
              rank.check(ncclCommDestroy(comm) == 0, "destroy");
            },
            false) == "");
  unsetenv("VRAMTRACK_SIM_WORLD");
}
