// The dense part of cuSOLVER: handles, sizes of work space, and pivots that are some. The computing functions are stubs
// that succeed (names/cusolver.def). Prototypes are our own: cuSOLVER's headers are not needed to build.
//
// Sizes of work space are those that LAPACK's documentation gives for the routine of the same name, with blocks of 64
// columns; cuSOLVER's own are not published.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <vector>

#include "sim/math/handles.hpp"
#include "sim/math/library.hpp"

namespace {

enum Status { success = 0, not_initialized = 1, invalid_value = 3 };
constexpr long long columns_of_block = 64;

struct Handle {
  cudaStream_t stream = nullptr;
  int deterministic = 1, math_mode = 0;
};

int create(void** out) { return vramtrack::sim::create<Handle>(out, invalid_value); }
int destroy(void* handle) { return vramtrack::sim::destroy<Handle>(handle, not_initialized); }
template <typename Member>
int set(void* handle, Member Handle::*member, Member value) {
  return vramtrack::sim::set(handle, member, value, not_initialized);
}
template <typename Member>
int get(void* handle, Member Handle::*member, Member* value) {
  return vramtrack::sim::get(handle, member, value, not_initialized, invalid_value);
}

long long block(long long n) { return columns_of_block * std::max(n, 1LL); }
long long eigenvalues(long long n) { return 1 + 6 * n + 2 * n * n; }
long long singular_values(long long m, long long n) { return 3 * std::min(m, n) + std::max(m, n) + block(m + n); }
/// One-sided and two-sided Jacobi work on a copy.
long long jacobi(long long m, long long n, long long batch = 1) { return std::max(batch, 1LL) * (m * n + m + n); }

/// Work space in elements.
int give(int* out, long long elements) {
  if (out == nullptr) return invalid_value;
  *out = static_cast<int>(std::clamp(elements, 1LL, 0x7fffffffLL));
  return success;
}
/// Work space in bytes, on the device alone.
int give(std::size_t* device, std::size_t* host, long long elements, int type) {
  constexpr int real_double = 1, complex_single = 4, complex_double = 5;
  if (device == nullptr || host == nullptr || elements < 0) return invalid_value;
  *device = static_cast<std::size_t>(elements) * (type == complex_double                          ? 16
                                                  : type == real_double || type == complex_single ? 8
                                                                                                  : 4);
  *host = 0;
  return success;
}

/// No row was exchanged: zeros, as other results are, would be no pivots.
int give_pivots(void* handle, int* pivots, long long n) {
  using vramtrack::sim::runtime_function;
  if (handle == nullptr) return not_initialized;
  if (pivots == nullptr || n <= 0) return success;
  cudaStream_t const stream = static_cast<Handle*>(handle)->stream;
  static const auto capturing =
      runtime_function<cudaError_t(cudaStream_t, cudaStreamCaptureStatus*)>("cudaStreamIsCapturing");
  static const auto copy =
      runtime_function<cudaError_t(void*, const void*, std::size_t, cudaMemcpyKind, cudaStream_t)>("cudaMemcpyAsync");
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  if (copy == nullptr || capturing == nullptr || capturing(stream, &status) != cudaSuccess ||
      status != cudaStreamCaptureStatusNone)
    return success;
  std::vector<int> rows(static_cast<std::size_t>(n));
  std::iota(rows.begin(), rows.end(), 1);
  copy(pivots, rows.data(), rows.size() * sizeof(int), cudaMemcpyHostToDevice, stream);
  return success;
}

}  // namespace

// One definition for each element type: S, D, C and Z, whose names differ for some routines.
#define EACH(real, complex, suffix, parameters, ...)                                                            \
  int cusolverDnS##real##suffix parameters __VA_ARGS__ int cusolverDnD##real##suffix parameters __VA_ARGS__ int \
      cusolverDnC##complex##suffix parameters __VA_ARGS__ int cusolverDnZ##complex##suffix parameters __VA_ARGS__
#define WORK(real, complex, parameters, elements) \
  EACH(real, complex, _bufferSize, parameters, { return give(work, elements); })

extern "C" {

int cusolverDnCreate(void** handle) { return create(handle); }
int cusolverDnDestroy(void* handle) { return destroy(handle); }
int cusolverDnSetStream(void* handle, cudaStream_t stream) { return set(handle, &Handle::stream, stream); }
int cusolverDnGetStream(void* handle, cudaStream_t* stream) { return get(handle, &Handle::stream, stream); }
int cusolverDnSetDeterministicMode(void* handle, int mode) { return set(handle, &Handle::deterministic, mode); }
int cusolverDnGetDeterministicMode(void* handle, int* mode) { return get(handle, &Handle::deterministic, mode); }
int cusolverDnSetMathMode(void* handle, int mode) { return set(handle, &Handle::math_mode, mode); }
int cusolverDnGetMathMode(void* handle, int* mode) { return get(handle, &Handle::math_mode, mode); }
int cusolverDnCreateParams(void** params) { return create(params); }
int cusolverDnDestroyParams(void* params) { return destroy(params); }
int cusolverDnCreateSyevjInfo(void** info) { return create(info); }
int cusolverDnDestroySyevjInfo(void* info) { return destroy(info); }
int cusolverDnCreateGesvdjInfo(void** info) { return create(info); }
int cusolverDnDestroyGesvdjInfo(void* info) { return destroy(info); }

WORK(potrf, potrf, (void*, int, int n, void*, int, int* work), block(n))
WORK(potri, potri, (void*, int, int n, void*, int, int* work), block(n))
WORK(getrf, getrf, (void*, int m, int n, void*, int, int* work), block(std::max(m, n)))
WORK(geqrf, geqrf, (void*, int, int n, void*, int, int* work), block(n))
WORK(orgqr, ungqr, (void*, int, int n, int, const void*, int, const void*, int* work), block(n))
WORK(ormqr, unmqr,
     (void*, int side, int, int m, int n, int, const void*, int, const void*, const void*, int, int* work),
     block(side == 0 ? n : m))
WORK(sytrf, sytrf, (void*, int n, void*, int, int* work), block(n))
WORK(gesvd, gesvd, (void*, int m, int n, int* work), singular_values(m, n))
WORK(syevd, heevd, (void*, int, int, int n, const void*, int, const void*, int* work), eigenvalues(n))
WORK(syevj, heevj, (void*, int, int, int n, const void*, int, const void*, int* work, void*), jacobi(n, n))
WORK(syevjBatched, heevjBatched, (void*, int, int, int n, const void*, int, const void*, int* work, void*, int batch),
     jacobi(n, n, batch))
WORK(gesvdj, gesvdj,
     (void*, int, int, int m, int n, const void*, int, const void*, const void*, int, const void*, int, int* work,
      void*),
     jacobi(m, n))
WORK(gesvdjBatched, gesvdjBatched,
     (void*, int, int m, int n, const void*, int, const void*, const void*, int, const void*, int, int* work, void*,
      int batch),
     jacobi(m, n, batch))
WORK(gesvdaStridedBatched, gesvdaStridedBatched,
     (void*, int, int, int m, int n, const void*, int, long long, const void*, long long, const void*, int, long long,
      const void*, int, long long, int* work, int batch),
     jacobi(m, n, batch))

EACH(getrf, getrf, , (void* handle, int m, int n, void*, int, void*, int* pivots, int*),
     { return give_pivots(handle, pivots, std::min(m, n)); })
/// The norms of what is left over lie in host memory.
EACH(gesvdaStridedBatched, gesvdaStridedBatched, ,
     (void*, int, int, int, int, const void*, int, long long, void*, long long, void*, int, long long, void*, int,
      long long, void*, int, int*, double* norms, int batch),
     {
       if (norms != nullptr) std::fill_n(norms, std::max(batch, 0), 0.0);
       return success;
     })

int cusolverDnXpotrf_bufferSize(void*, void*, int, std::int64_t n, int type, const void*, std::int64_t, int,
                                std::size_t* device, std::size_t* host) {
  return give(device, host, block(n), type);
}
int cusolverDnXgeqrf_bufferSize(void*, void*, std::int64_t, std::int64_t n, int type, const void*, std::int64_t, int,
                                const void*, int, std::size_t* device, std::size_t* host) {
  return give(device, host, block(n), type);
}
int cusolverDnXsyevd_bufferSize(void*, void*, int, int, std::int64_t n, int type, const void*, std::int64_t, int,
                                const void*, int, std::size_t* device, std::size_t* host) {
  return give(device, host, eigenvalues(n), type);
}
int cusolverDnXsyevBatched_bufferSize(void*, void*, int, int, std::int64_t n, int type, const void*, std::int64_t, int,
                                      const void*, int, std::size_t* device, std::size_t* host, std::int64_t batch) {
  return give(device, host, jacobi(n, n, batch), type);
}
int cusolverDnXsytrs_bufferSize(void*, int, std::int64_t n, std::int64_t, int type, const void*, std::int64_t,
                                const std::int64_t*, int, void*, std::int64_t, std::size_t* device, std::size_t* host) {
  return give(device, host, block(n), type);
}
int cusolverDnXgeev_bufferSize(void*, void*, int, int, std::int64_t n, int type, const void*, std::int64_t, int,
                               const void*, int, const void*, std::int64_t, int, const void*, std::int64_t, int,
                               std::size_t* device, std::size_t* host) {
  return give(device, host, block(n) + 4 * n, type);
}
int cusolverDnXgetrf_bufferSize(void*, void*, std::int64_t m, std::int64_t n, int type, const void*, std::int64_t, int,
                                std::size_t* device, std::size_t* host) {
  return give(device, host, block(std::max(m, n)), type);
}
int cusolverDnXgesvd_bufferSize(void*, void*, signed char, signed char, std::int64_t m, std::int64_t n, int type,
                                const void*, std::int64_t, int, const void*, int, const void*, std::int64_t, int,
                                const void*, std::int64_t, int, std::size_t* device, std::size_t* host) {
  return give(device, host, singular_values(m, n), type);
}

int cusolverGetVersion(int* version) { return vramtrack::sim::give(version, SIM_CUSOLVER_VERSION, invalid_value); }
int cusolverGetProperty(int type, int* value) {
  return vramtrack::sim::give_version_part(type, value, SIM_CUSOLVER_VERSION, 1000, invalid_value);
}
}
