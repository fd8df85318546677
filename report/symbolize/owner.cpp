#include "report/symbolize/owner.hpp"

#include <algorithm>
#include <array>

#include "report/model/sites.hpp"

namespace vramtrack {
namespace {

struct Row {
  std::string_view pattern;  // start of the file's name, or with a leading '/' a part of the path
  std::string_view owner;    // "": tells nothing
};

// First match wins: libraries before the folders that they may lie in.
constexpr std::array rows = {
    // The CUDA runtime and driver, and whatever only passes a call on.
    Row{"libcudart", ""},
    Row{"libcuda.so", ""},
    Row{"libcudadebugger", ""},
    Row{"libnvidia-", ""},
    Row{"libvramtrack", ""},
    Row{"libcupti", ""},
    Row{"libc.so", ""},
    Row{"libc-2.", ""},
    Row{"libm.so", ""},
    Row{"libdl.so", ""},
    Row{"libpthread", ""},
    Row{"ld-linux", ""},
    Row{"libstdc++", ""},
    Row{"libgcc_s", ""},
    Row{"libgomp", ""},
    Row{"libffi", ""},
    Row{"_ctypes.", ""},
    Row{"_cffi_backend", ""},
    Row{"libpython", ""},
    Row{"python", ""},
    Row{"linux-vdso", ""},
    Row{"[vdso]", ""},
    // NVIDIA's libraries.
    Row{"libnccl", "nccl"},
    Row{"libcublas", "cublas"},
    Row{"libnvblas", "cublas"},
    Row{"libcudnn", "cudnn"},
    Row{"libcusparse", "cusparse"},
    Row{"libcufft", "cufft"},
    Row{"libcusolver", "cusolver"},
    Row{"libcurand", "curand"},
    Row{"libcutensor", "cutensor"},
    Row{"libnvshmem", "nvshmem"},
    Row{"libcufile", "cufile"},
    Row{"libnvrtc", "nvrtc"},
    Row{"libnvJitLink", "nvrtc"},
    Row{"libnvjpeg", "nvjpeg"},
    Row{"libnpp", "npp"},
    Row{"libnvinfer", "tensorrt"},
    Row{"libnvonnxparser", "tensorrt"},
    Row{"libnvcomp", "nvcomp"},
    Row{"libdali", "dali"},
    // Frameworks. Triton's and flash-attention's extensions lie in their own folders.
    Row{"libtriton", "triton"},
    Row{"/triton/", "triton"},
    Row{"/.triton/", "triton"},
    Row{"libonnxruntime", "onnxruntime"},
    Row{"onnxruntime_", "onnxruntime"},
    Row{"/cupy/", "cupy"},
    Row{"/cupy_backends/", "cupy"},
    Row{"/numba_cuda/", "numba"},
    Row{"/numba/", "numba"},
    Row{"/rmm/", "rmm"},
    Row{"librmm", "rmm"},
    Row{"/cudf/", "cudf"},
    Row{"libcudf", "cudf"},
    Row{"/jaxlib/", "jax"},
    Row{"/jax_cuda", "jax"},
    Row{"/jax_plugins/", "jax"},
    Row{"xla_cuda_plugin", "jax"},
    Row{"/tensorflow/", "tensorflow"},
    Row{"libtensorflow", "tensorflow"},
    Row{"/cuda/bindings/", "cuda-bindings"},
    Row{"/cuda/core/", "cuda-bindings"},
    Row{"/pycuda/", "pycuda"},
    Row{"/paddle/", "paddle"},
    Row{"libmxnet", "mxnet"},
    Row{"/faiss/", "faiss"},
    Row{"libfaiss", "faiss"},
    Row{"libxgboost", "xgboost"},
    Row{"lib_lightgbm", "lightgbm"},
    Row{"/dgl/", "dgl"},
    Row{"/cuml/", "cuml"},
    Row{"libcuml", "cuml"},
    Row{"libcuvs", "cuvs"},
    Row{"/warp/bin/", "warp"},
    Row{"/taichi/", "taichi"},
    Row{"libctranslate2", "ctranslate2"},
    Row{"/llama_cpp/", "llama.cpp"},
    Row{"libggml", "llama.cpp"},
    Row{"libllama", "llama.cpp"},
    Row{"libopencv_", "opencv"},
    Row{"/cv2/", "opencv"},
    Row{"libbitsandbytes", "bitsandbytes"},
    Row{"libc10", "torch"},
    Row{"libtorch", "torch"},
    Row{"/torch/", "torch"},
    Row{"libshm.so", "torch"},
};

bool matches(std::string_view path, std::string_view name, std::string_view pattern) noexcept {
  if (pattern.front() == '/') return path.find(pattern) != path.npos;
  return name.substr(0, pattern.size()) == pattern;
}

}  // namespace

std::string_view owner_of_module(std::string_view module) noexcept {
  const std::string_view name = file_name(module);
  if (name.empty()) return "";
  for (const Row& row : rows) {
    if (matches(module, name, row.pattern)) return row.owner;
  }
  return "program";
}

std::string_view owner_of_stack(std::span<const std::string_view> modules) noexcept {
  if (modules.empty()) return "unknown";
  for (const std::string_view module : modules) {
    const std::string_view owner = owner_of_module(module);
    if (!owner.empty()) return owner;
  }
  return "program";
}

bool is_math_library(std::string_view owner) noexcept {
  constexpr std::array<std::string_view, 7> names = {"cublas",   "cudnn",  "cusparse", "cufft",
                                                     "cusolver", "curand", "cutensor"};
  return std::find(names.begin(), names.end(), owner) != names.end();
}

}  // namespace vramtrack
