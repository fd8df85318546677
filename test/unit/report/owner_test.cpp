#include "report/symbolize/owner.hpp"

#include <catch2/catch.hpp>
#include <vector>

using vramtrack::owner_of_module;
using vramtrack::owner_of_stack;

TEST_CASE("libraries by file name or folder") {
  const std::string packages = "/venv/lib/python3.11/site-packages/";
  const std::vector<std::pair<std::string, std::string>> expected = {
      {packages + "torch/lib/libc10_cuda.so", "torch"},
      {packages + "torch/lib/libtorch_cuda.so", "torch"},
      {packages + "torch/lib/libcudart-8774224f.so.12", ""},
      {packages + "nvidia/nccl/lib/libnccl.so.2", "nccl"},
      {packages + "nvidia/cu13/lib/libcublasLt.so.13", "cublas"},
      {packages + "nvidia/cudnn/lib/libcudnn_engines_precompiled.so.9", "cudnn"},
      {packages + "nvidia/cusparse/lib/libcusparse.so.12", "cusparse"},
      {packages + "nvidia/cufft/lib/libcufft.so.11", "cufft"},
      {packages + "nvidia/cusolver/lib/libcusolver.so.11", "cusolver"},
      {packages + "nvidia/curand/lib/libcurand.so.10", "curand"},
      {packages + "triton/_C/libtriton.so", "triton"},
      {"/home/me/.triton/cache/XYZ/cuda_utils.so", "triton"},
      {packages + "cupy/_core/core.cpython-311-x86_64-linux-gnu.so", "cupy"},
      {packages + "cupy_backends/cuda/api/runtime.cpython-311-x86_64-linux-gnu.so", "cupy"},
      {packages + "numba_cuda/_extension.so", "numba"},
      {packages + "rmm/librmm.so", "rmm"},
      {packages + "jaxlib/xla_extension.so", "jax"},
      {packages + "jax_plugins/xla_cuda12/xla_cuda_plugin.so", "jax"},
      {packages + "tensorflow/libtensorflow_cc.so.2", "tensorflow"},
      {packages + "faiss/_swigfaiss.cpython-311-x86_64-linux-gnu.so", "faiss"},
      {packages + "llama_cpp/lib/libggml-cuda.so", "llama.cpp"},
      {packages + "cuda/bindings/_bindings/cydriver.cpython-311-x86_64-linux-gnu.so", "cuda-bindings"},
      {"/usr/lib/x86_64-linux-gnu/libcuda.so.1", ""},
      {"/usr/lib/x86_64-linux-gnu/libstdc++.so.6", ""},
      {"/usr/lib/x86_64-linux-gnu/libc.so.6", ""},
      {"/opt/build/lib/libvramtrack.so", ""},
      {"/usr/bin/python3.11", ""},
      {"/opt/app/bin/simulate", "program"},
      {"/opt/app/lib/libsolver.so", "program"},
      {"", ""},
  };
  for (const auto& [module, owner] : expected) {
    INFO(module);
    CHECK(owner_of_module(module) == owner);
  }
}

TEST_CASE("the innermost telling module owns") {
  const std::vector<std::string_view> nccl = {"/l/libcudart.so.12", "/l/libnccl.so.2", "/l/torch/lib/libtorch_cuda.so",
                                              "/usr/bin/python3"};
  CHECK(owner_of_stack(nccl) == "nccl");
  const std::vector<std::string_view> ctypes = {"/l/libffi.so.8", "/l/_ctypes.cpython-311.so", "/usr/bin/python3"};
  CHECK(owner_of_stack(ctypes) == "program");
  CHECK(owner_of_stack({}) == "unknown");
}
