// What runs, besides its line: the nn.Module whose call a Python frame is, and the ranges that the program itself
// names. Each has a number (trace::LabelRecord) that is part of a stack. Any thread, no GIL.
#pragma once

#include <cstdint>
#include <string_view>

#include "interpose/stacks/python.hpp"

namespace vramtrack::stacks {

inline constexpr std::uint32_t no_label = 0;
inline constexpr std::uint32_t max_labels = 0xffff;  // of modules, and of ranges

/// Where the module stands in a frame of the code object that calls every module's forward().
struct ModuleCall {
  std::uint32_t slot;  // offset in the frame
  bool may_be_cell;    // an inner function may use `self` too: then the slot holds a cell
};

/// That code object (Module._wrapped_call_impl, before PyTorch 2.1 Module._call_impl), or nullptr: not seen yet.
extern std::atomic<const std::byte*> g_module_call_code;
extern ModuleCall g_module_call;

/// A code object was recorded under this name: it may be the one that calls modules.
void note_code(const Python& python, const std::byte* code, std::string_view name, std::string_view file) noexcept;
/// A code object died.
void forget_code(const std::byte* code) noexcept;

/// The module whose call this frame of g_module_call_code is; nullptr: none can be read.
inline const std::byte* called_module(const Python& python, const std::byte* frame) noexcept {
  // From 3.14 on the low bits are tags; objects are aligned.
  const auto address = read_at<std::uintptr_t>(frame, g_module_call.slot) & ~std::uintptr_t{7};
  const auto* object = reinterpret_cast<const std::byte*>(address);
  if (g_module_call.may_be_cell && object != nullptr) [[unlikely]]
    if (read_at<const void*>(object, python.layout.object_type) == python.cell_type)
      object = read_at<const std::byte*>(object, python.layout.cell_value);
  return object;
}

/// The number of a module, known by its address and class, recorded in the active trace when it is new. no_label when
/// there are too many, or it cannot be recorded.
std::uint32_t module_label(const Python& python, const std::byte* module) noexcept;

/// The number of a range's name. Names that differ in their digits alone are one when there are many of them.
std::uint32_t range_label(const char* text) noexcept;

/// The module that has this number, and its class; 0: it is a range's. False: no such number.
bool labelled_module(std::uint32_t label, std::uint64_t& address, std::uint64_t& type) noexcept;

/// The next trace knows no label yet. No other thread may be capturing.
void forget_labels() noexcept;
/// In a forked child: the lock is open.
void unlock_labels() noexcept;

}  // namespace vramtrack::stacks
