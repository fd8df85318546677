#include "sim/nccl/registry.hpp"

#include <map>
#include <mutex>

namespace vramtrack::sim::nccl {

namespace {

struct Registry {
  std::mutex lock;
  std::map<const Handle*, std::shared_ptr<Communicator>> live;
};
Registry& registry() {
  static Registry& all = *new Registry;
  return all;
}

thread_local std::string t_last_error;

}  // namespace

Handle* add_communicator(std::shared_ptr<Communicator> communicator) {
  auto* handle = new Handle;  // never freed: a stale handle must not name a newer communicator
  const std::lock_guard lock(registry().lock);
  registry().live[handle] = std::move(communicator);
  return handle;
}

std::shared_ptr<Communicator> find_communicator(const Handle* handle) {
  const std::lock_guard lock(registry().lock);
  const auto found = registry().live.find(handle);
  return found == registry().live.end() ? nullptr : found->second;
}

std::shared_ptr<Communicator> remove_communicator(const Handle* handle) {
  const std::lock_guard lock(registry().lock);
  const auto found = registry().live.find(handle);
  if (found == registry().live.end()) return nullptr;
  auto communicator = std::move(found->second);
  registry().live.erase(found);
  return communicator;
}

void set_last_error(const std::string& what) { t_last_error = what; }
const char* last_error() { return t_last_error.c_str(); }

}  // namespace vramtrack::sim::nccl
