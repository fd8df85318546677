#include <dlfcn.h>

#include <string>
#include <vector>

#include "sim_test.hpp"

namespace {

struct Answer {
  CUresult result;
  CUdriverProcAddressQueryResult status = CU_GET_PROC_ADDRESS_SUCCESS;
  void* address = nullptr;
};

Answer ask(const char* name, int version, cuuint64_t flags = 0) {
  Answer answer;
  answer.result = cuGetProcAddress(name, &answer.address, version, flags, &answer.status);
  return answer;
}

void* exported(const char* name) { return dlsym(dlopen("libcuda.so.1", RTLD_NOW), name); }

}  // namespace

TEST_CASE("cuGetProcAddress answers by version and default-stream flag") {
  CHECK(ask("cuMemAlloc", 12000).address == exported("cuMemAlloc_v2"));
  CHECK(ask("cuMemAlloc", 2000).address == exported("cuMemAlloc"));
  CHECK(ask("cuMemAlloc", 3019).address == exported("cuMemAlloc"));
  CHECK(ask("cuDevicePrimaryCtxReset", 7000).address == exported("cuDevicePrimaryCtxReset"));
  CHECK(ask("cuDevicePrimaryCtxReset", 11000).address == exported("cuDevicePrimaryCtxReset_v2"));
  CHECK(ask("cuCtxCreate", 11030).address == exported("cuCtxCreate_v2"));
  CHECK(ask("cuCtxCreate", 12040).address == exported("cuCtxCreate_v3"));
  CHECK(ask("cuCtxCreate", 13000).address == exported("cuCtxCreate_v4"));
  CHECK(ask("cuGetProcAddress", 11030).address == exported("cuGetProcAddress"));
  CHECK(ask("cuGetProcAddress", 12000).address == exported("cuGetProcAddress_v2"));
  // flag 2: the per-thread variant where there is one, else the plain function
  CHECK(ask("cuMemAllocAsync", 12000, 2).address == exported("cuMemAllocAsync_ptsz"));
  CHECK(ask("cuMemcpyHtoD", 12000, 2).address == exported("cuMemcpyHtoD_v2_ptds"));
  CHECK(ask("cuMemAlloc", 12000, 2).address == exported("cuMemAlloc_v2"));
  CHECK(ask("cuMemAllocAsync", 12000, 1).address == exported("cuMemAllocAsync"));
  CHECK(exported("cuMemAllocAsync_ptsz") != exported("cuMemAllocAsync"));  // two entries, not one with two names
}

TEST_CASE("cuGetProcAddress says why it has no answer") {
  const Answer unknown = ask("cuNoSuchFunction", 12000);
  CHECK(unknown.result == CUDA_ERROR_NOT_FOUND);
  CHECK(unknown.status == CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND);
  CHECK(unknown.address == nullptr);
  const Answer old = ask("cuMemCreate", 10010);
  CHECK(old.result == CUDA_ERROR_NOT_FOUND);
  CHECK(old.status == CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT);
  CHECK(ask("", 0).result == CUDA_ERROR_NOT_FOUND);
  CHECK(ask("cuMemAlloc", 12000, 64).result == CUDA_ERROR_INVALID_VALUE);
  void* address = nullptr;
  CHECK(cuGetProcAddress("cuMemAlloc", nullptr, 12000, 0, nullptr) == CUDA_ERROR_INVALID_VALUE);
  CHECK(cuGetProcAddress("cuMemAlloc", &address, 12000, 0, nullptr) == CUDA_SUCCESS);
}

TEST_CASE("every library exports every name of its table, under its version") {
  struct Table {
    const char* library;
    const char* version;  // nullptr: unversioned
    std::vector<const char*> names;
  };
#define NAME(name) #name,
#define COMPUTE(name) #name,
#define PER_THREAD(name, plain) #name,
  const Table tables[] = {
      {"libcuda.so.1",
       nullptr,
       {
#include "sim/names/cuda.def"
       }},
      {"libcudart.so.13",
       "libcudart.so.13",
       {
#include "sim/names/cudart_13.def"
       }},
      {"libcudart.so.12",
       "libcudart.so.12",
       {
#include "sim/names/cudart_12.def"
       }},
      {"libcublas.so.13",
       "libcublas.so.13",
       {
#include "sim/names/cublas.def"
       }},
      {"libcublasLt.so.13",
       "libcublasLt.so.13",
       {
#include "sim/names/cublasLt.def"
       }},
  };
#undef NAME
#undef COMPUTE
#undef PER_THREAD
  for (const Table& table : tables) {
    void* library = dlopen((std::string(SIM_FOLDER "/") + table.library).c_str(), RTLD_NOW | RTLD_LOCAL);
    CAPTURE(table.library);
    REQUIRE(library != nullptr);
    CHECK(table.names.size() > 100);
    for (const char* name : table.names) {
      CAPTURE(name);
      void* address = table.version != nullptr ? dlvsym(library, name, table.version) : dlsym(library, name);
      CHECK(address != nullptr);
    }
  }
}

TEST_CASE("a function that is not simulated says so once and returns an error") {
  const auto function = reinterpret_cast<CUresult (*)(void*)>(exported("cuUserObjectCreate"));
  REQUIRE(function != nullptr);
  CHECK(function(nullptr) == CUDA_ERROR_NOT_SUPPORTED);
  CHECK(function(nullptr) == CUDA_ERROR_NOT_SUPPORTED);
}
