// CUDA graphs: each function is one driver call.
#include "sim/runtime/runtime.hpp"

using namespace vramtrack::sim;

namespace {

CUDA_MEM_ALLOC_NODE_PARAMS& plain(cudaMemAllocNodeParams* params) {
  static_assert(sizeof(CUDA_MEM_ALLOC_NODE_PARAMS) == sizeof(cudaMemAllocNodeParams));
  return *reinterpret_cast<CUDA_MEM_ALLOC_NODE_PARAMS*>(params);
}

cudaError_t instantiate(cudaGraphExec_t* out, cudaGraph_t graph, unsigned long long flags) {
  const Call call;
  return call ? done(call->cuGraphInstantiateWithFlags(out, graph, flags)) : call.error();
}

cudaError_t add_node(cudaGraphNode_t* out, cudaGraph_t graph, const cudaGraphNode_t* dependencies,
                     const cudaGraphEdgeData* edges, size_t count, cudaGraphNodeParams* params) {
  static_assert(sizeof(cudaGraphNodeParams) == sizeof(CUgraphNodeParams));
  const Call call;
  if (!call) return call.error();
  return done(call->cuGraphAddNode(out, graph, dependencies, reinterpret_cast<const CUgraphEdgeData*>(edges), count,
                                   reinterpret_cast<CUgraphNodeParams*>(params)));
}

}  // namespace

extern "C" {

cudaError_t cudaGraphCreate(cudaGraph_t* out, unsigned flags) {
  const Call call;
  return call ? done(call->cuGraphCreate(out, flags)) : call.error();
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  const Call call;
  return call ? done(call->cuGraphDestroy(graph)) : call.error();
}
cudaError_t cudaGraphClone(cudaGraph_t* out, cudaGraph_t graph) {
  const Call call;
  return call ? done(call->cuGraphClone(out, graph)) : call.error();
}
cudaError_t cudaGraphAddEmptyNode(cudaGraphNode_t* out, cudaGraph_t graph, const cudaGraphNode_t* dependencies,
                                  size_t count) {
  const Call call;
  return call ? done(call->cuGraphAddEmptyNode(out, graph, dependencies, count)) : call.error();
}
cudaError_t cudaGraphAddKernelNode(cudaGraphNode_t* out, cudaGraph_t graph, const cudaGraphNode_t* dependencies,
                                   size_t count, const cudaKernelNodeParams*) {
  return cudaGraphAddEmptyNode(out, graph, dependencies, count);  // kernels do nothing
}
cudaError_t cudaGraphKernelNodeSetParams(cudaGraphNode_t node, const cudaKernelNodeParams*) {
  return node == nullptr ? fail(cudaErrorInvalidValue) : cudaSuccess;
}
cudaError_t cudaGraphExecKernelNodeSetParams(cudaGraphExec_t executable, cudaGraphNode_t node,
                                             const cudaKernelNodeParams*) {
  return executable == nullptr || node == nullptr ? fail(cudaErrorInvalidValue) : cudaSuccess;
}
cudaError_t cudaGraphAddChildGraphNode(cudaGraphNode_t* out, cudaGraph_t graph, const cudaGraphNode_t* dependencies,
                                       size_t count, cudaGraph_t child) {
  const Call call;
  return call ? done(call->cuGraphAddChildGraphNode(out, graph, dependencies, count, child)) : call.error();
}
cudaError_t cudaGraphChildGraphNodeGetGraph(cudaGraphNode_t node, cudaGraph_t* child) {
  const Call call;
  return call ? done(call->cuGraphChildGraphNodeGetGraph(node, child)) : call.error();
}
cudaError_t cudaGraphExecChildGraphNodeSetParams(cudaGraphExec_t executable, cudaGraphNode_t node, cudaGraph_t child) {
  const Call call;
  return call ? done(call->cuGraphExecChildGraphNodeSetParams(executable, node, child)) : call.error();
}
cudaError_t cudaGraphAddMemAllocNode(cudaGraphNode_t* out, cudaGraph_t graph, const cudaGraphNode_t* dependencies,
                                     size_t count, cudaMemAllocNodeParams* params) {
  const Call call;
  if (!call) return call.error();
  if (params == nullptr) return fail(cudaErrorInvalidValue);
  return done(call->cuGraphAddMemAllocNode(out, graph, dependencies, count, &plain(params)));
}
cudaError_t cudaGraphMemAllocNodeGetParams(cudaGraphNode_t node, cudaMemAllocNodeParams* params) {
  const Call call;
  if (!call) return call.error();
  if (params == nullptr) return fail(cudaErrorInvalidValue);
  return done(call->cuGraphMemAllocNodeGetParams(node, &plain(params)));
}
cudaError_t cudaGraphAddMemFreeNode(cudaGraphNode_t* out, cudaGraph_t graph, const cudaGraphNode_t* dependencies,
                                    size_t count, void* pointer) {
  const Call call;
  return call ? done(call->cuGraphAddMemFreeNode(out, graph, dependencies, count, address(pointer))) : call.error();
}
cudaError_t cudaGraphMemFreeNodeGetParams(cudaGraphNode_t node, void* out) {
  const Call call;
  return call ? done(call->cuGraphMemFreeNodeGetParams(node, static_cast<CUdeviceptr*>(out))) : call.error();
}

#if SIM_CUDART_MAJOR == 12
// The same name has one argument less in this major.
cudaError_t sim_cudaGraphAddNode(cudaGraphNode_t*, cudaGraph_t, const cudaGraphNode_t*, size_t,
                                 cudaGraphNodeParams*) asm("cudaGraphAddNode");
cudaError_t sim_cudaGraphAddNode(cudaGraphNode_t* out, cudaGraph_t graph, const cudaGraphNode_t* dependencies,
                                 size_t count, cudaGraphNodeParams* params) {
  return add_node(out, graph, dependencies, nullptr, count, params);
}
cudaError_t cudaGraphAddNode_v2(cudaGraphNode_t* out, cudaGraph_t graph, const cudaGraphNode_t* dependencies,
                                const cudaGraphEdgeData* edges, size_t count, cudaGraphNodeParams* params) {
  return add_node(out, graph, dependencies, edges, count, params);
}
cudaError_t sim_cudaGraphNodeGetDependencies(cudaGraphNode_t, cudaGraphNode_t*,
                                             size_t*) asm("cudaGraphNodeGetDependencies");
cudaError_t sim_cudaGraphNodeGetDependencies(cudaGraphNode_t node, cudaGraphNode_t* nodes, size_t* count) {
  const Call call;
  return call ? done(call->cuGraphNodeGetDependencies(node, nodes, nullptr, count)) : call.error();
}
#else
cudaError_t cudaGraphAddNode(cudaGraphNode_t* out, cudaGraph_t graph, const cudaGraphNode_t* dependencies,
                             const cudaGraphEdgeData* edges, size_t count, cudaGraphNodeParams* params) {
  return add_node(out, graph, dependencies, edges, count, params);
}
cudaError_t cudaGraphNodeGetDependencies(cudaGraphNode_t node, cudaGraphNode_t* nodes, cudaGraphEdgeData* edges,
                                         size_t* count) {
  const Call call;
  if (!call) return call.error();
  return done(call->cuGraphNodeGetDependencies(node, nodes, reinterpret_cast<CUgraphEdgeData*>(edges), count));
}
#endif

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, size_t* count) {
  const Call call;
  return call ? done(call->cuGraphGetNodes(graph, nodes, count)) : call.error();
}
cudaError_t cudaGraphGetRootNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, size_t* count) {
  const Call call;
  return call ? done(call->cuGraphGetRootNodes(graph, nodes, count)) : call.error();
}
cudaError_t cudaGraphNodeGetType(cudaGraphNode_t node, cudaGraphNodeType* type) {
  const Call call;
  if (!call) return call.error();
  return done(call->cuGraphNodeGetType(node, reinterpret_cast<CUgraphNodeType*>(type)));
}

cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t* out, cudaGraph_t graph, unsigned long long flags) {
  return instantiate(out, graph, flags);
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* out, cudaGraph_t graph, unsigned long long flags) {
  return instantiate(out, graph, flags);
}
cudaError_t cudaGraphInstantiateWithParams(cudaGraphExec_t* out, cudaGraph_t graph,
                                           cudaGraphInstantiateParams* params) {
  if (params == nullptr) return fail(cudaErrorInvalidValue);
  params->result_out = cudaGraphInstantiateSuccess;
  return instantiate(out, graph, params->flags);
}
cudaError_t cudaGraphUpload(cudaGraphExec_t graph, cudaStream_t stream) {
  const Call call;
  return call ? done(call->cuGraphUpload(graph, stream)) : call.error();
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream) {
  const Call call;
  return call ? done(call->cuGraphLaunch(graph, stream)) : call.error();
}
cudaError_t cudaGraphExecUpdate(cudaGraphExec_t executable, cudaGraph_t graph, cudaGraphExecUpdateResultInfo* result) {
  const Call call;
  if (!call) return call.error();
  return done(call->cuGraphExecUpdate(executable, graph, reinterpret_cast<CUgraphExecUpdateResultInfo*>(result)));
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) {
  const Call call;
  return call ? done(call->cuGraphExecDestroy(graph)) : call.error();
}
cudaError_t cudaGraphDebugDotPrint(cudaGraph_t graph, const char* path, unsigned flags) {
  const Call call;
  return call ? done(call->cuGraphDebugDotPrint(graph, path, flags)) : call.error();
}

cudaError_t cudaDeviceGraphMemTrim(int device) {
  const Call call;
  return call ? done(call->cuDeviceGraphMemTrim(device)) : call.error();
}
cudaError_t cudaDeviceGetGraphMemAttribute(int device, cudaGraphMemAttributeType attribute, void* value) {
  const Call call;
  if (!call) return call.error();
  return done(call->cuDeviceGetGraphMemAttribute(device, static_cast<CUgraphMem_attribute>(attribute), value));
}
cudaError_t cudaDeviceSetGraphMemAttribute(int device, cudaGraphMemAttributeType attribute, void* value) {
  const Call call;
  if (!call) return call.error();
  return done(call->cuDeviceSetGraphMemAttribute(device, static_cast<CUgraphMem_attribute>(attribute), value));
}
}
