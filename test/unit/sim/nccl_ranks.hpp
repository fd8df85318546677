// Runs the ranks of a communicator as processes of their own, each on a device of its own, and reports what failed.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "sim/nccl/abi.hpp"

namespace nccl = vramtrack::sim::nccl;
using Comm = void*;

extern "C" {
int ncclGetUniqueId(nccl::UniqueId*);
int ncclCommInitRank(Comm*, int, nccl::UniqueId, int);
int ncclCommInitRankConfig(Comm*, int, nccl::UniqueId, int, const nccl::Config*);
int ncclCommInitAll(Comm*, int, const int*);
int ncclCommSplit(Comm, int, int, Comm*, const nccl::Config*);
int ncclCommShrink(Comm, const int*, int, Comm*, const nccl::Config*, int);
int ncclCommFinalize(Comm);
int ncclCommDestroy(Comm);
int ncclCommAbort(Comm);
int ncclCommCount(Comm, int*);
int ncclCommUserRank(Comm, int*);
int ncclCommGetAsyncError(Comm, int*);
const char* ncclGetLastError(Comm);
int ncclGroupStart(void);
int ncclGroupEnd(void);
int ncclAllReduce(const void*, void*, size_t, int, int, Comm, cudaStream_t);
int ncclReduce(const void*, void*, size_t, int, int, int, Comm, cudaStream_t);
int ncclReduceScatter(const void*, void*, size_t, int, int, Comm, cudaStream_t);
int ncclAllGather(const void*, void*, size_t, int, Comm, cudaStream_t);
int ncclBroadcast(const void*, void*, size_t, int, int, Comm, cudaStream_t);
int ncclAlltoAll(const void*, void*, size_t, int, Comm, cudaStream_t);
int ncclGather(const void*, void*, size_t, int, int, Comm, cudaStream_t);
int ncclScatter(const void*, void*, size_t, int, int, Comm, cudaStream_t);
int ncclSend(const void*, size_t, int, int, Comm, cudaStream_t);
int ncclRecv(void*, size_t, int, int, Comm, cudaStream_t);
int ncclRedOpCreatePreMulSum(int*, void*, int, int, Comm);
}

/// What one rank does; it calls `check(condition, text)` and may leave early.
struct Rank {
  int rank = 0, ranks = 1;
  nccl::UniqueId id{};
  Comm comm = nullptr;  // made already unless the test makes its own
  cudaStream_t stream = nullptr;

  void check(bool good, const std::string& what) const;  // ends the process when it does not hold
};

/// Forks `ranks` processes, waits for them, and returns what failed, one line per rank. A rank that hangs counts as
/// failed after some minutes. `join`: the communicator of all ranks is made first.
std::string run_ranks(int ranks, const std::function<void(Rank&)>& body, bool join = true);

/// Device memory with content.
struct DeviceBytes {
  explicit DeviceBytes(std::size_t size);
  explicit DeviceBytes(const std::vector<char>& content);
  ~DeviceBytes();
  DeviceBytes(const DeviceBytes&) = delete;
  DeviceBytes& operator=(const DeviceBytes&) = delete;
  std::vector<char> read(cudaStream_t stream) const;
  char* memory = nullptr;
  std::size_t bytes = 0;
};
