// cublasLt: descriptors give back what was set, one algorithm fits everything, multiplying does nothing.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "sim/math/handles.hpp"

namespace {

enum Status { success = 0, not_initialized = 1, invalid_value = 7 };

/// Descriptors have fixed public sizes, since callers may hold them by value; an attribute is the word of its number.
struct Descriptor {
  std::uint64_t words[64] = {};
};
constexpr int layout_words = 8, matmul_words = 32;

enum { layout_rows = 2, layout_columns = 3, layout_leading = 4, layout_batches = 5 };
enum { matmul_scale = 1, matmul_epilogue = 7 };

int create(void** out) { return vramtrack::sim::create<Descriptor>(out, invalid_value); }
int destroy(void* descriptor) { return vramtrack::sim::destroy<Descriptor>(descriptor, success); }

int set(void* descriptor, int words, int attribute, const void* value, std::size_t bytes) {
  if (descriptor == nullptr || value == nullptr) return invalid_value;
  if (attribute >= 0 && attribute < words && bytes <= 8) {
    std::uint64_t& word = static_cast<std::uint64_t*>(descriptor)[attribute];
    word = 0;
    std::memcpy(&word, value, bytes);
  }
  return success;
}
int get(const void* descriptor, int words, int attribute, void* value, std::size_t bytes, std::size_t* written) {
  if (descriptor == nullptr || attribute < 0 || bytes > 8 || (value == nullptr && bytes != 0)) return invalid_value;
  const std::uint64_t word = attribute < words ? static_cast<const std::uint64_t*>(descriptor)[attribute] : 0;
  if (bytes != 0) std::memcpy(value, &word, bytes);
  if (written != nullptr) *written = bytes;
  return success;
}

int start_layout(void* layout, int type, std::uint64_t rows, std::uint64_t columns, std::int64_t leading) {
  if (layout == nullptr) return invalid_value;
  auto* const words = static_cast<std::uint64_t*>(layout);
  std::fill_n(words, layout_words, 0);
  words[0] = static_cast<std::uint32_t>(type);
  words[layout_rows] = rows;
  words[layout_columns] = columns;
  words[layout_leading] = static_cast<std::uint64_t>(leading);
  words[layout_batches] = 1;
  return success;
}
int start_matmul(void* descriptor, int compute, int scale) {
  if (descriptor == nullptr) return invalid_value;
  auto* const words = static_cast<std::uint64_t*>(descriptor);
  std::fill_n(words, matmul_words, 0);
  words[0] = static_cast<std::uint32_t>(compute);
  words[matmul_scale] = static_cast<std::uint32_t>(scale);
  words[matmul_epilogue] = 1;  // CUBLASLT_EPILOGUE_DEFAULT
  return success;
}

/// cublasLtMatmulHeuristicResult_t
struct HeuristicResult {
  std::uint64_t algorithm[8];
  std::size_t workspace_bytes;
  int state;
  float waves;
  int reserved[4];
};

}  // namespace

extern "C" {

int cublasLtCreate(void** out) { return create(out); }
int cublasLtDestroy(void* handle) { return destroy(handle); }
std::size_t cublasLtGetVersion(void) { return SIM_CUBLAS_VERSION; }
std::size_t cublasLtGetCudartVersion(void) { return SIM_CUBLAS_VERSION / 10000 * 1000; }

int cublasLtMatmulDescCreate(void** out, int compute, int scale) {
  return create(out) == success ? start_matmul(*out, compute, scale) : invalid_value;
}
int cublasLtMatmulDescInit_internal(void* descriptor, std::size_t bytes, int compute, int scale) {
  return bytes >= matmul_words * 8 ? start_matmul(descriptor, compute, scale) : success;
}
int cublasLtMatmulDescDestroy(void* descriptor) { return destroy(descriptor); }
int cublasLtMatmulDescSetAttribute(void* descriptor, int attribute, const void* value, std::size_t bytes) {
  return set(descriptor, matmul_words, attribute, value, bytes);
}
int cublasLtMatmulDescGetAttribute(const void* descriptor, int attribute, void* value, std::size_t bytes,
                                   std::size_t* written) {
  return get(descriptor, matmul_words, attribute, value, bytes, written);
}
int cublasLtMatrixLayoutCreate(void** out, int type, std::uint64_t rows, std::uint64_t columns, std::int64_t leading) {
  return create(out) == success ? start_layout(*out, type, rows, columns, leading) : invalid_value;
}
int cublasLtMatrixLayoutInit_internal(void* layout, std::size_t bytes, int type, std::uint64_t rows,
                                      std::uint64_t columns, std::int64_t leading) {
  return bytes >= layout_words * 8 ? start_layout(layout, type, rows, columns, leading) : success;
}
int cublasLtMatrixLayoutDestroy(void* descriptor) { return destroy(descriptor); }
int cublasLtMatrixLayoutSetAttribute(void* layout, int attribute, const void* value, std::size_t bytes) {
  return set(layout, layout_words, attribute, value, bytes);
}
int cublasLtMatrixLayoutGetAttribute(const void* layout, int attribute, void* value, std::size_t bytes,
                                     std::size_t* written) {
  return get(layout, layout_words, attribute, value, bytes, written);
}
int cublasLtMatmulPreferenceCreate(void** out) { return create(out); }
int cublasLtMatmulPreferenceInit_internal(void*, std::size_t) { return success; }
int cublasLtMatmulPreferenceDestroy(void* descriptor) { return destroy(descriptor); }
int cublasLtMatmulPreferenceSetAttribute(void*, int, const void*, std::size_t) { return success; }
int cublasLtMatrixTransformDescCreate(void** out, int) { return create(out); }
int cublasLtMatrixTransformDescDestroy(void* descriptor) { return destroy(descriptor); }
int cublasLtMatrixTransformDescSetAttribute(void*, int, const void*, std::size_t) { return success; }

int cublasLtMatmulAlgoGetHeuristic(void*, void*, void*, void*, void*, void*, void*, int requested,
                                   HeuristicResult* results, int* returned) {
  if (results == nullptr || returned == nullptr || requested < 1) return invalid_value;
  results[0] = HeuristicResult{};
  results[0].waves = 1.0F;
  *returned = 1;
  return success;
}
int cublasLtMatmulAlgoCheck(void*, void*, void*, void*, void*, void*, const void*, HeuristicResult* result) {
  if (result == nullptr) return invalid_value;
  *result = HeuristicResult{};
  return success;
}

const char* cublasLtGetStatusName(int status) {
  return status == success ? "CUBLAS_STATUS_SUCCESS" : "CUBLAS_STATUS_NOT_SUPPORTED";
}
const char* cublasLtGetStatusString(int status) { return cublasLtGetStatusName(status); }
}
