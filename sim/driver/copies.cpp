// cuMemcpy* and cuMemset*: done when the call returns; inside a capture they become nodes.
#include "sim/driver/capture.hpp"
#include "sim/driver/copy.hpp"

using namespace vramtrack::sim;

namespace {

enum class Side { device, host, any };

std::uint64_t address_of(const void* pointer) { return reinterpret_cast<std::uint64_t>(pointer); }

/// Does `work` now, or makes it a node of the stream's capture.
CUresult submit(CUstream handle, CUgraphNodeType type, Entry& entry, const std::function<void()>& work) {
  Stream* stream = nullptr;
  if (const CUresult status = resolve_stream(handle, entry.context(), stream); status != CUDA_SUCCESS) return status;
  if (capture_work(*stream, type, work)) return CUDA_SUCCESS;
  const WorkList before = pending_on(*stream);
  pass_time();
  entry.unlock();
  if (const CUresult status = await(before); status != CUDA_SUCCESS) return status;
  drain_host_functions();
  work();
  return CUDA_SUCCESS;
}

CUresult copy(std::uint64_t target, Side target_side, std::uint64_t source, Side source_side, size_t bytes,
              CUstream stream) {
  Entry entry(Needs::context);
  if (!entry) return entry.status();
  if (bytes == 0) return CUDA_SUCCESS;
  if (target == 0 || source == 0) return CUDA_ERROR_INVALID_VALUE;
  if (target_side == Side::device && !is_simulated(target, bytes)) return CUDA_ERROR_INVALID_VALUE;
  if (source_side == Side::device && !is_simulated(source, bytes)) return CUDA_ERROR_INVALID_VALUE;
  return submit(stream, CU_GRAPH_NODE_TYPE_MEMCPY, entry,
                [target, source, bytes] { copy_bytes(target, source, bytes); });
}

CUresult fill(CUdeviceptr target, std::uint64_t value, unsigned value_bytes, std::uint64_t count, CUstream stream) {
  Entry entry(Needs::context);
  if (!entry) return entry.status();
  if (count == 0) return CUDA_SUCCESS;
  if (target % value_bytes != 0 || !is_simulated(target, count * value_bytes)) return CUDA_ERROR_INVALID_VALUE;
  return submit(stream, CU_GRAPH_NODE_TYPE_MEMSET, entry, [=] { fill_bytes(target, value, value_bytes, count); });
}

CUresult fill_2d(CUdeviceptr target, size_t pitch, std::uint64_t value, unsigned value_bytes, size_t width,
                 size_t height, CUstream stream) {
  Entry entry(Needs::context);
  if (!entry) return entry.status();
  if (width == 0 || height == 0) return CUDA_SUCCESS;
  if (pitch < width * value_bytes || !is_simulated(target, pitch * (height - 1) + width * value_bytes)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  return submit(stream, CU_GRAPH_NODE_TYPE_MEMSET, entry, [=] {
    for (size_t row = 0; row < height; ++row) fill_bytes(target + row * pitch, value, value_bytes, width);
  });
}

/// One side of a pitched copy.
struct Box {
  std::uint64_t start = 0;
  size_t pitch = 0, plane = 0;  // bytes from row to row, from slice to slice
};

/// False for arrays: their texels have no address here, so nothing is copied, as kernels do nothing either.
bool box_of(CUmemorytype type, const void* host, CUdeviceptr device, size_t x, size_t y, size_t z, size_t pitch,
            size_t height, size_t width, Box& box) {
  if (type == CU_MEMORYTYPE_ARRAY) return false;
  box.pitch = pitch != 0 ? pitch : width;
  box.plane = box.pitch * (height != 0 ? height : 1);
  box.start = (type == CU_MEMORYTYPE_HOST ? address_of(host) : device) + x + y * box.pitch + z * box.plane;
  return true;
}

CUresult copy_box(const CUDA_MEMCPY3D* p, CUstream stream) {
  if (p == nullptr) return CUDA_ERROR_INVALID_VALUE;
  Entry entry(Needs::context);
  if (!entry) return entry.status();
  const size_t width = p->WidthInBytes, height = p->Height, depth = p->Depth;
  if (width == 0 || height == 0 || depth == 0) return CUDA_SUCCESS;
  Box source, target;
  const bool linear = box_of(p->srcMemoryType, p->srcHost, p->srcDevice, p->srcXInBytes, p->srcY, p->srcZ, p->srcPitch,
                             p->srcHeight, width, source) &&
                      box_of(p->dstMemoryType, p->dstHost, p->dstDevice, p->dstXInBytes, p->dstY, p->dstZ, p->dstPitch,
                             p->dstHeight, width, target);
  if (!linear) {
    return p->dstMemoryType == CU_MEMORYTYPE_HOST || p->dstMemoryType == CU_MEMORYTYPE_UNIFIED
               ? NOT_SIMULATED("reading the contents of an array")
               : CUDA_SUCCESS;
  }
  const std::uint64_t extent = 1;
  const std::uint64_t source_bytes = source.plane * (depth - extent) + source.pitch * (height - extent) + width;
  const std::uint64_t target_bytes = target.plane * (depth - extent) + target.pitch * (height - extent) + width;
  if (p->srcMemoryType == CU_MEMORYTYPE_DEVICE && !is_simulated(source.start, source_bytes)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (p->dstMemoryType == CU_MEMORYTYPE_DEVICE && !is_simulated(target.start, target_bytes)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  return submit(stream, CU_GRAPH_NODE_TYPE_MEMCPY, entry, [=] {
    for (size_t slice = 0; slice < depth; ++slice) {
      for (size_t row = 0; row < height; ++row) {
        copy_bytes(target.start + slice * target.plane + row * target.pitch,
                   source.start + slice * source.plane + row * source.pitch, width);
      }
    }
  });
}

CUresult copy_rectangle(const CUDA_MEMCPY2D* p, CUstream stream) {
  if (p == nullptr) return CUDA_ERROR_INVALID_VALUE;
  CUDA_MEMCPY3D box{};
  box.srcXInBytes = p->srcXInBytes;
  box.srcY = p->srcY;
  box.srcMemoryType = p->srcMemoryType;
  box.srcHost = p->srcHost;
  box.srcDevice = p->srcDevice;
  box.srcArray = p->srcArray;
  box.srcPitch = p->srcPitch;
  box.dstXInBytes = p->dstXInBytes;
  box.dstY = p->dstY;
  box.dstMemoryType = p->dstMemoryType;
  box.dstHost = p->dstHost;
  box.dstDevice = p->dstDevice;
  box.dstArray = p->dstArray;
  box.dstPitch = p->dstPitch;
  box.WidthInBytes = p->WidthInBytes;
  box.Height = p->Height;
  box.Depth = 1;
  return copy_box(&box, stream);
}

/// Copies between an array and linear memory: into an array nothing happens, out of it is refused.
CUresult into_array(CUstream) { return Entry(Needs::context).status(); }
CUresult out_of_array() { return NOT_SIMULATED("reading the contents of an array"); }

}  // namespace

extern "C" {

CUresult cuMemcpy(CUdeviceptr target, CUdeviceptr source, size_t bytes) {
  return copy(target, Side::any, source, Side::any, bytes, nullptr);
}
CUresult cuMemcpyAsync(CUdeviceptr target, CUdeviceptr source, size_t bytes, CUstream stream) {
  return copy(target, Side::any, source, Side::any, bytes, stream);
}
CUresult cuMemcpyHtoD_v2(CUdeviceptr target, const void* source, size_t bytes) {
  return copy(target, Side::device, address_of(source), Side::host, bytes, nullptr);
}
CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr target, const void* source, size_t bytes, CUstream stream) {
  return copy(target, Side::device, address_of(source), Side::host, bytes, stream);
}
CUresult cuMemcpyDtoH_v2(void* target, CUdeviceptr source, size_t bytes) {
  return copy(address_of(target), Side::host, source, Side::device, bytes, nullptr);
}
CUresult cuMemcpyDtoHAsync_v2(void* target, CUdeviceptr source, size_t bytes, CUstream stream) {
  return copy(address_of(target), Side::host, source, Side::device, bytes, stream);
}
CUresult cuMemcpyDtoD_v2(CUdeviceptr target, CUdeviceptr source, size_t bytes) {
  return copy(target, Side::device, source, Side::device, bytes, nullptr);
}
CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr target, CUdeviceptr source, size_t bytes, CUstream stream) {
  return copy(target, Side::device, source, Side::device, bytes, stream);
}
CUresult cuMemcpyPeer(CUdeviceptr target, CUcontext, CUdeviceptr source, CUcontext, size_t bytes) {
  return copy(target, Side::device, source, Side::device, bytes, nullptr);
}
CUresult cuMemcpyPeerAsync(CUdeviceptr target, CUcontext, CUdeviceptr source, CUcontext, size_t bytes,
                           CUstream stream) {
  return copy(target, Side::device, source, Side::device, bytes, stream);
}

CUresult cuMemcpy2D_v2(const CUDA_MEMCPY2D* p) { return copy_rectangle(p, nullptr); }
CUresult cuMemcpy2DUnaligned_v2(const CUDA_MEMCPY2D* p) { return copy_rectangle(p, nullptr); }
CUresult cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D* p, CUstream stream) { return copy_rectangle(p, stream); }
CUresult cuMemcpy3D_v2(const CUDA_MEMCPY3D* p) { return copy_box(p, nullptr); }
CUresult cuMemcpy3DAsync_v2(const CUDA_MEMCPY3D* p, CUstream stream) { return copy_box(p, stream); }

CUresult cuMemcpyHtoA_v2(CUarray, size_t, const void*, size_t) { return into_array(nullptr); }
CUresult cuMemcpyHtoAAsync_v2(CUarray, size_t, const void*, size_t, CUstream stream) { return into_array(stream); }
CUresult cuMemcpyDtoA_v2(CUarray, size_t, CUdeviceptr, size_t) { return into_array(nullptr); }
CUresult cuMemcpyAtoA_v2(CUarray, size_t, CUarray, size_t, size_t) { return into_array(nullptr); }
CUresult cuMemcpyAtoH_v2(void*, CUarray, size_t, size_t) { return out_of_array(); }
CUresult cuMemcpyAtoHAsync_v2(void*, CUarray, size_t, size_t, CUstream) { return out_of_array(); }
CUresult cuMemcpyAtoD_v2(CUdeviceptr, CUarray, size_t, size_t) { return out_of_array(); }

CUresult cuMemsetD8_v2(CUdeviceptr target, unsigned char value, size_t count) {
  return fill(target, value, 1, count, nullptr);
}
CUresult cuMemsetD16_v2(CUdeviceptr target, unsigned short value, size_t count) {
  return fill(target, value, 2, count, nullptr);
}
CUresult cuMemsetD32_v2(CUdeviceptr target, unsigned value, size_t count) {
  return fill(target, value, 4, count, nullptr);
}
CUresult cuMemsetD8Async(CUdeviceptr target, unsigned char value, size_t count, CUstream stream) {
  return fill(target, value, 1, count, stream);
}
CUresult cuMemsetD16Async(CUdeviceptr target, unsigned short value, size_t count, CUstream stream) {
  return fill(target, value, 2, count, stream);
}
CUresult cuMemsetD32Async(CUdeviceptr target, unsigned value, size_t count, CUstream stream) {
  return fill(target, value, 4, count, stream);
}
CUresult cuMemsetD2D8_v2(CUdeviceptr target, size_t pitch, unsigned char value, size_t width, size_t height) {
  return fill_2d(target, pitch, value, 1, width, height, nullptr);
}
CUresult cuMemsetD2D16_v2(CUdeviceptr target, size_t pitch, unsigned short value, size_t width, size_t height) {
  return fill_2d(target, pitch, value, 2, width, height, nullptr);
}
CUresult cuMemsetD2D32_v2(CUdeviceptr target, size_t pitch, unsigned value, size_t width, size_t height) {
  return fill_2d(target, pitch, value, 4, width, height, nullptr);
}
CUresult cuMemsetD2D8Async(CUdeviceptr target, size_t pitch, unsigned char value, size_t width, size_t height,
                           CUstream stream) {
  return fill_2d(target, pitch, value, 1, width, height, stream);
}
CUresult cuMemsetD2D16Async(CUdeviceptr target, size_t pitch, unsigned short value, size_t width, size_t height,
                            CUstream stream) {
  return fill_2d(target, pitch, value, 2, width, height, stream);
}
CUresult cuMemsetD2D32Async(CUdeviceptr target, size_t pitch, unsigned value, size_t width, size_t height,
                            CUstream stream) {
  return fill_2d(target, pitch, value, 4, width, height, stream);
}
}
