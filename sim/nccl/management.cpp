// NCCL's functions that make, ask and end communicators.
#include <dlfcn.h>

#include <cstdlib>
#include <cstring>
#include <numeric>
#include <thread>

#include "contract/sim_settings.hpp"
#include "sim/nccl/group.hpp"
#include "sim/nccl/registry.hpp"

using namespace vramtrack::sim;
using namespace vramtrack::sim::nccl;

namespace {

int current_device() {
  int device = 0;
  const auto get = runtime_function<int(int*)>("cudaGetDevice");
  return get != nullptr && get(&device) == 0 ? device : 0;
}

int devices_of_a_machine() {
  const char* const text = std::getenv(size_variable);
  Settings settings;
  std::string why;
  if (text != nullptr) parse_settings(text, settings, why);
  return settings.devices;
}

template <typename Member>
bool knows(const Config* config, Member Config::*member) {
  if (config == nullptr) return false;
  const auto offset = reinterpret_cast<const char*>(&(config->*member)) - reinterpret_cast<const char*>(config);
  return config->size >= static_cast<std::size_t>(offset) + sizeof(Member);
}
bool blocks(const Config* config) { return !knows(config, &Config::blocking) || config->blocking != 0; }
int channels_of(const Config* config) {
  return knows(config, &Config::max_ctas) && config->max_ctas != undefined ? config->max_ctas : 0;
}

/// Joins, or stays alone; on the calling thread or, when it may not block, on one of its own.
int enter(const std::shared_ptr<Communicator>& communicator, Handle** out, const Config* config, Job job) {
  communicator->max_channels = channels_of(config);
  const auto finish = [communicator, out, then = std::move(job.finish)](int result) {
    if (then && result == success) result = then(result);
    if (result == success &&
        !communicator->buffers.open(communicator->device(), communicator->ranks(), communicator->max_channels)) {
      result = unhandled_cuda_error;
    }
    if (result != success) {
      set_last_error(communicator->last_error());
      communicator->buffers.close();
    }
    return result;
  };
  if (!blocks(config)) {
    *out = add_communicator(communicator);
    communicator->state.store(in_progress);
    std::thread([communicator, start = std::move(job.start), finish] {
      const auto set_device = runtime_function<int(int)>("cudaSetDevice");
      if (set_device != nullptr) set_device(communicator->device());
      communicator->state.store(finish(start()));
    }).detach();
    return in_progress;
  }
  return add_job({std::move(job.start), [communicator, out, finish](int result) {
                    result = finish(result);
                    *out = result == success ? add_communicator(communicator) : nullptr;
                    return result;
                  }});
}

int create(Handle** out, int ranks, const UniqueId& id, int rank, const Config* config, int device) {
  if (out == nullptr || ranks < 1 || rank < 0 || rank >= ranks) return invalid_argument;
  if (!stream_work().complete()) {
    set_last_error("the simulated NCCL works with the simulated driver only");
    return system_error;
  }
  auto communicator = std::make_shared<Communicator>(ranks, rank, device);
  if (ranks == 1 || one_of_many()) communicator->stay_alone(devices_of_a_machine());
  return enter(communicator, out, config,
               {[communicator, id] { return communicator->alone() ? success : communicator->join(id); }, {}});
}

/// The part of a communicator's ranks that goes on as a communicator of its own.
int split(Handle* parent_handle, std::vector<int> members, int color, int key, Handle** out, const Config* config) {
  const auto parent = find_communicator(parent_handle);
  if (parent == nullptr || out == nullptr) return invalid_argument;
  *out = nullptr;
  if (parent->alone() && parent->ranks() > 1) {
    set_last_error("a communicator of ranks that are not there (--sim-world) cannot be split");
    return invalid_usage;
  }
  if (parent->alone()) {
    return color == no_color ? success : create(out, 1, UniqueId{}, 0, config, parent->device());
  }
  // Sizes are known only when the ranks have met, so this always blocks, as NCCL's own function mostly does.
  struct Part {
    std::vector<int> group;
    UniqueId id{};
    std::shared_ptr<Communicator> communicator;
  };
  auto part = std::make_shared<Part>();
  const int max_channels = config != nullptr ? channels_of(config) : parent->max_channels;
  return add_job({[parent, part, members = std::move(members), color, key, max_channels] {
                    const int result = parent->exchange(members, color, key, part->group, part->id);
                    if (result != success || color == no_color) return result;
                    const auto at = std::find(part->group.begin(), part->group.end(), parent->rank());
                    const auto ranks = static_cast<int>(part->group.size());
                    part->communicator = std::make_shared<Communicator>(
                        ranks, static_cast<int>(at - part->group.begin()), parent->device());
                    part->communicator->max_channels = max_channels;
                    if (ranks > 1) return part->communicator->join(part->id);
                    Segment::close_own(part->id);
                    part->communicator->stay_alone(1);
                    return static_cast<int>(success);
                  },
                  [part, out](int result) {
                    auto& made = part->communicator;
                    if (result != success || made == nullptr) return result;
                    if (!made->buffers.open(made->device(), made->ranks(), made->max_channels)) {
                      made->buffers.close();
                      return static_cast<int>(unhandled_cuda_error);
                    }
                    *out = add_communicator(made);
                    return result;
                  }});
}

int end(Handle* handle, Presence presence) {
  if (handle == nullptr) return success;
  const auto communicator = remove_communicator(handle);
  if (communicator == nullptr) return invalid_argument;
  if (presence == Presence::left) communicator->finish();
  communicator->stop(presence);
  communicator->buffers.close();
  return success;
}

}  // namespace

extern "C" {

/// What the NCCL beside PyTorch says, so that a program finds the version that it was built for.
int ncclGetVersion(int* version) {
  if (version == nullptr) return invalid_argument;
  *version = 22809;
  void* const real = dlopen("libnccl.so.2", RTLD_NOW | RTLD_NOLOAD);
  const auto get = real == nullptr ? nullptr : reinterpret_cast<int (*)(int*)>(dlsym(real, "ncclGetVersion"));
  return get == nullptr || get == &ncclGetVersion ? static_cast<int>(success) : get(version);
}

int ncclGetUniqueId(UniqueId* out) {
  if (out == nullptr) return invalid_argument;
  if (one_of_many()) {
    *out = UniqueId{};
    return success;
  }
  return Segment::create(*out) ? success : system_error;
}

const char* ncclGetErrorString(int result) {
  static constexpr const char* texts[] = {"no error",
                                          "unhandled cuda error (run with NCCL_DEBUG=INFO for details)",
                                          "unhandled system error (run with NCCL_DEBUG=INFO for details)",
                                          "internal error",
                                          "invalid argument",
                                          "invalid usage",
                                          "remote process exited or there was a network error",
                                          "NCCL operation in progress"};
  return result >= 0 && result < static_cast<int>(std::size(texts)) ? texts[result] : "unknown result code";
}

const char* ncclGetLastError(Handle* handle) {
  static thread_local std::string text;
  const auto communicator = find_communicator(handle);
  text = communicator != nullptr ? communicator->last_error() : last_error();
  return text.c_str();
}

int ncclCommInitRankConfig(Handle** out, int ranks, UniqueId id, int rank, const Config* config) {
  return create(out, ranks, id, rank, config, current_device());
}
int ncclCommInitRank(Handle** out, int ranks, UniqueId id, int rank) {
  return ncclCommInitRankConfig(out, ranks, id, rank, nullptr);
}
int ncclCommInitRankScalable(Handle** out, int ranks, int rank, int ids, const UniqueId* all, const Config* config) {
  if (ids < 1 || all == nullptr) return invalid_argument;
  return ncclCommInitRankConfig(out, ranks, all[0], rank, config);
}
int ncclCommInitAll(Handle** out, int count, const int* devices) {
  if (out == nullptr || count < 1) return invalid_argument;
  UniqueId id;
  if (!Segment::create(id)) return system_error;
  group_start();
  int result = success;
  for (int i = 0; i < count && result == success; ++i) {
    result = create(&out[i], count, id, i, nullptr, devices != nullptr ? devices[i] : i);
  }
  const int ended = group_end(result != success);
  return result != success ? result : ended;
}

int ncclCommSplit(Handle* parent, int color, int key, Handle** out, const Config* config) {
  const auto communicator = find_communicator(parent);
  if (communicator == nullptr) return invalid_argument;
  std::vector<int> members(static_cast<std::size_t>(communicator->ranks()));
  std::iota(members.begin(), members.end(), 0);
  return split(parent, std::move(members), color, key, out, config);
}
int ncclCommShrink(Handle* parent, const int* excluded, int count, Handle** out, const Config* config, int flags) {
  const auto communicator = find_communicator(parent);
  if (communicator == nullptr || (excluded == nullptr && count > 0) || count < 0) return invalid_argument;
  std::vector<int> members;
  for (int rank = 0; rank < communicator->ranks(); ++rank) {
    if (std::find(excluded, excluded + count, rank) == excluded + count) members.push_back(rank);
  }
  if (std::find(members.begin(), members.end(), communicator->rank()) == members.end()) return invalid_argument;
  constexpr int abort_first = 1;
  if ((flags & abort_first) != 0) communicator->abandon();
  return split(parent, std::move(members), 0, communicator->rank(), out, config);
}

int ncclCommFinalize(Handle* handle) {
  const auto communicator = find_communicator(handle);
  return communicator == nullptr ? static_cast<int>(invalid_argument) : communicator->finish();
}
int ncclCommDestroy(Handle* handle) { return end(handle, Presence::left); }
int ncclCommAbort(Handle* handle) { return end(handle, Presence::aborted); }
int ncclCommRevoke(Handle* handle, int flags) {
  const auto communicator = find_communicator(handle);
  if (communicator == nullptr || flags != 0) return invalid_argument;
  communicator->abandon();
  return success;
}

int ncclCommGetAsyncError(Handle* handle, int* result) {
  const auto communicator = find_communicator(handle);
  if (communicator == nullptr || result == nullptr) return invalid_argument;
  *result = communicator->state.load();
  return success;
}
int ncclCommCount(const Handle* handle, int* count) {
  const auto communicator = find_communicator(handle);
  if (communicator == nullptr || count == nullptr) return invalid_argument;
  *count = communicator->ranks();
  return success;
}
int ncclCommUserRank(const Handle* handle, int* rank) {
  const auto communicator = find_communicator(handle);
  if (communicator == nullptr || rank == nullptr) return invalid_argument;
  *rank = communicator->rank();
  return success;
}
int ncclCommCuDevice(const Handle* handle, int* device) {
  const auto communicator = find_communicator(handle);
  if (communicator == nullptr || device == nullptr) return invalid_argument;
  *device = communicator->device();
  return success;
}

int ncclGroupStart(void) {
  group_start();
  return success;
}
int ncclGroupEnd(void) { return group_end(); }
int ncclGroupSimulateEnd(void* information) {
  const int result = group_end(true);
  constexpr std::size_t time_offset = 16;  // ncclSimInfo_t: size, magic, version, estimated time
  const float no_time = 0;
  if (information != nullptr) std::memcpy(static_cast<char*>(information) + time_offset, &no_time, sizeof no_time);
  return result;
}
void ncclResetDebugInit(void) {}
}
