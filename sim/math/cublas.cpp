// The part of cuBLAS that is not mere computation: handles and their settings, versions, copies of vectors and
// matrices. The computing functions are stubs that succeed (names/cublas.def). Prototypes are our own: cuBLAS's headers
// are not needed to build.
#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstring>

#include "sim/math/handles.hpp"
#include "sim/math/library.hpp"

namespace {

enum Status { success = 0, not_initialized = 1, allocation_failed = 3, invalid_value = 7 };

struct Handle {
  cudaStream_t stream = nullptr;
  int pointer_mode = 0, math_mode = 0, atomics_mode = 0, logger = 0, sm_count = 0;
};

template <int Handle::*member>
int set(void* handle, int value) {
  return vramtrack::sim::set(handle, member, value, not_initialized);
}
template <int Handle::*member>
int get(void* handle, int* value) {
  return vramtrack::sim::get(handle, member, value, not_initialized, invalid_value);
}

int copy(std::size_t rows_bytes, std::size_t columns, const void* source, std::size_t source_pitch, void* target,
         std::size_t target_pitch, cudaStream_t stream) {
  const auto copy_2d =
      vramtrack::sim::runtime_function<cudaError_t(void*, std::size_t, const void*, std::size_t, std::size_t,
                                                   std::size_t, cudaMemcpyKind, cudaStream_t)>("cudaMemcpy2DAsync");
  if (copy_2d == nullptr) return not_initialized;
  return copy_2d(target, target_pitch, source, source_pitch, rows_bytes, columns, cudaMemcpyDefault, stream) ==
                 cudaSuccess
             ? success
             : invalid_value;
}

int copy_vector(long long n, long long element, const void* source, long long source_step, void* target,
                long long target_step, cudaStream_t stream) {
  if (n < 0 || element <= 0 || source_step <= 0 || target_step <= 0) return invalid_value;
  return copy(static_cast<std::size_t>(element), static_cast<std::size_t>(n), source,
              static_cast<std::size_t>(source_step * element), target, static_cast<std::size_t>(target_step * element),
              stream);
}

int copy_matrix(long long rows, long long columns, long long element, const void* source, long long source_lead,
                void* target, long long target_lead, cudaStream_t stream) {
  if (rows < 0 || columns < 0 || element <= 0 || source_lead < rows || target_lead < rows) return invalid_value;
  return copy(static_cast<std::size_t>(rows * element), static_cast<std::size_t>(columns), source,
              static_cast<std::size_t>(source_lead * element), target, static_cast<std::size_t>(target_lead * element),
              stream);
}

int no_error(int* info) { return vramtrack::sim::give(info, 0, invalid_value); }

}  // namespace

extern "C" {

int cublasCreate_v2(void** out) { return vramtrack::sim::create<Handle>(out, invalid_value); }
int cublasDestroy_v2(void* handle) { return vramtrack::sim::destroy<Handle>(handle, not_initialized); }

int cublasSetStream_v2(void* handle, cudaStream_t stream) {
  return vramtrack::sim::set(handle, &Handle::stream, stream, not_initialized);
}
int cublasGetStream_v2(void* handle, cudaStream_t* stream) {
  return vramtrack::sim::get(handle, &Handle::stream, stream, not_initialized, invalid_value);
}
int cublasSetWorkspace_v2(void* handle, void*, std::size_t) { return handle == nullptr ? not_initialized : success; }

int cublasSetPointerMode_v2(void* handle, int mode) { return set<&Handle::pointer_mode>(handle, mode); }
int cublasGetPointerMode_v2(void* handle, int* mode) { return get<&Handle::pointer_mode>(handle, mode); }
int cublasSetMathMode(void* handle, int mode) { return set<&Handle::math_mode>(handle, mode); }
int cublasGetMathMode(void* handle, int* mode) { return get<&Handle::math_mode>(handle, mode); }
int cublasSetAtomicsMode(void* handle, int mode) { return set<&Handle::atomics_mode>(handle, mode); }
int cublasGetAtomicsMode(void* handle, int* mode) { return get<&Handle::atomics_mode>(handle, mode); }
int cublasSetSmCountTarget(void* handle, int count) { return set<&Handle::sm_count>(handle, count); }
int cublasGetSmCountTarget(void* handle, int* count) { return get<&Handle::sm_count>(handle, count); }

int cublasGetVersion_v2(void*, int* version) {
  return vramtrack::sim::give(version, SIM_CUBLAS_VERSION, invalid_value);
}
int cublasGetVersion(int* version) { return cublasGetVersion_v2(nullptr, version); }
int cublasGetProperty(int type, int* value) {
  return vramtrack::sim::give_version_part(type, value, SIM_CUBLAS_VERSION, 10000, invalid_value);
}
std::size_t cublasGetCudartVersion(void) { return SIM_CUBLAS_VERSION / 10000 * 1000; }

const char* cublasGetStatusName(int status) {
  switch (status) {
    case success:
      return "CUBLAS_STATUS_SUCCESS";
    case not_initialized:
      return "CUBLAS_STATUS_NOT_INITIALIZED";
    case allocation_failed:
      return "CUBLAS_STATUS_ALLOC_FAILED";
    case invalid_value:
      return "CUBLAS_STATUS_INVALID_VALUE";
    case 15:
      return "CUBLAS_STATUS_NOT_SUPPORTED";
    default:
      return "CUBLAS_STATUS_UNKNOWN";
  }
}
const char* cublasGetStatusString(int status) { return cublasGetStatusName(status); }
int cublasLoggerConfigure(int, int, int, const char*) { return success; }
int cublasSetLoggerCallback(void*) { return success; }

int cublasSetVector(int n, int element, const void* x, int incx, void* y, int incy) {
  return copy_vector(n, element, x, incx, y, incy, nullptr);
}
int cublasGetVector(int n, int element, const void* x, int incx, void* y, int incy) {
  return copy_vector(n, element, x, incx, y, incy, nullptr);
}
int cublasSetVectorAsync(int n, int element, const void* x, int incx, void* y, int incy, cudaStream_t stream) {
  return copy_vector(n, element, x, incx, y, incy, stream);
}
int cublasGetVectorAsync(int n, int element, const void* x, int incx, void* y, int incy, cudaStream_t stream) {
  return copy_vector(n, element, x, incx, y, incy, stream);
}
int cublasSetMatrix(int rows, int columns, int element, const void* a, int lda, void* b, int ldb) {
  return copy_matrix(rows, columns, element, a, lda, b, ldb, nullptr);
}
int cublasGetMatrix(int rows, int columns, int element, const void* a, int lda, void* b, int ldb) {
  return copy_matrix(rows, columns, element, a, lda, b, ldb, nullptr);
}
int cublasSetMatrixAsync(int rows, int columns, int element, const void* a, int lda, void* b, int ldb,
                         cudaStream_t stream) {
  return copy_matrix(rows, columns, element, a, lda, b, ldb, stream);
}
int cublasGetMatrixAsync(int rows, int columns, int element, const void* a, int lda, void* b, int ldb,
                         cudaStream_t stream) {
  return copy_matrix(rows, columns, element, a, lda, b, ldb, stream);
}

// These say on the host that their arguments were right; each says how the batch went on the device.
#define WITH_STATUS(type)                                                                                       \
  int cublas##type##geqrfBatched(void*, int, int, void*, int, void*, int* info, int) { return no_error(info); } \
  int cublas##type##gelsBatched(void*, int, int, int, int, void*, int, void*, int, int* info, int*, int) {      \
    return no_error(info);                                                                                      \
  }
WITH_STATUS(S)
WITH_STATUS(D)
WITH_STATUS(C)
WITH_STATUS(Z)
}
