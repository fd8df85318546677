// CUDA arrays and mipmapped arrays: memory without addresses. Their contents are not kept: kernels, which would read
// them, do nothing.
#include <algorithm>
#include <cstring>

#include "sim/driver/capture.hpp"
#include "sim/driver/state.hpp"

using namespace vramtrack::sim;

namespace {

constexpr std::uint64_t array_alignment = 64 << 10;

struct Array {
  CUDA_ARRAY3D_DESCRIPTOR description{};
  Context* context = nullptr;
  int device = 0;
  std::uint64_t bytes = 0;    // of the texels, all levels
  std::uint64_t charged = 0;  // padded
  std::uint64_t serial = 0;
  bool is_view = false;  // a level of a mipmapped array
  unsigned level_count = 0;
  std::vector<Array*> levels;  // mipmapped arrays: their views
};

struct State {
  Live<Array> arrays, mipmaps;
};
State& state() {
  static State& all = *new State;
  return all;
}

/// 0 for formats that are not simulated (block compressed and planar ones).
unsigned bytes_per_channel(CUarray_format format) {
  switch (format) {
    case CU_AD_FORMAT_UNSIGNED_INT8:
    case CU_AD_FORMAT_SIGNED_INT8:
      return 1;
    case CU_AD_FORMAT_UNSIGNED_INT16:
    case CU_AD_FORMAT_SIGNED_INT16:
    case CU_AD_FORMAT_HALF:
      return 2;
    case CU_AD_FORMAT_UNSIGNED_INT32:
    case CU_AD_FORMAT_SIGNED_INT32:
    case CU_AD_FORMAT_FLOAT:
      return 4;
    default:
      return 0;
  }
}

CUDA_ARRAY3D_DESCRIPTOR level_of(CUDA_ARRAY3D_DESCRIPTOR description, unsigned level) {
  const auto shrink = [level](size_t extent) { return extent == 0 ? 0 : std::max<size_t>(extent >> level, 1); };
  description.Width = shrink(description.Width);
  description.Height = shrink(description.Height);
  const bool layers = description.Flags & (CUDA_ARRAY3D_LAYERED | CUDA_ARRAY3D_CUBEMAP);
  if (!layers) description.Depth = shrink(description.Depth);
  return description;
}

std::uint64_t texel_bytes(const CUDA_ARRAY3D_DESCRIPTOR& d) {
  return std::uint64_t{d.Width} * std::max<size_t>(d.Height, 1) * std::max<size_t>(d.Depth, 1) * d.NumChannels *
         bytes_per_channel(d.Format);
}

/// An array whose memory comes later, or never: it holds none of its own.
bool owns_memory(const CUDA_ARRAY3D_DESCRIPTOR& d) {
  return (d.Flags & (CUDA_ARRAY3D_SPARSE | CUDA_ARRAY3D_DEFERRED_MAPPING)) == 0;
}

CUresult create(const CUDA_ARRAY3D_DESCRIPTOR* description, unsigned levels, Live<Array>& registry, Array*& out) {
  Entry entry(Needs::context);
  if (!entry) return entry.status();
  if (description == nullptr || description->Width == 0) return CUDA_ERROR_INVALID_VALUE;
  const unsigned channels = description->NumChannels;
  if (channels != 1 && channels != 2 && channels != 4) return CUDA_ERROR_INVALID_VALUE;
  if (bytes_per_channel(description->Format) == 0) return NOT_SIMULATED("an array of this format");
  if (const CUresult status = forbid_in_capture(); status != CUDA_SUCCESS) return status;
  Device& device = entry.device();
  std::uint64_t bytes = 0;
  const size_t longest = std::max({description->Width, description->Height, description->Depth});
  unsigned possible = 1;
  while ((longest >> possible) != 0) ++possible;
  const unsigned count = std::clamp(levels, 1u, possible);
  for (unsigned level = 0; level < count; ++level) bytes += texel_bytes(level_of(*description, level));
  auto* array = new Array;
  array->description = *description;
  array->context = &entry.context();
  array->device = device.index();
  array->level_count = count;
  if (owns_memory(*description)) {
    array->bytes = bytes;
    array->charged = round_up(bytes, array_alignment);
    if (!charge_or_reclaim(device, array->charged, &Device::charge_allocation)) {
      delete array;
      return CUDA_ERROR_OUT_OF_MEMORY;
    }
    device.count(Kind::array, array->bytes);
  }
  array->serial = entry->next_serial++;
  out = registry.add(array);
  return CUDA_SUCCESS;
}

void release_array(Live<Array>& registry, Array* array) {
  if (owns_memory(array->description) && !array->is_view) {
    Device& device = device_at(array->device);
    device.release_allocation(array->charged);
    device.uncount(Kind::array, array->bytes);
  }
  for (Array* view : array->levels) {
    if (view == nullptr) continue;
    state().arrays.remove(view);
    delete view;
  }
  registry.remove(array);
  delete array;
}

CUresult destroy(const void* handle, Live<Array>& registry) {
  Entry entry(Needs::context);
  if (!entry) return entry.status();
  auto* array = static_cast<Array*>(const_cast<void*>(handle));
  if (!registry.has(array)) return CUDA_ERROR_INVALID_HANDLE;
  if (array->is_view) return CUDA_ERROR_INVALID_HANDLE;  // levels go with their mipmapped array
  release_array(registry, array);
  return CUDA_SUCCESS;
}

CUresult requirements(CUDA_ARRAY_MEMORY_REQUIREMENTS* out, const void* handle, const Live<Array>& registry) {
  Entry entry(Needs::context);
  if (!entry) return entry.status();
  if (out == nullptr || !registry.has(handle)) return CUDA_ERROR_INVALID_VALUE;
  const auto& array = *static_cast<const Array*>(handle);
  if ((array.description.Flags & CUDA_ARRAY3D_DEFERRED_MAPPING) == 0) return CUDA_ERROR_INVALID_VALUE;
  std::uint64_t bytes = 0;
  for (unsigned level = 0; level < array.level_count; ++level) bytes += texel_bytes(level_of(array.description, level));
  *out = CUDA_ARRAY_MEMORY_REQUIREMENTS{};
  out->size = round_up(bytes, array_alignment);
  out->alignment = array_alignment;
  return CUDA_SUCCESS;
}

}  // namespace

namespace vramtrack::sim {

void release_arrays(const Context& context) {
  for (Array* array : state().mipmaps.all()) {
    if (array->context == &context) release_array(state().mipmaps, array);
  }
  for (Array* array : state().arrays.all()) {
    if (array->context == &context) release_array(state().arrays, array);
  }
}

void append_arrays(std::vector<vramtrack_sim_block>& blocks) {
  for (const Live<Array>* registry : {&state().arrays, &state().mipmaps}) {
    for (const Array* array : registry->all()) {
      if (array->is_view || !owns_memory(array->description)) continue;
      blocks.push_back(
          {reinterpret_cast<std::uint64_t>(array), array->bytes, array->serial, VRAMTRACK_SIM_ARRAY, array->device});
    }
  }
}

}  // namespace vramtrack::sim

extern "C" {

CUresult cuArray3DCreate_v2(CUarray* out, const CUDA_ARRAY3D_DESCRIPTOR* description) {
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  Array* array = nullptr;
  const CUresult status = create(description, 1, state().arrays, array);
  if (status == CUDA_SUCCESS) *out = reinterpret_cast<CUarray>(array);
  return status;
}
CUresult cuArrayCreate_v2(CUarray* out, const CUDA_ARRAY_DESCRIPTOR* description) {
  if (description == nullptr) return CUDA_ERROR_INVALID_VALUE;
  CUDA_ARRAY3D_DESCRIPTOR full{};
  full.Width = description->Width;
  full.Height = description->Height;
  full.Format = description->Format;
  full.NumChannels = description->NumChannels;
  return cuArray3DCreate_v2(out, &full);
}
CUresult cuArrayDestroy(CUarray array) { return destroy(array, state().arrays); }

CUresult cuArray3DGetDescriptor_v2(CUDA_ARRAY3D_DESCRIPTOR* out, CUarray array) {
  Entry entry(Needs::context);
  if (!entry) return entry.status();
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (!state().arrays.has(array)) return CUDA_ERROR_INVALID_HANDLE;
  *out = reinterpret_cast<Array*>(array)->description;
  return CUDA_SUCCESS;
}
CUresult cuArrayGetDescriptor_v2(CUDA_ARRAY_DESCRIPTOR* out, CUarray array) {
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  CUDA_ARRAY3D_DESCRIPTOR full;
  const CUresult status = cuArray3DGetDescriptor_v2(&full, array);
  if (status == CUDA_SUCCESS) *out = {full.Width, full.Height, full.Format, full.NumChannels};
  return status;
}
CUresult cuArrayGetMemoryRequirements(CUDA_ARRAY_MEMORY_REQUIREMENTS* out, CUarray array, CUdevice) {
  return requirements(out, array, state().arrays);
}

CUresult cuMipmappedArrayCreate(CUmipmappedArray* out, const CUDA_ARRAY3D_DESCRIPTOR* description, unsigned levels) {
  if (out == nullptr || levels == 0) return CUDA_ERROR_INVALID_VALUE;
  Array* array = nullptr;
  const CUresult status = create(description, levels, state().mipmaps, array);
  if (status == CUDA_SUCCESS) *out = reinterpret_cast<CUmipmappedArray>(array);
  return status;
}
CUresult cuMipmappedArrayDestroy(CUmipmappedArray array) { return destroy(array, state().mipmaps); }
CUresult cuMipmappedArrayGetLevel(CUarray* out, CUmipmappedArray handle, unsigned level) {
  Entry entry(Needs::context);
  if (!entry) return entry.status();
  auto* array = reinterpret_cast<Array*>(handle);
  if (out == nullptr || !state().mipmaps.has(array)) return CUDA_ERROR_INVALID_HANDLE;
  if (level >= array->level_count) return CUDA_ERROR_INVALID_VALUE;
  array->levels.resize(array->level_count);
  Array*& view = array->levels[level];
  if (view == nullptr) {
    view = new Array;
    view->description = level_of(array->description, level);
    view->context = array->context;
    view->device = array->device;
    view->is_view = true;
    state().arrays.add(view);
  }
  *out = reinterpret_cast<CUarray>(view);
  return CUDA_SUCCESS;
}
CUresult cuMipmappedArrayGetMemoryRequirements(CUDA_ARRAY_MEMORY_REQUIREMENTS* out, CUmipmappedArray array, CUdevice) {
  return requirements(out, array, state().mipmaps);
}

CUresult cuTexObjectCreate(CUtexObject* out, const CUDA_RESOURCE_DESC* resource, const CUDA_TEXTURE_DESC*,
                           const CUDA_RESOURCE_VIEW_DESC*) {
  Entry entry(Needs::context);
  if (!entry) return entry.status();
  if (out == nullptr || resource == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *out = entry->next_serial++;
  return CUDA_SUCCESS;
}
CUresult cuTexObjectDestroy(CUtexObject) { return Entry(Needs::context).status(); }
CUresult cuSurfObjectCreate(CUsurfObject* out, const CUDA_RESOURCE_DESC* resource) {
  return cuTexObjectCreate(out, resource, nullptr, nullptr);
}
CUresult cuSurfObjectDestroy(CUsurfObject) { return Entry(Needs::context).status(); }
}
