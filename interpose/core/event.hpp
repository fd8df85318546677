// What a hook tells the recorder. Plain values, no ownership.
#pragma once

#include <cstdint>

#include "contract/layout.hpp"

namespace vramtrack {

using trace::Kind;
using trace::Layer;

using trace::no_stack;
using trace::number_of;
using trace::StackId;

/// The registers of a hook's own frame: where stack capture starts. Take it with VRAMTRACK_HERE() in the exported
/// function itself, so that its caller is the first frame recorded.
struct CaptureStart {
  std::uintptr_t ip;  // return address of the hook: an address in its caller
  std::uintptr_t sp;  // stack pointer in the caller just after the call returned (the hook's CFA)
  std::uintptr_t bp;  // caller's frame pointer register as it was when the hook was entered
};
// __builtin_frame_address makes the compiler set up a frame record, whose first word is the caller's frame pointer on
// both x86-64 and aarch64. Where the record lies within the frame differs, so the CFA is asked for by itself.
#define VRAMTRACK_HERE()                                                     \
  ::vramtrack::CaptureStart {                                                \
    reinterpret_cast<std::uintptr_t>(__builtin_return_address(0)),           \
        reinterpret_cast<std::uintptr_t>(__builtin_dwarf_cfa()),             \
        *reinterpret_cast<const std::uintptr_t*>(__builtin_frame_address(0)) \
  }

struct AllocEvent {
  Layer layer;
  Kind kind;
  std::int16_t device;    // -1: host memory
  std::uint64_t address;  // or a handle; unique within (layer, kind's address space) while live
  std::uint64_t bytes;
  std::uint64_t stream;
  std::uint64_t reserved_bytes;  // tensor layer: the allocator's total after the event; else 0
};

struct FreeEvent {
  Layer layer;
  std::int16_t device;  // tensor layer: the device that the allocator named; cuda layer: ignored
  Kind kind;            // decides the address space: device/pool/managed/graph/ipc/external pointers share one;
                        // host_pinned and registered share one; array and vmm have one each
  std::uint64_t address;
  std::uint64_t reserved_bytes;
};

}  // namespace vramtrack
