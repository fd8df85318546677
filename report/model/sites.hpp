// Questions about a report's sites that several renderers and findings ask. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "report/model/model.hpp"

namespace vramtrack {

/// Code of an installed library or of the interpreter, not of the user (by where the file lies), or made by
/// torch.compile.
bool is_library_file(std::string_view file) noexcept;

/// A Python frame of the user's own code.
bool is_own_frame(const Frame& frame) noexcept;

/// The user's own line of a site: innermost own Python frame of the stack, else of the forward stack (a backward
/// allocation), else the innermost Python frame, else the innermost native frame of the program or any library that
/// is not CUDA's. Nothing only when the stack is empty.
std::optional<FrameId> own_frame(const Report& report, const SiteReport& site);
/// The same of a stack alone.
std::optional<FrameId> own_frame(const Report& report, const std::vector<FrameId>& stack);

/// The site with that number; nullptr: it is none, or was left out (--min-size).
const SiteReport* find_site(const Report& report, SiteId id);

/// The last component of a path.
std::string_view file_name(std::string_view path) noexcept;

/// "train.py:27" of a file and line, "train.py" where the line is not known (0).
std::string place(std::string_view file, int line);

/// "Block.__init__ (model.py:31)", "at::native::add (libtorch_cpu.so)".
std::string frame_label(const Frame& frame);

/// Whether anything was recorded: a report without says nothing about the program.
bool has_data(const Report& report);

/// Roles of what a model consists of: parameters, gradients, buffers, the optimizers' state.
bool is_model_role(std::string_view role) noexcept;

/// What has such a role, of bytes by role.
Bytes model_bytes(const BytesByName& roles);

/// What the site held when the memory of its device was at its highest: these add up to the peak. In reports that do
/// not say, the site's own highest.
Bytes at_peak(const SiteReport& site) noexcept;

/// Totals of devices that can be added up: of each layer of a device the one of all kinds, or of each kind where there
/// is none of all.
bool is_whole(const Report& report, const Total& total) noexcept;

/// The most that the tensor layer (or, without one, the cuda layer) held, all devices.
Bytes peak_bytes(const Report& report);

/// Sites that can be added up without counting memory twice: all but the segments of a caching allocator whose blocks
/// are in the tensor layer of the same device.
bool is_main_layer(const Report& report, const SiteReport& site);

/// Number of the out-of-memory event that the findings tell of; 0: of none.
std::uint32_t told_oom(const Report& report);

}  // namespace vramtrack
