# Finds the public CUDA 13 headers and offers them as the target vramtrack::cuda_headers.
# Order: VRAMTRACK_CUDA_INCLUDE_DIR, an installed toolkit, NVIDIA's wheels on PyPI (about 3 MB, unpacked under the
# build folder). Nothing of CUDA is linked: only the declarations are used.
set(VRAMTRACK_CUDA_INCLUDE_DIR "" CACHE PATH "Folder of cuda.h and cuda_runtime_api.h (CUDA 13)")
set(VRAMTRACK_CUDA_WHEELS nvidia-cuda-runtime==13.0.96 nvidia-cuda-crt==13.0.88 nvidia-cuda-cupti==13.0.85)

function(vramtrack_fetch_cuda_headers out)
  set(root ${PROJECT_BINARY_DIR}/_deps/cuda-headers)
  set(include ${root}/nvidia/cu13/include)
  if(NOT EXISTS ${root}/complete)
    find_package(Python3 REQUIRED COMPONENTS Interpreter)
    foreach(wheel IN LISTS VRAMTRACK_CUDA_WHEELS)
      message(STATUS "Fetching the headers of ${wheel} from PyPI")
      execute_process(
        COMMAND ${Python3_EXECUTABLE} -m pip download --quiet --no-deps --only-binary=:all:
                --dest ${root}/wheels ${wheel}
        RESULT_VARIABLE failed ERROR_VARIABLE why)
      if(failed)
        message(FATAL_ERROR "could not fetch ${wheel}: ${why}\n"
          "Install the CUDA toolkit's headers, or pass -DVRAMTRACK_CUDA_INCLUDE_DIR=DIR.")
      endif()
    endforeach()
    file(GLOB wheels ${root}/wheels/*.whl)
    foreach(wheel IN LISTS wheels)
      execute_process(COMMAND ${CMAKE_COMMAND} -E tar xf ${wheel} WORKING_DIRECTORY ${root})
    endforeach()
    file(TOUCH ${root}/complete)
  endif()
  set(${out} ${include} PARENT_SCOPE)
endfunction()

if(NOT VRAMTRACK_CUDA_INCLUDE_DIR)
  find_path(toolkit_include cuda_runtime_api.h PATHS /usr/local/cuda/include $ENV{CUDA_HOME}/include NO_CACHE)
  if(toolkit_include)
    file(STRINGS ${toolkit_include}/cuda.h cuda_version REGEX "#define CUDA_VERSION 1[3-9]")
  endif()
  if(toolkit_include AND cuda_version)
    set(VRAMTRACK_CUDA_INCLUDE_DIR ${toolkit_include} CACHE PATH "" FORCE)
  else()
    vramtrack_fetch_cuda_headers(fetched)
    set(VRAMTRACK_CUDA_INCLUDE_DIR ${fetched} CACHE PATH "" FORCE)
  endif()
endif()
message(STATUS "CUDA headers: ${VRAMTRACK_CUDA_INCLUDE_DIR}")
add_library(vramtrack_cuda_headers INTERFACE)
target_include_directories(vramtrack_cuda_headers SYSTEM INTERFACE ${VRAMTRACK_CUDA_INCLUDE_DIR})
add_library(vramtrack::cuda_headers ALIAS vramtrack_cuda_headers)
