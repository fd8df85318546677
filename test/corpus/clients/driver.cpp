// Linked with -lcuda: the driver's functions by name, as Triton and many in-house tools call them.
#include <cuda.h>

#include "test/corpus/clients/books.hpp"

int main() {
  EXPECT(cuInit(0));
  CUdevice device = 0;
  CUcontext context = nullptr;
  EXPECT(cuDeviceGet(&device, 1));
  EXPECT(cuDevicePrimaryCtxRetain(&context, device));
  EXPECT(cuCtxSetCurrent(context));
  CUdeviceptr kept = 0, freed = 0, pooled = 0, managed = 0;
  EXPECT(cuMemAlloc(&kept, 3 << 20));
  EXPECT(cuMemAlloc(&freed, 1 << 20));
  EXPECT(cuMemFree(freed));
  EXPECT(cuMemAllocAsync(&pooled, 5000, nullptr));
  EXPECT(cuMemAllocManaged(&managed, 1 << 16, CU_MEM_ATTACH_GLOBAL));
  void* pinned = nullptr;
  EXPECT(cuMemHostAlloc(&pinned, 4096, 0));
  CUmemAllocationProp prop{};
  prop.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  prop.location = {CU_MEM_LOCATION_TYPE_DEVICE, {device}};
  CUmemGenericAllocationHandle handle = 0;
  EXPECT(cuMemCreate(&handle, 4 << 20, &prop, 0));
  show_books();
}
