// What the files of the simulated runtime share: the driver's functions, initialization, the last error.
// The runtime holds no memory and no books of its own; everything is the driver's.
#pragma once

#include <cuda.h>
#include <cudaTypedefs.h>
#include <cuda_runtime_api.h>

#include <cstdint>

#include "sim/core/unsupported.h"

#ifndef SIM_CUDART_MAJOR
#error "12 or 13"
#endif

#define NOT_SIMULATED(what) ::vramtrack::sim::fail(VRAMTRACK_SIM_UNSUPPORTED("cudart", cudaErrorNotSupported, what))

namespace vramtrack::sim {

struct DriverApi {
#define DRIVER(name, version) PFN_##name##_v##version name;
#define DRIVER_OF_TYPE(name, version, type) type name;
#include "sim/runtime/driver_api.def"
#undef DRIVER_OF_TYPE
#undef DRIVER
  /// Private between the two: memory of a module's variable.
  CUresult (*module_memory)(std::uint64_t bytes, CUdeviceptr* out);
};

/// The driver, loaded on first use; nullptr when there is none.
const DriverApi* load_driver();

/// Sets the thread's last error (success leaves it alone) and returns it.
cudaError_t fail(cudaError_t error);
cudaError_t done(CUresult result);
cudaError_t take_last_error();
cudaError_t peek_last_error();

/// How a runtime function begins: loads and initializes the driver; with Needs::context also makes a context current,
/// retaining the primary context of the thread's device. `Call call; if (!call) return call.error();`
class Call {
 public:
  enum Needs { driver, context };
  explicit Call(Needs needs = context);
  explicit operator bool() const { return m_error == cudaSuccess; }
  cudaError_t error() const { return fail(m_error); }
  const DriverApi* operator->() const { return m_api; }

 private:
  const DriverApi* m_api = nullptr;
  cudaError_t m_error = cudaSuccess;
};

/// The calling thread's device.
int current_device(const DriverApi& api);

inline CUdeviceptr address(const void* pointer) { return reinterpret_cast<CUdeviceptr>(pointer); }

}  // namespace vramtrack::sim
