// The CUDA declarations that type the hook table. __CUDA_API_VERSION_INTERNAL makes the headers declare every exported
// name as it is (cuMemAlloc and cuMemAlloc_v2, cudaMallocAsync and cudaMallocAsync_ptsz) instead of renaming the
// plain one by macro. cuda_runtime.h must not be included: its C++ overloads make &cudaMalloc ambiguous.
#pragma once

#define __CUDA_API_VERSION_INTERNAL
#include <cuda.h>
#include <cuda_runtime_api.h>

extern "C" {
// Only in older runtimes, so not in the headers we build with.
cudaError_t cudaThreadExit(void);
cudaError_t cudaGraphAddNode_v2(cudaGraphNode_t* node, cudaGraph_t graph, const cudaGraphNode_t* dependencies,
                                const cudaGraphEdgeData* edges, size_t count, cudaGraphNodeParams* params);
}
