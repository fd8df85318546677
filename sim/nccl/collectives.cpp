// NCCL's functions that move data, and those that give it memory to move.
#include <cstring>
#include <map>
#include <mutex>

#include "sim/nccl/group.hpp"
#include "sim/nccl/registry.hpp"

using namespace vramtrack::sim;
using namespace vramtrack::sim::nccl;

namespace {

struct Call {
  Kind kind;
  const void* source;
  void* target;
  std::size_t count;
  int type;
  int reduction;
  int root;
  Handle* comm;
  void* stream;
};

int refuse(const char* why) {
  set_last_error(why);
  return invalid_argument;
}

int give(const Call& call) {
  const auto communicator = find_communicator(call.comm);
  if (communicator == nullptr) return refuse("not a communicator");
  if (element_bytes(call.type) == 0) return refuse("not a data type");
  if (call.root < 0 || call.root >= communicator->ranks()) return refuse("no such root or peer");
  Operation operation;
  operation.kind = call.kind;
  operation.source = reinterpret_cast<std::uint64_t>(call.source);
  operation.target = reinterpret_cast<std::uint64_t>(call.target);
  operation.count = call.count;
  operation.type = call.type;
  operation.reduction = call.reduction;
  operation.root = call.root;
  operation.stream = call.stream;
  if (call.reduction >= first_custom) {
    Communicator::Factor factor;
    if (!communicator->factor_of(call.reduction, factor) || factor.type != call.type) {
      return refuse("not a reduction of this communicator and type");
    }
    operation.reduction = first_custom;  // its number may differ from rank to rank
    operation.scalar = factor.scalar;
    operation.scalar_address = factor.address;
  } else if (call.reduction < 0) {
    return refuse("not a reduction");
  }
  if (call.count == 0) return success;
  const auto reaches = [&](std::uint64_t address, std::uint64_t bytes) {
    return bytes == 0 || stream_work().reaches(address, bytes) != 0;
  };
  if (!reaches(operation.source, source_bytes(operation, communicator->ranks(), communicator->rank())) ||
      !reaches(operation.target, target_bytes(operation, communicator->ranks(), communicator->rank()))) {
    return refuse("a buffer is not memory of the device, or too short");
  }
  return add_operation(communicator, operation);
}

struct Memory {
  std::mutex lock;
  std::map<const void*, DeviceBlock> blocks;
};
Memory& memory() {
  static Memory& all = *new Memory;
  return all;
}

/// Registrations and windows are only named: data goes the same way with and without them.
int name_registration(Handle* comm, void* buffer, std::size_t bytes, void** out) {
  if (find_communicator(comm) == nullptr || out == nullptr) return invalid_argument;
  if (stream_work().reaches(reinterpret_cast<std::uint64_t>(buffer), bytes) == 0) return invalid_argument;
  *out = buffer;
  return success;
}

}  // namespace

extern "C" {

int ncclAllReduce(const void* source, void* target, std::size_t count, int type, int reduction, Handle* comm,
                  void* stream) {
  return give({Kind::all_reduce, source, target, count, type, reduction, 0, comm, stream});
}
int ncclReduce(const void* source, void* target, std::size_t count, int type, int reduction, int root, Handle* comm,
               void* stream) {
  return give({Kind::reduce, source, target, count, type, reduction, root, comm, stream});
}
int ncclReduceScatter(const void* source, void* target, std::size_t count, int type, int reduction, Handle* comm,
                      void* stream) {
  return give({Kind::reduce_scatter, source, target, count, type, reduction, 0, comm, stream});
}
int ncclAllGather(const void* source, void* target, std::size_t count, int type, Handle* comm, void* stream) {
  return give({Kind::all_gather, source, target, count, type, 0, 0, comm, stream});
}
int ncclBroadcast(const void* source, void* target, std::size_t count, int type, int root, Handle* comm, void* stream) {
  return give({Kind::broadcast, source, target, count, type, 0, root, comm, stream});
}
int ncclBcast(void* buffer, std::size_t count, int type, int root, Handle* comm, void* stream) {
  return give({Kind::broadcast, buffer, buffer, count, type, 0, root, comm, stream});
}
int ncclAlltoAll(const void* source, void* target, std::size_t count, int type, Handle* comm, void* stream) {
  return give({Kind::all_to_all, source, target, count, type, 0, 0, comm, stream});
}
int ncclGather(const void* source, void* target, std::size_t count, int type, int root, Handle* comm, void* stream) {
  return give({Kind::gather, source, target, count, type, 0, root, comm, stream});
}
int ncclScatter(const void* source, void* target, std::size_t count, int type, int root, Handle* comm, void* stream) {
  return give({Kind::scatter, source, target, count, type, 0, root, comm, stream});
}
int ncclSend(const void* source, std::size_t count, int type, int peer, Handle* comm, void* stream) {
  return give({Kind::send, source, nullptr, count, type, 0, peer, comm, stream});
}
int ncclRecv(void* target, std::size_t count, int type, int peer, Handle* comm, void* stream) {
  return give({Kind::receive, nullptr, target, count, type, 0, peer, comm, stream});
}

int ncclRedOpCreatePreMulSum(int* out, void* scalar, int type, int residence, Handle* comm) {
  const auto communicator = find_communicator(comm);
  if (out == nullptr || scalar == nullptr || communicator == nullptr || element_bytes(type) == 0)
    return invalid_argument;
  Communicator::Factor factor;
  factor.type = type;
  constexpr int on_host = 1;
  if (residence == on_host) {
    std::memcpy(&factor.scalar, scalar, element_bytes(type));
  } else {
    factor.address = reinterpret_cast<std::uint64_t>(scalar);
    if (stream_work().reaches(factor.address, element_bytes(type)) == 0) return invalid_argument;
  }
  *out = communicator->add_factor(factor);
  return success;
}
int ncclRedOpDestroy(int reduction, Handle* comm) {
  const auto communicator = find_communicator(comm);
  Communicator::Factor factor;
  return communicator != nullptr && communicator->factor_of(reduction, factor) ? success : invalid_argument;
}

int ncclMemAlloc(void** out, std::size_t bytes) {
  if (out == nullptr || bytes == 0) return invalid_argument;
  int device = 0;
  const auto get = runtime_function<int(int*)>("cudaGetDevice");
  if (get == nullptr || get(&device) != 0) return unhandled_cuda_error;
  DeviceBlock block;
  if (!allocate(device, bytes, block)) return unhandled_cuda_error;
  *out = reinterpret_cast<void*>(block.address);
  const std::lock_guard lock(memory().lock);
  memory().blocks[*out] = block;
  return success;
}
int ncclMemFree(void* address) {
  if (address == nullptr) return success;
  DeviceBlock block;
  {
    const std::lock_guard lock(memory().lock);
    const auto found = memory().blocks.find(address);
    if (found == memory().blocks.end()) return invalid_argument;
    block = found->second;
    memory().blocks.erase(found);
  }
  free_block(block);
  return success;
}

int ncclCommRegister(Handle* comm, void* buffer, std::size_t bytes, void** handle) {
  return name_registration(comm, buffer, bytes, handle);
}
int ncclCommDeregister(Handle* comm, void*) { return find_communicator(comm) != nullptr ? success : invalid_argument; }
int ncclCommWindowRegister(Handle* comm, void* buffer, std::size_t bytes, void** window, int) {
  return name_registration(comm, buffer, bytes, window);
}
int ncclCommWindowDeregister(Handle* comm, void*) {
  return find_communicator(comm) != nullptr ? success : invalid_argument;
}
int ncclWinGetUserPtr(Handle* comm, void* window, void** out) {
  if (find_communicator(comm) == nullptr || out == nullptr) return invalid_argument;
  *out = window;
  return success;
}
}
