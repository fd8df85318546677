// NCCL within one process: communicators of one rank, whose collectives copy their input, and those of several devices
// of one process (ncclCommInitAll), whose collectives do nothing, like kernels. Ranks in several processes would have
// to exchange data: that is not simulated, and refused when the communicator is made.
#include <cuda_runtime_api.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>

#include "sim/core/unsupported.h"
#include "sim/math/library.hpp"

namespace {

enum Result { success = 0, unhandled_cuda_error = 1, invalid_argument = 4, invalid_usage = 5 };

struct Comm {
  int ranks = 1, rank = 0, device = 0;
};

struct UniqueId {
  char bytes[128];
};

int current_device() {
  int device = 0;
  const auto get = vramtrack::sim::runtime_function<cudaError_t(int*)>("cudaGetDevice");
  return get != nullptr && get(&device) == cudaSuccess ? device : 0;
}

int create(Comm** out, int ranks, int rank) {
  if (out == nullptr || ranks < 1 || rank < 0 || rank >= ranks) return invalid_argument;
  if (ranks > 1) return VRAMTRACK_SIM_UNSUPPORTED("nccl", invalid_usage, "communication between processes (use gloo)");
  *out = new Comm{ranks, rank, current_device()};
  return success;
}

std::size_t element_bytes(int type) {
  static constexpr std::size_t sizes[] = {1, 1, 4, 4, 8, 8, 2, 4, 8, 2, 1, 1};
  return type >= 0 && type < 12 ? sizes[type] : 0;
}

int copy_alone(const Comm* comm, const void* source, void* target, std::size_t count, int type, cudaStream_t stream) {
  const std::size_t size = element_bytes(type);
  if (comm == nullptr || size == 0) return invalid_argument;
  if (comm->ranks > 1 || source == target || source == nullptr || target == nullptr) return success;
  const auto copy =
      vramtrack::sim::runtime_function<cudaError_t(void*, const void*, std::size_t, cudaMemcpyKind, cudaStream_t)>(
          "cudaMemcpyAsync");
  if (copy == nullptr) return unhandled_cuda_error;
  return copy(target, source, count * size, cudaMemcpyDeviceToDevice, stream) == cudaSuccess ? success
                                                                                             : unhandled_cuda_error;
}

}  // namespace

extern "C" {

int ncclGetVersion(int* version) {
  if (version == nullptr) return invalid_argument;
  *version = 22809;
  return success;
}
int ncclGetUniqueId(UniqueId* out) {
  if (out == nullptr) return invalid_argument;
  std::random_device random;
  for (char& byte : out->bytes) byte = static_cast<char>(random());
  return success;
}
const char* ncclGetErrorString(int result) {
  switch (result) {
    case success:
      return "no error";
    case unhandled_cuda_error:
      return "unhandled cuda error";
    case invalid_argument:
      return "invalid argument";
    default:
      return "not simulated";
  }
}
const char* ncclGetLastError(Comm*) { return ""; }

int ncclCommInitRank(Comm** out, int ranks, UniqueId, int rank) { return create(out, ranks, rank); }
int ncclCommInitRankConfig(Comm** out, int ranks, UniqueId, int rank, void*) { return create(out, ranks, rank); }
int ncclCommInitRankScalable(Comm** out, int ranks, int rank, int, UniqueId*, void*) {
  return create(out, ranks, rank);
}
int ncclCommInitAll(Comm** out, int count, const int* devices) {
  if (out == nullptr || count < 1) return invalid_argument;
  for (int i = 0; i < count; ++i) out[i] = new Comm{count, i, devices != nullptr ? devices[i] : i};
  return success;
}
int ncclCommSplit(Comm* comm, int color, int, Comm** out, void*) {
  if (comm == nullptr || out == nullptr) return invalid_argument;
  *out = color < 0 ? nullptr : new Comm(*comm);
  return success;
}
int ncclCommFinalize(Comm* comm) { return comm == nullptr ? invalid_argument : success; }
int ncclCommDestroy(Comm* comm) {
  delete comm;
  return success;
}
int ncclCommAbort(Comm* comm) { return ncclCommDestroy(comm); }
int ncclCommGetAsyncError(Comm*, int* result) {
  if (result == nullptr) return invalid_argument;
  *result = success;
  return success;
}
int ncclCommCount(const Comm* comm, int* count) {
  if (comm == nullptr || count == nullptr) return invalid_argument;
  *count = comm->ranks;
  return success;
}
int ncclCommUserRank(const Comm* comm, int* rank) {
  if (comm == nullptr || rank == nullptr) return invalid_argument;
  *rank = comm->rank;
  return success;
}
int ncclCommCuDevice(const Comm* comm, int* device) {
  if (comm == nullptr || device == nullptr) return invalid_argument;
  *device = comm->device;
  return success;
}
int ncclCommRegister(Comm*, void*, std::size_t, void** handle) {
  if (handle != nullptr) *handle = nullptr;
  return success;
}
int ncclCommDeregister(Comm*, void*) { return success; }

int ncclGroupStart(void) { return success; }
int ncclGroupEnd(void) { return success; }
int ncclRedOpCreatePreMulSum(int* op, void*, int, int, Comm*) {
  if (op == nullptr) return invalid_argument;
  *op = 5;  // the first number that is no built-in operation
  return success;
}
int ncclRedOpDestroy(int, Comm*) { return success; }

int ncclAllReduce(const void* source, void* target, std::size_t count, int type, int, Comm* comm, cudaStream_t stream) {
  return copy_alone(comm, source, target, count, type, stream);
}
int ncclReduce(const void* source, void* target, std::size_t count, int type, int, int, Comm* comm,
               cudaStream_t stream) {
  return copy_alone(comm, source, target, count, type, stream);
}
int ncclReduceScatter(const void* source, void* target, std::size_t count, int type, int, Comm* comm,
                      cudaStream_t stream) {
  return copy_alone(comm, source, target, count, type, stream);
}
int ncclAllGather(const void* source, void* target, std::size_t count, int type, Comm* comm, cudaStream_t stream) {
  return copy_alone(comm, source, target, count, type, stream);
}
int ncclBroadcast(const void* source, void* target, std::size_t count, int type, int, Comm* comm, cudaStream_t stream) {
  return copy_alone(comm, source, target, count, type, stream);
}
int ncclBcast(void* buffer, std::size_t count, int type, int, Comm* comm, cudaStream_t stream) {
  return copy_alone(comm, buffer, buffer, count, type, stream);
}
int ncclAlltoAll(const void* source, void* target, std::size_t count, int type, Comm* comm, cudaStream_t stream) {
  return copy_alone(comm, source, target, count, type, stream);
}
int ncclSend(const void*, std::size_t, int, int, Comm* comm, cudaStream_t) {
  return comm == nullptr ? invalid_argument : success;
}
int ncclRecv(void*, std::size_t, int, int, Comm* comm, cudaStream_t) {
  return comm == nullptr ? invalid_argument : success;
}
}
