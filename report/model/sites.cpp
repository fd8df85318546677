#include "report/model/sites.hpp"

#include <algorithm>
#include <array>

namespace vramtrack {
namespace {

bool contains(std::string_view text, std::string_view part) noexcept { return text.find(part) != text.npos; }

bool is_cuda_library(std::string_view module) noexcept {
  const std::string_view name = file_name(module);
  constexpr std::array<std::string_view, 4> prefixes = {"libcudart", "libcuda.so", "libc10_cuda", "libvramtrack"};
  return std::any_of(prefixes.begin(), prefixes.end(), [&](std::string_view p) { return name.rfind(p, 0) == 0; });
}

/// What torch.compile wrote: CACHE/xy/cxy....py, the name made of a digest in base 32.
bool is_compiled_module(std::string_view file) noexcept {
  constexpr std::size_t digits = 52, suffix = 3;
  if (file.size() < digits + suffix + 4 || file.substr(file.size() - suffix) != ".py") return false;
  const std::string_view name = file.substr(file.size() - suffix - digits, digits);
  const std::string_view before = file.substr(0, file.size() - suffix - digits);
  return name[0] == 'c' && name.find_first_not_of("abcdefghijklmnopqrstuvwxyz234567") == name.npos &&
         before.substr(before.size() - 4) == "/" + std::string(name.substr(1, 2)) + "/";
}

template <typename Predicate>
std::optional<FrameId> first(const Report& report, const std::vector<FrameId>& stack, Predicate wanted) {
  const auto found = std::find_if(stack.begin(), stack.end(),
                                  [&](FrameId id) { return id < report.frames.size() && wanted(report.frames[id]); });
  if (found == stack.end()) return std::nullopt;
  return *found;
}

}  // namespace

const SiteReport* find_site(const Report& report, SiteId id) {
  const auto at = std::ranges::find(report.sites, id, &SiteReport::id);
  return at == report.sites.end() ? nullptr : &*at;
}

std::string_view file_name(std::string_view path) noexcept {
  const std::size_t slash = path.rfind('/');
  return slash == path.npos ? path : path.substr(slash + 1);
}

bool is_library_file(std::string_view file) noexcept {
  if (contains(file, "/site-packages/") || contains(file, "/dist-packages/")) return true;
  if (file.rfind("<frozen ", 0) == 0 || file.rfind("<__array_function__", 0) == 0) return true;
  if (file.rfind("<eval_with_key>", 0) == 0 || is_compiled_module(file)) return true;  // torch.fx, torch.compile
  // The standard library: .../lib/python3.11/...; a virtual environment's own files are under site-packages.
  const std::size_t lib = file.find("/lib/python3.");
  return lib != file.npos && file.find('/', lib + 12) != file.npos;
}

bool is_own_frame(const Frame& frame) noexcept {
  return frame.kind == "python" && !frame.file.empty() && !is_library_file(frame.file);
}

std::optional<FrameId> own_frame(const Report& report, const SiteReport& site) {
  if (site.backward_of && !first(report, site.stack, is_own_frame)) {
    if (const auto own = first(report, *site.backward_of, is_own_frame)) return own;
  }
  return own_frame(report, site.stack);
}

std::optional<FrameId> own_frame(const Report& report, const std::vector<FrameId>& stack) {
  if (const auto own = first(report, stack, is_own_frame)) return own;
  const auto is_python = [](const Frame& frame) { return frame.kind == "python"; };
  if (const auto python = first(report, stack, is_python)) return python;
  const auto is_caller = [](const Frame& frame) { return !is_cuda_library(frame.module); };
  if (const auto native = first(report, stack, is_caller)) return native;
  if (stack.empty()) return std::nullopt;
  return stack.front();
}

bool is_model_role(std::string_view role) noexcept {
  return role == "parameter" || role == "gradient" || role == "buffer" || role == "optimizer_state";
}

Bytes model_bytes(const BytesByName& roles) {
  Bytes bytes = 0;
  for (const auto& [role, part] : roles)
    if (is_model_role(role)) bytes += part;
  return bytes;
}

bool has_data(const Report& report) {
  return !report.totals.empty() || !report.sites.empty() || !report.findings.empty() || !report.ooms.empty();
}

std::string place(std::string_view file, int line) {
  std::string text(file_name(file));
  if (line > 0) text += ":" + std::to_string(line);
  return text;
}

std::string frame_label(const Frame& frame) {
  std::string label = frame.function.empty() ? "??" : frame.function;
  if (frame.kind == "python" || (!frame.file.empty() && frame.line > 0)) {
    label += " (";
    label += place(frame.file, frame.line);
    label += ")";
  } else if (!frame.module.empty()) {
    label += " (";
    label += file_name(frame.module);
    label += ")";
  }
  return label;
}

Bytes at_peak(const SiteReport& site) noexcept { return site.at_peak_bytes.value_or(site.peak_bytes); }

bool is_whole(const Report& report, const Total& total) noexcept {
  if (total.device < 0) return false;
  return total.kind == "all" || std::ranges::none_of(report.totals, [&](const Total& other) {
           return other.kind == "all" && other.layer == total.layer && other.device == total.device;
         });
}

Bytes peak_bytes(const Report& report) {
  Bytes tensors = 0, cuda = 0;
  for (const Total& total : report.totals)
    if (is_whole(report, total)) (total.layer == "tensor" ? tensors : cuda) += total.peak_bytes;
  return tensors != 0 ? tensors : cuda;
}

bool is_main_layer(const Report& report, const SiteReport& site) {
  if (site.layer == "tensor" || site.owner != "torch") return true;
  return std::none_of(report.totals.begin(), report.totals.end(), [&](const Total& total) {
    return total.layer == "tensor" && total.device == site.device && total.allocated_count > 0;
  });
}

std::uint32_t told_oom(const Report& report) {
  const auto told = std::ranges::find(report.findings, "out-of-memory", &Finding::code);
  if (told == report.findings.end() || !told->evidence.is_object()) return 0;
  const auto n = told->evidence.find("n");  // a report that was read may have anything there
  return n != told->evidence.end() && n->is_number_unsigned() ? n->get<std::uint32_t>() : 0;
}

}  // namespace vramtrack
