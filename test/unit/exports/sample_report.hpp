// A small report with both layers, a backward allocation, inlined frames, and names that try to break out.
#pragma once

#include "report/model/model.hpp"

namespace vramtrack::test {

inline Frame python_frame(std::string function, std::string file, int line) {
  Frame frame;
  frame.kind = "python";
  frame.function = std::move(function);
  frame.file = std::move(file);
  frame.line = line;
  return frame;
}

inline Frame native_frame(std::string function, std::string module, bool inlined = false) {
  Frame frame;
  frame.kind = "native";
  frame.function = std::move(function);
  frame.module = std::move(module);
  frame.inlined = inlined;
  return frame;
}

inline SiteReport make_site(std::uint32_t id, std::string layer, Bytes live, const std::vector<std::uint32_t>& stack) {
  SiteReport site;
  site.id = SiteId(id);
  site.kind = layer == "tensor" ? "block" : "device";
  site.layer = std::move(layer);
  site.owner = "torch";
  site.verdict = "steady";
  site.live_bytes = live;
  site.live_count = live > 0 ? 1 : 0;
  site.peak_bytes = live * 2;
  site.allocated_bytes = live * 10;
  site.allocated_count = 10;
  site.stack = std::vector<FrameId>(stack.begin(), stack.end());
  return site;
}

inline AllocationReport make_allocation(std::uint64_t address, Bytes bytes, const SiteReport& site) {
  AllocationReport allocation;
  allocation.address = address;
  allocation.bytes = bytes;
  allocation.layer = site.layer;
  allocation.kind = site.kind;
  allocation.device = site.device;
  allocation.site = site.id;
  allocation.time = 1.5;
  return allocation;
}

inline const std::string hostile = std::string("</script>\"';\\ \n\xe2\x80\xae", 18) + std::string(1, '\0') + "end";

inline constexpr std::uint64_t segment_address = 0x7f0000000000;
inline constexpr Bytes MiB = 1u << 20;

inline Report sample_report() {
  Report report;
  report.process.pid = 4242;
  report.process.command = {"python", "train.py", hostile};
  report.process.executable = "/usr/bin/python3";
  report.process.duration = 12.5;
  report.environment.devices = {{0, "Simulated GPU", 80ull << 30}};
  report.frames = {python_frame("<module>", "/src/train.py", 10),   python_frame("forward", "/src/model.py", 20),
                   native_frame("at::empty", "/lib/libtorch.so"),   native_frame("inner", "/lib/libtorch.so", true),
                   native_frame("cudaMalloc", "/lib/libcudart.so"), native_frame("thread_main", "/lib/libtorch.so"),
                   python_frame(hostile, "/src/" + hostile, 30),    native_frame("", "")};
  report.build_ids = {{"/lib/libtorch.so", "deadbeef"}};
  report.sites = {make_site(0, "cuda", 20 * MiB, {4, 3, 2, 1, 0}), make_site(1, "tensor", 6 * MiB, {3, 2, 1, 0}),
                  make_site(2, "tensor", 2 * MiB, {2, 5}), make_site(3, "tensor", 512, {6, 0}),
                  make_site(4, "cuda", 3 * MiB, {4, 7})};
  report.sites[2].backward_of = std::vector{FrameId(1), FrameId(0)};
  report.sites[4].owner = "cublas";
  report.allocations = {make_allocation(segment_address, 20 * MiB, report.sites[0]),
                        make_allocation(segment_address + MiB, 6 * MiB, report.sites[1]),
                        make_allocation(0x7e0000000000, 3 * MiB, report.sites[4]),
                        make_allocation(segment_address + 10 * MiB, 2 * MiB, report.sites[2]),
                        make_allocation(segment_address + 12 * MiB, 512, report.sites[3])};
  report.timeline = {{0.5, 0, "tensor", 0, 4 * MiB, 20 * MiB}, {12.5, 3, "tensor", 0, 8 * MiB + 512, 20 * MiB}};
  report.ooms = {
      {1, 9.5, 0, "tensor", 1u << 30, 8 * MiB, 20 * MiB, {}, {{SiteId(1), 6 * MiB, 1}, {SiteId(3), 512, 1}}, {}}};
  return report;
}

}  // namespace vramtrack::test
