// cuFFT: plans with their work area. Transforms are stubs that succeed (names/cufft.def). Prototypes are our own:
// cuFFT's headers are not needed to build.
//
// What a plan takes is an estimate: nothing for batches of one dimension that one kernel can hold, else a copy of the
// data as complex numbers, and four where a large prime factor asks for Bluestein's algorithm. NVIDIA's documentation
// of cufftEstimate gives the bounds, from a few kilobytes to eight copies.
#include <cuda_runtime_api.h>

#include <cstddef>
#include <map>
#include <mutex>

#include "sim/math/handles.hpp"
#include "sim/math/library.hpp"

namespace {

enum Status { success = 0, invalid_plan = 1, alloc_failed = 2, invalid_value = 4 };
constexpr long long points_of_one_kernel = 4096;

struct Plan {
  std::size_t work_bytes = 0;
  void* work_area = nullptr;  // our own, if any
  bool allocates = true;
};

std::mutex& g_lock = *new std::mutex;
std::map<int, Plan>& g_plans = *new std::map<int, Plan>;
int g_last = 0;

/// Bytes of a complex number of the precision of an element type (cudaDataType) or of a transform (cufftType).
std::size_t complex_bytes(int type) {
  constexpr int real_double = 1, complex_double = 5, real_half = 2, complex_half = 6, real_bfloat = 14,
                complex_bfloat = 15;
  if (type == real_double || type == complex_double) return 16;
  if (type == real_half || type == complex_half || type == real_bfloat || type == complex_bfloat) return 4;
  return 8;
}
std::size_t complex_bytes_of_transform(int transform) {
  constexpr int c2c = 0x29, r2c = 0x2a, c2r = 0x2c;
  return transform == c2c || transform == r2c || transform == c2r ? 8 : 16;
}

bool has_large_prime(long long n) {
  for (long long factor = 2; factor <= 127 && n > 1; ++factor)
    while (n % factor == 0) n /= factor;
  return n > 1;
}

/// Bytes of the work area of `batch` transforms, or false for sizes that are none.
template <typename Size>
bool work_of(int rank, const Size* n, long long batch, std::size_t bytes, std::size_t& work) {
  if (rank < 1 || rank > 3 || n == nullptr || batch < 1) return false;
  std::size_t points = static_cast<std::size_t>(batch);
  bool prime = false;
  for (int i = 0; i < rank; ++i) {
    if (n[i] < 1 || __builtin_mul_overflow(points, static_cast<std::size_t>(n[i]), &points)) return false;
    prime = prime || has_large_prime(n[i]);
  }
  if (__builtin_mul_overflow(points, bytes * (prime ? 4 : 1), &work)) return false;
  if (rank == 1 && !prime && n[0] <= points_of_one_kernel) work = 0;
  return true;
}

int create(int* plan) {
  if (plan == nullptr) return invalid_value;
  const std::lock_guard guard(g_lock);
  *plan = ++g_last;
  g_plans[*plan] = {};
  return success;
}

void* allocate(std::size_t bytes) {
  const auto malloc = vramtrack::sim::runtime_function<cudaError_t(void**, std::size_t)>("cudaMalloc");
  void* area = nullptr;
  return malloc != nullptr && malloc(&area, bytes) == cudaSuccess ? area : nullptr;
}

/// The runtime is called without the lock.
void release(void* area) {
  const auto free = vramtrack::sim::runtime_function<cudaError_t(void*)>("cudaFree");
  if (area != nullptr && free != nullptr) free(area);
}

template <typename Size>
int make(int plan, int rank, const Size* n, long long batch, std::size_t bytes, std::size_t* size) {
  std::size_t work = 0;
  if (!work_of(rank, n, batch, bytes, work)) return invalid_value;
  bool allocates = false;
  {
    const std::lock_guard guard(g_lock);
    const auto found = g_plans.find(plan);
    if (found == g_plans.end()) return invalid_plan;
    found->second.work_bytes = work;
    allocates = found->second.allocates && work != 0;
  }
  if (size != nullptr) *size = work;
  if (!allocates) return success;
  void* const area = allocate(work);
  if (area == nullptr) return alloc_failed;
  void* before = nullptr;
  {
    const std::lock_guard guard(g_lock);
    const auto found = g_plans.find(plan);
    before = found == g_plans.end() ? area : found->second.work_area;
    if (found != g_plans.end()) found->second.work_area = area;
  }
  release(before);
  return success;
}

int estimate(int rank, const int* n, int transform, int batch, std::size_t* size) {
  std::size_t work = 0;
  if (size == nullptr || !work_of(rank, n, batch, complex_bytes_of_transform(transform), work)) return invalid_value;
  *size = work;
  return success;
}

int plan_many(int* plan, int rank, const int* n, int transform, int batch) {
  if (const int made = create(plan); made != success) return made;
  return make(*plan, rank, n, batch, complex_bytes_of_transform(transform), nullptr);
}

}  // namespace

extern "C" {

int cufftCreate(int* plan) { return create(plan); }
int cufftDestroy(int plan) {
  void* area = nullptr;
  {
    const std::lock_guard guard(g_lock);
    const auto found = g_plans.find(plan);
    if (found == g_plans.end()) return invalid_plan;
    area = found->second.work_area;
    g_plans.erase(found);
  }
  release(area);
  return success;
}

int cufftPlan1d(int* plan, int nx, int type, int batch) { return plan_many(plan, 1, &nx, type, batch); }
int cufftPlan2d(int* plan, int nx, int ny, int type) {
  const int n[] = {nx, ny};
  return plan_many(plan, 2, n, type, 1);
}
int cufftPlan3d(int* plan, int nx, int ny, int nz, int type) {
  const int n[] = {nx, ny, nz};
  return plan_many(plan, 3, n, type, 1);
}
int cufftPlanMany(int* plan, int rank, int* n, int*, int, int, int*, int, int, int type, int batch) {
  return plan_many(plan, rank, n, type, batch);
}

int cufftMakePlan1d(int plan, int nx, int type, int batch, std::size_t* size) {
  return make(plan, 1, &nx, batch, complex_bytes_of_transform(type), size);
}
int cufftMakePlan2d(int plan, int nx, int ny, int type, std::size_t* size) {
  const int n[] = {nx, ny};
  return make(plan, 2, n, 1, complex_bytes_of_transform(type), size);
}
int cufftMakePlan3d(int plan, int nx, int ny, int nz, int type, std::size_t* size) {
  const int n[] = {nx, ny, nz};
  return make(plan, 3, n, 1, complex_bytes_of_transform(type), size);
}
int cufftMakePlanMany(int plan, int rank, int* n, int*, int, int, int*, int, int, int type, int batch,
                      std::size_t* size) {
  return make(plan, rank, n, batch, complex_bytes_of_transform(type), size);
}
int cufftMakePlanMany64(int plan, int rank, long long* n, long long*, long long, long long, long long*, long long,
                        long long, int type, long long batch, std::size_t* size) {
  return make(plan, rank, n, batch, complex_bytes_of_transform(type), size);
}
int cufftXtMakePlanMany(int plan, int rank, long long* n, long long*, long long, long long, int, long long*, long long,
                        long long, int, long long batch, std::size_t* size, int execution) {
  return make(plan, rank, n, batch, complex_bytes(execution), size);
}

int cufftEstimate1d(int nx, int type, int batch, std::size_t* size) { return estimate(1, &nx, type, batch, size); }
int cufftEstimate2d(int nx, int ny, int type, std::size_t* size) {
  const int n[] = {nx, ny};
  return estimate(2, n, type, 1, size);
}
int cufftEstimate3d(int nx, int ny, int nz, int type, std::size_t* size) {
  const int n[] = {nx, ny, nz};
  return estimate(3, n, type, 1, size);
}
int cufftEstimateMany(int rank, int* n, int*, int, int, int*, int, int, int type, int batch, std::size_t* size) {
  return estimate(rank, n, type, batch, size);
}

int cufftGetSize(int plan, std::size_t* size) {
  if (size == nullptr) return invalid_value;
  const std::lock_guard guard(g_lock);
  const auto found = g_plans.find(plan);
  if (found == g_plans.end()) return invalid_plan;
  *size = found->second.work_bytes;
  return success;
}
int cufftSetAutoAllocation(int plan, int allocates) {
  const std::lock_guard guard(g_lock);
  const auto found = g_plans.find(plan);
  if (found == g_plans.end()) return invalid_plan;
  found->second.allocates = allocates != 0;
  return success;
}
/// The program's own area takes the place of ours.
int cufftSetWorkArea(int plan, void*) {
  void* area = nullptr;
  {
    const std::lock_guard guard(g_lock);
    const auto found = g_plans.find(plan);
    if (found == g_plans.end()) return invalid_plan;
    area = found->second.work_area;
    found->second.work_area = nullptr;
  }
  release(area);
  return success;
}

int cufftGetVersion(int* version) { return vramtrack::sim::give(version, SIM_CUFFT_VERSION, invalid_value); }
int cufftGetProperty(int type, int* value) {
  return vramtrack::sim::give_version_part(type, value, SIM_CUFFT_VERSION, 1000, invalid_value);
}
}
