#include "report/symbolize/stack_resolver.hpp"

#include <array>
#include <cstdio>

#include "report/support/utf8.hpp"
#include "report/symbolize/owner.hpp"
#include "report/symbolize/python_lines.hpp"

namespace vramtrack {
namespace {

std::string offset_name(std::uint64_t offset) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "+0x%llx", static_cast<unsigned long long>(offset));
  return text.data();
}

/// "/x/site-packages/torch/nn/modules/linear.py" -> "torch.nn.modules.linear"; a script's own name otherwise.
std::string python_module(const std::string& file) {
  constexpr std::array<std::string_view, 2> roots = {"/site-packages/", "/dist-packages/"};
  std::size_t begin = std::string::npos;
  for (const std::string_view root : roots) {
    const std::size_t at = file.rfind(root);
    if (at != std::string::npos) begin = at + root.size();
  }
  if (const std::size_t lib = file.rfind("/lib/python3."); begin == std::string::npos && lib != std::string::npos) {
    const std::size_t slash = file.find('/', lib + 5);
    if (slash != std::string::npos) begin = slash + 1;
  }
  const bool installed = begin != std::string::npos;
  if (!installed) begin = file.rfind('/') + 1;  // npos + 1 == 0
  std::string name = file.substr(begin);
  if (name.size() > 3 && name.compare(name.size() - 3, 3, ".py") == 0) name.resize(name.size() - 3);
  if (!installed) return name;
  for (char& c : name) c = c == '/' ? '.' : c;
  constexpr std::string_view init = ".__init__";
  if (name.size() > init.size() && name.compare(name.size() - init.size(), init.size(), init) == 0) {
    name.resize(name.size() - init.size());
  }
  return name;
}

/// The qualified name says which class or function it is in. A code object that was renamed (`code.replace(co_name=)`)
/// keeps its old one: what CPython's traces and other tools call it is its name.
std::string_view python_function(std::string_view name, std::string_view qualified) {
  if (!qualified.ends_with(name)) return name;
  const std::string_view scope = qualified.substr(0, qualified.size() - name.size());
  return scope.empty() || scope.back() == '.' ? qualified : name;
}

}  // namespace

StackResolver::StackResolver(const trace::TraceFile& trace, const SymbolOptions& options, Report& report)
    : trace_(trace),
      symbols_(options.symbols),
      report_(report),
      symbolizer_(options.symbol_cache, trace.owner),
      source_(options.source_text, trace.owner) {}

FrameId StackResolver::intern(Frame frame) {
  std::string key = frame.kind;
  for (const std::string* part : {&frame.function, &frame.file, &frame.module}) key.append(1, '\0').append(*part);
  key.append(1, '\0').append(std::to_string(frame.line)).append(frame.inlined ? "i" : "");
  const auto [at, added] = frames_.try_emplace(std::move(key), FrameId(report_.frames.size()));
  if (added) {
    frame.source = source_.line(frame.file, frame.line);
    report_.frames.push_back(std::move(frame));
  }
  return at->second;
}

FrameId StackResolver::python_frame(std::uint64_t word) {
  word &= ~trace::entry_bit;
  if (const auto found = python_.find(word); found != python_.end()) return found->second;
  const auto code_id = static_cast<std::uint32_t>((word & ~trace::python_frame_bit) >> 32);
  const auto offset = static_cast<std::uint32_t>(word);
  Frame frame;
  frame.kind = "python";
  if (const trace::Code* code = trace_.code(code_id)) {
    frame.file = utf8::sanitise(trace_.string(code->file));
    frame.function = utf8::sanitise(python_function(trace_.string(code->name), trace_.string(code->qualname)));
    frame.module = python_module(frame.file);
    const auto* table = reinterpret_cast<const std::uint8_t*>(code->line_table.data());
    const PythonCode lines{code->version, code->first_line, {table, code->line_table.size()}};
    // An unknown offset still has its function: its first line is better than none.
    frame.line = offset == trace::unknown_offset ? code->first_line : python_line(lines, offset).value_or(0);
  } else {
    ++report_.losses.unresolved_frames;
  }
  return python_[word] = intern(std::move(frame));
}

FrameId StackResolver::python_frame(std::string_view function, std::string_view file, int line) {
  Frame frame;
  frame.kind = "python";
  frame.function = utf8::sanitise(function);
  frame.file = utf8::sanitise(file);
  frame.module = python_module(frame.file);
  frame.line = line;
  return intern(std::move(frame));
}

const std::vector<FrameId>& StackResolver::shown(NativeAddress& address) {
  if (!address.unused.empty() && !address.resolved) ++report_.losses.unresolved_frames;
  for (Frame& frame : address.unused) address.frames.push_back(intern(std::move(frame)));
  address.unused.clear();
  return address.frames;
}

StackResolver::NativeAddress& StackResolver::native_address(const trace::Module* module, std::uint64_t address) {
  const auto [at, added] = native_.try_emplace({module == nullptr ? 0 : module->id + 1, address});
  NativeAddress& result = at->second;
  if (!added) return result;
  const std::string path = module == nullptr ? std::string() : module->path;
  // Return addresses point behind the call, which may be another line or function: one back is inside it.
  const std::uint64_t linked = module == nullptr ? address : address - module->base;
  std::vector<NativeFrame> found;
  if (symbols_ && module != nullptr && linked > 0) found = symbolizer_.resolve(path, module->build_id, linked - 1);
  result.role = native_role(found.empty() ? std::string_view() : std::string_view(found.back().function), path);
  const std::string shown_path = utf8::sanitise(path);
  if (module != nullptr && !module->build_id.empty()) report_.build_ids[shown_path] = module->build_id;
  for (NativeFrame& native : found) {
    Frame frame;
    frame.kind = "native";
    frame.function = utf8::sanitise(native.function);
    frame.file = utf8::sanitise(native.file);
    frame.line = native.line;
    frame.module = shown_path;
    frame.inlined = native.inlined;
    result.unused.push_back(std::move(frame));
  }
  if (found.empty()) {
    result.resolved = false;
    Frame frame;
    frame.kind = "native";
    frame.function = offset_name(linked);
    frame.module = shown_path;
    result.unused.push_back(std::move(frame));
  }
  return result;
}

const ResolvedStack& StackResolver::resolve(trace::StackId id) {
  const auto [at, added] = stacks_.try_emplace(id);
  ResolvedStack& result = at->second;
  if (!added) return result;
  const trace::Stack* stack = trace_.stack(id);
  if (stack == nullptr) {
    result.owner = "unknown";
    return result;
  }

  std::vector<std::uint8_t> entries;
  std::vector<FrameId> python;
  for (const std::uint64_t word : trace_.python_words(*stack)) {
    entries.push_back((word & trace::entry_bit) != 0);
    python.push_back(python_frame(word));
  }
  std::vector<NativeRole> roles;
  std::vector<NativeAddress*> native;
  std::vector<std::string_view> modules;
  for (const std::uint64_t address : trace_.native_words(*stack)) {
    const trace::Module* module = trace_.module_at(address - 1, stack->position);
    native.push_back(&native_address(module, address));
    roles.push_back(native.back()->role);
    modules.push_back(module == nullptr ? std::string_view() : std::string_view(module->path));
  }
  for (const MergedFrame& frame : merge_stack(entries, roles)) {
    if (frame.python) {
      result.frames.push_back(python[frame.index]);
    } else {
      const std::vector<FrameId>& ids = shown(*native[frame.index]);
      result.frames.insert(result.frames.end(), ids.begin(), ids.end());
    }
  }
  result.owner = owner_of_stack(modules);
  return result;
}

void StackResolver::finish() {
  symbolizer_.save();
  for (const std::string& note : symbolizer_.notes()) report_.losses.notes.push_back(note);
}

}  // namespace vramtrack
