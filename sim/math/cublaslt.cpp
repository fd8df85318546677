// cublasLt: descriptors hold nothing, one algorithm fits everything, multiplying does nothing. The structures that
// callers hold by value (opaque blocks of 64 bytes and less) are left as the caller made them.
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "sim/math/library.hpp"

namespace {

enum Status { success = 0, not_initialized = 1, invalid_value = 7 };

/// Descriptors have fixed public sizes; 64 words are enough for each.
struct Descriptor {
  std::uint64_t words[64] = {};
};

int create(void** out) {
  if (out == nullptr) return invalid_value;
  *out = new Descriptor;
  return success;
}
int destroy(void* descriptor) {
  delete static_cast<Descriptor*>(descriptor);
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

int cublasLtMatmulDescCreate(void** out, int, int) { return create(out); }
int cublasLtMatmulDescInit_internal(void*, std::size_t, int, int) { return success; }
int cublasLtMatmulDescDestroy(void* descriptor) { return destroy(descriptor); }
int cublasLtMatmulDescSetAttribute(void*, int, const void*, std::size_t) { return success; }
int cublasLtMatrixLayoutCreate(void** out, int, std::uint64_t, std::uint64_t, std::int64_t) { return create(out); }
int cublasLtMatrixLayoutInit_internal(void*, std::size_t, int, std::uint64_t, std::uint64_t, std::int64_t) {
  return success;
}
int cublasLtMatrixLayoutDestroy(void* descriptor) { return destroy(descriptor); }
int cublasLtMatrixLayoutSetAttribute(void*, int, const void*, std::size_t) { return success; }
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
