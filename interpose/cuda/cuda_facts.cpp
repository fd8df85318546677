#include "interpose/cuda/cuda_facts.hpp"

#include "interpose/cuda/cuda_headers.hpp"

#include "contract/notes.hpp"
#include "interpose/core/options.hpp"
#include "interpose/cuda/framework_pool.hpp"
#include "interpose/cuda/originals.hpp"
#include "interpose/trace/fact_writer.hpp"
#include "interpose/trace/writer.hpp"

namespace vramtrack::cuda_facts {

namespace {

using namespace hooks;

int runtime_version() noexcept {
  const unsigned loaded = loaded_runtimes();
  for (unsigned r = unknown_runtime; r-- > 0;) {
    int version = 0;
    auto* get =
        (loaded >> r & 1) == 0
            ? nullptr
            : reinterpret_cast<decltype(&::cudaRuntimeGetVersion)>(runtime_function(r, "cudaRuntimeGetVersion"));
    if (get != nullptr && get(&version) == cudaSuccess) return version;
  }
  return 0;
}

void optional(trace::FactWriter& fact, fact::Field<fact::Type::number> of, int value) noexcept {
  value <= 0 ? fact.null_field(of) : fact.field(of, static_cast<std::uint64_t>(value));
}

int device_count() noexcept {
  auto* get = VRAMTRACK_DRIVER(cuDeviceGetCount);
  int count = 0;
  if (get == nullptr || get(&count) != CUDA_SUCCESS) return 0;
  return count;
}

/// Makes the device's primary context current for a moment, if it exists already.
class PrimaryContext {
 public:
  explicit PrimaryContext(int device) noexcept : device_(device) {
    auto* state = VRAMTRACK_DRIVER(cuDevicePrimaryCtxGetState);
    auto* retain = VRAMTRACK_DRIVER(cuDevicePrimaryCtxRetain);
    auto* push = VRAMTRACK_DRIVER(cuCtxPushCurrent_v2);
    unsigned flags = 0;
    int active = 0;
    if (state == nullptr || retain == nullptr || push == nullptr) return;
    if (state(device, &flags, &active) != CUDA_SUCCESS || active == 0) return;
    CUcontext context = nullptr;
    retained_ = retain(&context, device) == CUDA_SUCCESS;
    pushed_ = retained_ && push(context) == CUDA_SUCCESS;
  }
  ~PrimaryContext() {
    CUcontext context = nullptr;
    if (pushed_)
      if (auto* pop = VRAMTRACK_DRIVER(cuCtxPopCurrent_v2)) pop(&context);
    if (!retained_) return;
    if (auto* release = VRAMTRACK_DRIVER(cuDevicePrimaryCtxRelease_v2))
      release(device_);
    else if (auto* old_release = VRAMTRACK_DRIVER(cuDevicePrimaryCtxRelease))
      old_release(device_);
  }
  PrimaryContext(const PrimaryContext&) = delete;
  PrimaryContext& operator=(const PrimaryContext&) = delete;
  bool current() const noexcept { return pushed_; }

 private:
  int device_;
  bool retained_ = false;
  bool pushed_ = false;
};

/// As nvidia-smi writes it, without its prefix.
const char* uuid_text(const CUuuid& uuid, char (&text)[37]) noexcept {
  constexpr char digits[] = "0123456789abcdef";
  char* out = text;
  for (int i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) *out++ = '-';
    const auto byte = static_cast<unsigned char>(uuid.bytes[i]);
    *out++ = digits[byte >> 4];
    *out++ = digits[byte & 15];
  }
  *out = 0;
  return text;
}

}  // namespace

void write_once() noexcept {
  if (trace::active() == nullptr) return;
  int driver = 0;
  if (auto* get = VRAMTRACK_DRIVER(cuDriverGetVersion)) get(&driver);
  auto* get_name = VRAMTRACK_DRIVER(cuDeviceGetName);
  auto* get_total = VRAMTRACK_DRIVER(cuDeviceTotalMem_v2);
  auto* get_uuid = VRAMTRACK_DRIVER(cuDeviceGetUuid_v2);
  trace::FactWriter fact;
  fact.begin_map();
  optional(fact, fact::cuda::runtime, runtime_version());
  optional(fact, fact::cuda::driver, driver);
  fact.field(fact::cuda::simulated, *g_host_options.sim != 0);
  fact.begin_list(fact::cuda::devices);
  const int count = device_count();
  for (int device = 0; device < count; ++device) {
    char name[64] = "";
    std::size_t total = 0;
    if (get_name != nullptr) get_name(name, sizeof name, device);
    if (get_total != nullptr) get_total(&total, device);
    fact.begin_map();
    fact.field(fact::device::index, static_cast<std::uint64_t>(device));
    fact.field(fact::device::name, name);
    fact.field(fact::device::total_bytes, total);
    if (CUuuid uuid; get_uuid != nullptr && get_uuid(&uuid, device) == CUDA_SUCCESS) {
      char text[37];
      fact.field(fact::device::uuid, uuid_text(uuid, text));
    }
    fact.end();
  }
  fact.write(trace::note_key::cuda);
}

void write_memory(std::uint32_t n) noexcept {
  auto* get = VRAMTRACK_DRIVER(cuMemGetInfo_v2);
  if (trace::active() == nullptr || get == nullptr) return;
  trace::FactWriter fact;
  fact.begin_list();
  bool any = false;
  const int count = device_count();
  for (int device = 0; device < count; ++device) {
    const PrimaryContext context(device);
    std::size_t free_bytes = 0, total = 0;
    if (!context.current() || get(&free_bytes, &total) != CUDA_SUCCESS) continue;
    fact.begin_map();
    fact.field(fact::memory_info::device, static_cast<std::uint64_t>(device));
    fact.field(fact::memory_info::free_bytes, free_bytes);
    fact.field(fact::memory_info::total_bytes, total);
    framework_pool.describe(device, fact);
    fact.end();
    any = true;
  }
  if (any) fact.write(trace::note_key::memory_info, n);
}

std::uint64_t graph_peak_bytes() noexcept {
  auto* get = VRAMTRACK_DRIVER(cuDeviceGetGraphMemAttribute);
  std::uint64_t sum = 0;
  for (int device = device_count(); get != nullptr && device-- > 0;) {
    cuuint64_t bytes = 0;
    if (get(device, CU_GRAPH_MEM_ATTR_USED_MEM_HIGH, &bytes) == CUDA_SUCCESS) sum += bytes;
  }
  return sum;
}

}  // namespace vramtrack::cuda_facts
