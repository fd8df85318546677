#include "interpose/cuda/array_bytes.hpp"

namespace vramtrack::hooks {

namespace {

constexpr std::uint64_t at_least_one(std::uint64_t value) noexcept { return value == 0 ? 1 : value; }

// cudaArray* and CUDA_ARRAY3D_* flags share their values.
static_assert(cudaArrayLayered == CUDA_ARRAY3D_LAYERED && cudaArraySparse == CUDA_ARRAY3D_SPARSE &&
              cudaArrayDeferredMapping == CUDA_ARRAY3D_DEFERRED_MAPPING && cudaArrayCubemap == CUDA_ARRAY3D_CUBEMAP);

unsigned bits_of(CUarray_format format) noexcept {
  switch (format) {
    case CU_AD_FORMAT_UNSIGNED_INT8:
    case CU_AD_FORMAT_SIGNED_INT8:
      return 8;
    case CU_AD_FORMAT_UNSIGNED_INT16:
    case CU_AD_FORMAT_SIGNED_INT16:
    case CU_AD_FORMAT_HALF:
      return 16;
    case CU_AD_FORMAT_UNSIGNED_INT32:
    case CU_AD_FORMAT_SIGNED_INT32:
    case CU_AD_FORMAT_FLOAT:
      return 32;
    case CU_AD_FORMAT_NV12:
      return 12;  // of the whole pixel, one channel stands for it
    case CU_AD_FORMAT_BC1_UNORM:
    case CU_AD_FORMAT_BC1_UNORM_SRGB:
    case CU_AD_FORMAT_BC4_UNORM:
    case CU_AD_FORMAT_BC4_SNORM:
      return 4;  // block compressed: bits a pixel
    default:
      break;
  }
  if (format >= CU_AD_FORMAT_BC1_UNORM && format <= CU_AD_FORMAT_BC7_UNORM_SRGB) return 8;
  if (format >= CU_AD_FORMAT_UNORM_INT8X1 && format <= CU_AD_FORMAT_SNORM_INT8X4) return 8;
  if (format >= CU_AD_FORMAT_UNORM_INT16X1 && format <= CU_AD_FORMAT_SNORM_INT16X4) return 16;
  return 32;
}

// As for the driver's formats: block-compressed and planar pixels are smaller than their channels say.
int bits_of(const cudaChannelFormatDesc& format) noexcept {
  switch (format.f) {
    case cudaChannelFormatKindNV12:
      return 12;
    case cudaChannelFormatKindUnsignedBlockCompressed1:
    case cudaChannelFormatKindUnsignedBlockCompressed1SRGB:
    case cudaChannelFormatKindUnsignedBlockCompressed4:
    case cudaChannelFormatKindSignedBlockCompressed4:
      return 4;
    default:
      if (format.f >= cudaChannelFormatKindUnsignedBlockCompressed1 &&
          format.f <= cudaChannelFormatKindUnsignedBlockCompressed7SRGB)
        return 8;
      return format.x + format.y + format.z + format.w;
  }
}

bool block_compressed(CUarray_format format) noexcept {
  return format >= CU_AD_FORMAT_BC1_UNORM && format <= CU_AD_FORMAT_BC7_UNORM_SRGB;
}

}  // namespace

std::uint64_t array_bytes(std::uint64_t bits, std::uint64_t width, std::uint64_t height, std::uint64_t depth,
                          unsigned flags, unsigned levels) noexcept {
  if (flags & (CUDA_ARRAY3D_SPARSE | CUDA_ARRAY3D_DEFERRED_MAPPING)) return 0;
  const bool layered = flags & (CUDA_ARRAY3D_LAYERED | CUDA_ARRAY3D_CUBEMAP);  // depth counts layers or faces
  std::uint64_t total = 0;
  for (unsigned level = 0; level < at_least_one(levels) && level < 64; ++level) {
    const std::uint64_t w = at_least_one(width >> level);
    const std::uint64_t h = at_least_one(height >> level);
    const std::uint64_t d = layered ? at_least_one(depth) : at_least_one(depth >> level);
    total += (w * h * d * bits + 7) / 8;
    if (w == 1 && h == 1 && (layered || d == 1)) break;  // more levels may be asked for, but there are none
  }
  return total;
}

std::uint64_t array_bytes(const cudaChannelFormatDesc* format, std::uint64_t width, std::uint64_t height,
                          std::uint64_t depth, unsigned flags, unsigned levels) noexcept {
  if (format == nullptr) return 0;
  const int bits = bits_of(*format);
  return array_bytes(static_cast<std::uint64_t>(bits < 0 ? 0 : bits), width, height, depth, flags, levels);
}

std::uint64_t array_bytes(CUarray_format format, unsigned channels, std::uint64_t width, std::uint64_t height,
                          std::uint64_t depth, unsigned flags, unsigned levels) noexcept {
  const unsigned per_pixel = block_compressed(format) || format == CU_AD_FORMAT_NV12 ? 1 : channels;
  return array_bytes(static_cast<std::uint64_t>(bits_of(format)) * per_pixel, width, height, depth, flags, levels);
}

}  // namespace vramtrack::hooks
