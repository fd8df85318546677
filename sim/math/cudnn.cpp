// cuDNN's handles, descriptors and graph interface: every graph has one engine, which needs no work space and computes
// nothing. PyTorch is told that its user has switched cuDNN off (torch/preload.cpp); other frameworks (JAX) compile
// nothing without it. Prototypes are our own: cuDNN's headers are not needed to build.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "sim/math/handles.hpp"

namespace {

enum Status { success = 0, not_initialized = 1001, bad_parameter = 2000, not_supported = 3000 };

struct Handle {
  cudaStream_t stream = nullptr;
};

/// A descriptor of the interface before graphs: what it was set to is not needed.
struct Setting {};

template <typename Object>
int create(void** out) {
  return vramtrack::sim::create<Object>(out, bad_parameter);
}
template <typename Object>
int destroy(void* object) {
  return vramtrack::sim::destroy<Object>(object, success);
}

// cudnnBackendAttributeName_t
enum Attribute {
  heuristic_results = 202,
  configured_engine = 300,
  configured_workspace = 303,
  configured_shared_memory = 304,
  plan_workspace = 402,
  plan_json = 405,
  graph_engine_count = 802,
  engine_index = 1301
};
// cudnnBackendAttributeType_t
enum {
  type_boolean = 2,
  type_int64 = 3,
  type_double = 5,
  type_pointer = 6,
  type_descriptor = 15,
  type_char = 24,
  type_fraction = 26,
  type_handle = 0
};

std::size_t bytes_of(int type) {
  switch (type) {
    case type_int64:
    case type_double:
    case type_pointer:
    case type_descriptor:
    case type_handle:
    case type_fraction:
      return 8;
    case type_boolean:
    case type_char:
      return 1;
    default:
      return 4;  // enumerations, int32, float
  }
}

/// cudnnBackendDescriptor_t: gives back what was set.
struct Descriptor {
  struct Value {
    int type = 0;
    std::int64_t count = 0;
    std::vector<char> content;
  };
  std::map<int, Value> attributes;

  void set(int name, int type, std::int64_t count, const void* elements) {
    Value value{type, count, std::vector<char>(static_cast<std::size_t>(count) * bytes_of(type))};
    if (!value.content.empty()) std::memcpy(value.content.data(), elements, value.content.size());
    attributes[name] = std::move(value);
  }
  void set(int name, std::int64_t number) { set(name, type_int64, 1, &number); }
};

template <typename Number>
int give_number(Number number, std::int64_t requested, std::int64_t* count, void* out) {
  if (count != nullptr) *count = 1;
  if (requested > 0 && out != nullptr) std::memcpy(out, &number, sizeof number);
  return success;
}

int give_text(const std::string& text, std::int64_t requested, std::int64_t* count, void* out) {
  const auto bytes = static_cast<std::int64_t>(text.size() + 1);
  if (count != nullptr) *count = bytes;
  if (requested > 0 && out != nullptr)
    std::memcpy(out, text.c_str(), static_cast<std::size_t>(std::min(requested, bytes)));
  return success;
}

/// The caller brings descriptors, of which the first becomes that of the one engine there is.
int give_engine(std::int64_t requested, std::int64_t* count, void* out) {
  if (count != nullptr) *count = 1;
  if (requested < 1 || out == nullptr) return success;
  void* theirs = nullptr;
  std::memcpy(&theirs, out, sizeof theirs);
  if (theirs == nullptr) return bad_parameter;
  static_cast<Descriptor*>(theirs)->set(engine_index, 0);
  return success;
}

int give_value(const Descriptor& descriptor, int name, std::int64_t requested, std::int64_t* count, void* out) {
  const auto found = descriptor.attributes.find(name);
  if (count != nullptr) *count = found == descriptor.attributes.end() ? 0 : found->second.count;
  if (found == descriptor.attributes.end() || requested < 1 || out == nullptr) return success;
  const Descriptor::Value& value = found->second;
  const auto elements = static_cast<std::size_t>(std::min(requested, value.count));
  std::memcpy(out, value.content.data(), elements * bytes_of(value.type));
  return success;
}

}  // namespace

extern "C" {

int cudnnCreate(void** handle) { return create<Handle>(handle); }
int cudnnDestroy(void* handle) { return vramtrack::sim::destroy<Handle>(handle, not_initialized); }
int cudnnSetStream(void* handle, cudaStream_t stream) {
  return vramtrack::sim::set(handle, &Handle::stream, stream, not_initialized);
}
int cudnnGetStream(void* handle, cudaStream_t* stream) {
  return vramtrack::sim::get(handle, &Handle::stream, stream, not_initialized, bad_parameter);
}

/// Later than any that a program was built for: frameworks refuse an older one.
std::size_t cudnnGetVersion(void) { return SIM_CUDNN_VERSION; }
std::size_t cudnnGetCudartVersion(void) { return SIM_CUDART_VERSION; }
std::size_t cudnnGetMaxDeviceVersion(void) { return 1210; }
int cudnnGetProperty(int type, int* value) {
  return vramtrack::sim::give_version_part(type, value, SIM_CUDNN_VERSION, 10000, bad_parameter);
}
const char* cudnnGetErrorString(int status) {
  switch (status) {
    case success:
      return "CUDNN_STATUS_SUCCESS";
    case not_initialized:
      return "CUDNN_STATUS_NOT_INITIALIZED";
    case bad_parameter:
      return "CUDNN_STATUS_BAD_PARAM";
    case not_supported:
      return "CUDNN_STATUS_NOT_SUPPORTED";
    default:
      return "CUDNN_STATUS_UNKNOWN";
  }
}
void cudnnGetLastErrorString(char* text, std::size_t bytes) {
  if (text != nullptr && bytes != 0) std::snprintf(text, bytes, "not simulated");
}

#define SETTING(name)                                                                    \
  int cudnnCreate##name##Descriptor(void** setting) { return create<Setting>(setting); } \
  int cudnnDestroy##name##Descriptor(void* setting) { return destroy<Setting>(setting); }
SETTING(Activation)
SETTING(Attn)
SETTING(CTCLoss)
SETTING(Convolution)
SETTING(Dropout)
SETTING(Filter)
SETTING(LRN)
SETTING(OpTensor)
SETTING(Pooling)
SETTING(RNN)
SETTING(RNNData)
SETTING(ReduceTensor)
SETTING(SeqData)
SETTING(SpatialTransformer)
SETTING(Tensor)
SETTING(TensorTransform)

int cudnnBackendCreateDescriptor(int, void** descriptor) { return create<Descriptor>(descriptor); }
int cudnnBackendDestroyDescriptor(void* descriptor) { return destroy<Descriptor>(descriptor); }
int cudnnBackendFinalize(void* descriptor) { return descriptor == nullptr ? bad_parameter : success; }
int cudnnBackendSetAttribute(void* descriptor, int name, int type, std::int64_t count, const void* elements) {
  if (descriptor == nullptr || count < 0 || (count > 0 && elements == nullptr)) return bad_parameter;
  static_cast<Descriptor*>(descriptor)->set(name, type, count, elements);
  return success;
}
int cudnnBackendGetAttribute(const void* descriptor, int name, int, std::int64_t requested, std::int64_t* count,
                             void* elements) {
  if (descriptor == nullptr) return bad_parameter;
  switch (name) {
    case heuristic_results:
    case configured_engine:
      return give_engine(requested, count, elements);
    case graph_engine_count:
      return give_number<std::int64_t>(1, requested, count, elements);
    case plan_workspace:
    case configured_workspace:
      return give_number<std::int64_t>(0, requested, count, elements);
    case configured_shared_memory:
      return give_number<std::int32_t>(0, requested, count, elements);
    case plan_json:
      return give_text("{}", requested, count, elements);
    default:
      return give_value(*static_cast<const Descriptor*>(descriptor), name, requested, count, elements);
  }
}
int cudnnBackendExecute(void* handle, void* plan, void* pack) {
  return handle == nullptr || plan == nullptr || pack == nullptr ? bad_parameter : success;
}
}
