#include <vector>

#include "sim_test.hpp"

namespace {

cuuint64_t graph_bytes(CUgraphMem_attribute which) {
  cuuint64_t value = 0;
  REQUIRE(cuDeviceGetGraphMemAttribute(0, which, &value) == CUDA_SUCCESS);
  return value;
}

CUDA_MEM_ALLOC_NODE_PARAMS node_of(size_t bytes) {
  CUDA_MEM_ALLOC_NODE_PARAMS params{};
  params.poolProps.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
  params.poolProps.location = {CU_MEM_LOCATION_TYPE_DEVICE, 0};
  params.bytesize = bytes;
  return params;
}

}  // namespace

TEST_CASE("a graph's memory is held from launch to free, and kept until trimmed") {
  const SimDevice device;
  const std::uint64_t before = figures().used_bytes;
  CUgraph graph = nullptr;
  CUgraphNode alloc = nullptr, free = nullptr;
  CUgraphExec executable = nullptr;
  auto params = node_of(3 * MiB);
  REQUIRE(cuGraphCreate(&graph, 0) == CUDA_SUCCESS);
  REQUIRE(cuGraphAddMemAllocNode(&alloc, graph, nullptr, 0, &params) == CUDA_SUCCESS);
  REQUIRE(params.dptr != 0);
  CHECK(figures().used_bytes == before);

  SECTION("freed in the graph") {
    REQUIRE(cuGraphAddMemFreeNode(&free, graph, &alloc, 1, params.dptr) == CUDA_SUCCESS);
    REQUIRE(cuGraphInstantiate(&executable, graph, 0) == CUDA_SUCCESS);
    for (int i = 0; i < 3; ++i) REQUIRE(cuGraphLaunch(executable, nullptr) == CUDA_SUCCESS);
    CHECK(live(VRAMTRACK_SIM_GRAPH) == 0);
  }
  SECTION("freed outside") {
    REQUIRE(cuGraphInstantiate(&executable, graph, 0) == CUDA_SUCCESS);
    REQUIRE(cuGraphLaunch(executable, nullptr) == CUDA_SUCCESS);
    CHECK(live(VRAMTRACK_SIM_GRAPH) == 3 * MiB);
    CHECK(cuGraphLaunch(executable, nullptr) == CUDA_ERROR_INVALID_VALUE);  // still allocated
    REQUIRE(cuGraphExecDestroy(executable) == CUDA_SUCCESS);
    REQUIRE(cuGraphDestroy(graph) == CUDA_SUCCESS);
    CHECK(live(VRAMTRACK_SIM_GRAPH) == 3 * MiB);  // outlives its graph
    REQUIRE(cuMemFreeAsync(params.dptr, nullptr) == CUDA_SUCCESS);
  }
  CHECK(graph_bytes(CU_GRAPH_MEM_ATTR_USED_MEM_CURRENT) == 0);
  CHECK(graph_bytes(CU_GRAPH_MEM_ATTR_USED_MEM_HIGH) == 3 * MiB);
  CHECK(graph_bytes(CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT) == 4 * MiB);
  CHECK(figures().used_bytes == before + 4 * MiB);
  REQUIRE(cuDeviceGraphMemTrim(0) == CUDA_SUCCESS);
  CHECK(figures().used_bytes == before);
}

TEST_CASE("capture records instead of doing, and forbids what a GPU forbids") {
  const SimDevice device;
  CUstream stream = nullptr, other = nullptr;
  CUevent event = nullptr;
  REQUIRE(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING) == CUDA_SUCCESS);
  REQUIRE(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING) == CUDA_SUCCESS);
  REQUIRE(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING) == CUDA_SUCCESS);
  CUdeviceptr target = 0, inside = 0;
  REQUIRE(cuMemAlloc(&target, 16) == CUDA_SUCCESS);
  CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_ACTIVE;
  REQUIRE(cuStreamIsCapturing(stream, &status) == CUDA_SUCCESS);
  CHECK(status == CU_STREAM_CAPTURE_STATUS_NONE);

  REQUIRE(cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_GLOBAL) == CUDA_SUCCESS);
  REQUIRE(cuEventRecord(event, stream) == CUDA_SUCCESS);
  REQUIRE(cuStreamWaitEvent(other, event, 0) == CUDA_SUCCESS);  // the other stream joins
  REQUIRE(cuStreamIsCapturing(other, &status) == CUDA_SUCCESS);
  CHECK(status == CU_STREAM_CAPTURE_STATUS_ACTIVE);
  CUgraph graph = nullptr;
  unsigned char value = 0;

  SECTION("work and memory become nodes") {
    REQUIRE(cuMemsetD8Async(target, 42, 1, stream) == CUDA_SUCCESS);
    REQUIRE(cuMemAllocAsync(&inside, 2 * MiB, other) == CUDA_SUCCESS);
    REQUIRE(cuMemFreeAsync(inside, other) == CUDA_SUCCESS);
    CHECK(live(VRAMTRACK_SIM_POOL) == 0);
    REQUIRE(cuStreamEndCapture(stream, &graph) == CUDA_SUCCESS);
    size_t nodes = 0;
    REQUIRE(cuGraphGetNodes(graph, nullptr, &nodes) == CUDA_SUCCESS);
    CHECK(nodes == 3);
    REQUIRE(cuMemcpyDtoH(&value, target, 1) == CUDA_SUCCESS);
    CHECK(value == 0);
    CUgraphExec executable = nullptr;
    REQUIRE(cuGraphInstantiate(&executable, graph, 0) == CUDA_SUCCESS);
    REQUIRE(cuGraphLaunch(executable, stream) == CUDA_SUCCESS);
    REQUIRE(cuMemcpyDtoH(&value, target, 1) == CUDA_SUCCESS);
    CHECK(value == 42);
  }
  SECTION("an allocation invalidates it") {
    CHECK(cuMemAlloc(&inside, 16) == CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    CHECK(cuStreamEndCapture(stream, &graph) == CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  }
  SECTION("unless this thread said relaxed") {
    CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
    REQUIRE(cuThreadExchangeStreamCaptureMode(&mode) == CUDA_SUCCESS);
    CHECK(mode == CU_STREAM_CAPTURE_MODE_GLOBAL);
    CHECK(cuMemAlloc(&inside, 16) == CUDA_SUCCESS);
    REQUIRE(cuThreadExchangeStreamCaptureMode(&mode) == CUDA_SUCCESS);
    CHECK(cuStreamEndCapture(stream, &graph) == CUDA_SUCCESS);
  }
  REQUIRE(cuStreamIsCapturing(other, &status) == CUDA_SUCCESS);
  CHECK(status == CU_STREAM_CAPTURE_STATUS_NONE);
}

TEST_CASE("host functions run in order, before a synchronization ends") {
  const SimDevice device;
  static std::vector<int> order;
  order.clear();
  static int numbers[100];
  for (int i = 0; i < 100; ++i) {
    numbers[i] = i;
    REQUIRE(cuLaunchHostFunc(
                nullptr, [](void* data) { order.push_back(*static_cast<int*>(data)); }, &numbers[i]) == CUDA_SUCCESS);
  }
  REQUIRE(cuStreamSynchronize(nullptr) == CUDA_SUCCESS);
  REQUIRE(order.size() == 100);
  for (int i = 0; i < 100; ++i) CHECK(order[static_cast<size_t>(i)] == i);
}
