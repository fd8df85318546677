// pprof's profile.proto, gzip'ed: what `go tool pprof` reads. One sample type per layer and measure (tensor_live_bytes,
// cuda_live_bytes, ...); labels carry what a site is beside its stack, for -tagfocus and -tagshow.
#include <map>
#include <ostream>

#include "report/analysis/call_paths.hpp"
#include "report/model/sites.hpp"
#include "report/render/gzip.hpp"
#include "report/render/protobuf.hpp"
#include "report/render/render.hpp"
#include "report/support/units.hpp"

namespace vramtrack::render {
namespace {

// Field numbers of profile.proto.
namespace profile_field {
enum {
  sample_type = 1,
  sample,
  mapping,
  location,
  function,
  string_table,
  time_nanos = 9,
  duration_nanos = 10,
  period_type = 11,
  period = 12,
  comment = 13,
  default_sample_type = 14
};
}
namespace value_type_field {
enum { type = 1, unit };
}
namespace sample_field {
enum { location_id = 1, value, label };
}
namespace label_field {
enum { key = 1, str };
}
namespace mapping_field {
enum { id = 1, filename = 5, build_id = 6, has_functions = 7, has_filenames, has_line_numbers, has_inline_frames };
}
namespace location_field {
enum { id = 1, mapping_id, address, line };
}
namespace line_field {
enum { function_id = 1, line };
}
namespace function_field {
enum { id = 1, name, system_name, filename };
}

const char* const layers[] = {"tensor", "cuda"};

/// Builds the tables of a profile; equal entries are written once.
class ProfileBuilder {
 public:
  explicit ProfileBuilder(const Report& report) : report_(report), paths_(report) { text(""); }

  std::string build();

 private:
  std::uint64_t text(const std::string& value) {
    const auto [at, fresh] = strings_.emplace(value, strings_.size());
    if (fresh) string_table_.text(profile_field::string_table, value);
    return at->second;
  }

  std::uint64_t mapping(const std::string& path);
  std::uint64_t function(const Frame& frame);
  std::uint64_t location(const std::vector<FrameId>& frames);
  std::vector<std::uint64_t> locations(const std::vector<FrameId>& path);
  ProtobufMessage label(const char* key, const std::string& value);
  ProtobufMessage value_type(const std::string& type, const char* unit);
  void add_sample(const SiteReport& site);

  const Report& report_;
  CallPaths paths_;
  std::map<std::string, std::uint64_t> strings_;
  std::map<std::string, std::uint64_t> mappings_;
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::uint64_t> functions_;
  std::map<std::vector<FrameId>, std::uint64_t> locations_;
  ProtobufMessage out_, string_table_;
};

std::uint64_t ProfileBuilder::mapping(const std::string& path) {
  const auto [at, fresh] = mappings_.emplace(path, mappings_.size() + 1);
  if (!fresh) return at->second;
  ProtobufMessage entry;
  entry.number(mapping_field::id, at->second);
  entry.number(mapping_field::filename, text(path));
  if (const auto build_id = report_.build_ids.find(path); build_id != report_.build_ids.end()) {
    entry.number(mapping_field::build_id, text(build_id->second));
  }
  // All names are resolved: pprof must not look for the binary.
  entry.number(mapping_field::has_functions, 1);
  entry.number(mapping_field::has_filenames, 1);
  entry.number(mapping_field::has_line_numbers, 1);
  entry.number(mapping_field::has_inline_frames, 1);
  out_.message(profile_field::mapping, entry);
  return at->second;
}

std::uint64_t ProfileBuilder::function(const Frame& frame) {
  // A Python name says little without its file ("forward"), and pprof adds up functions of one name.
  const bool python = frame.kind == "python" && !frame.file.empty();
  const std::uint64_t name =
      text(python ? frame_name(frame) + " (" + std::string(file_name(frame.file)) + ")" : frame_name(frame));
  const std::uint64_t file = text(frame.file);
  const auto [at, fresh] = functions_.emplace(std::pair(name, file), functions_.size() + 1);
  if (!fresh) return at->second;
  ProtobufMessage entry;
  entry.number(function_field::id, at->second);
  entry.number(function_field::name, name);
  // No system_name: where it equals the name, pprof takes that for a mangled one and strips "<module>" from it.
  entry.number(function_field::filename, file);
  out_.message(profile_field::function, entry);
  return at->second;
}

/// A location is one address: a function and, before it, the functions inlined into it, innermost first.
std::uint64_t ProfileBuilder::location(const std::vector<FrameId>& frames) {
  const auto [at, fresh] = locations_.emplace(frames, locations_.size() + 1);
  if (!fresh) return at->second;
  ProtobufMessage entry;
  entry.number(location_field::id, at->second);
  if (const std::string& module = paths_[frames.back()].module; !module.empty()) {
    entry.number(location_field::mapping_id, mapping(module));
  }
  for (const FrameId id : frames) {
    ProtobufMessage line;
    line.number(line_field::function_id, function(paths_[id]));
    line.integer(line_field::line, paths_[id].line);
    entry.message(location_field::line, line);
  }
  out_.message(profile_field::location, entry);
  return at->second;
}

std::vector<std::uint64_t> ProfileBuilder::locations(const std::vector<FrameId>& path) {
  std::vector<std::uint64_t> ids;
  std::vector<FrameId> one;
  for (auto frame = path.rbegin(); frame != path.rend(); ++frame) {  // pprof wants the leaf first
    one.push_back(*frame);
    if (paths_[*frame].inlined && frame + 1 != path.rend()) continue;
    ids.push_back(location(one));
    one.clear();
  }
  return ids;
}

ProtobufMessage ProfileBuilder::label(const char* key, const std::string& value) {
  ProtobufMessage entry;
  entry.number(label_field::key, text(key));
  entry.number(label_field::str, text(value));
  return entry;
}

ProtobufMessage ProfileBuilder::value_type(const std::string& type, const char* unit) {
  ProtobufMessage entry;
  entry.number(value_type_field::type, text(type));
  entry.number(value_type_field::unit, text(unit));
  return entry;
}

void ProfileBuilder::add_sample(const SiteReport& site) {
  ProtobufMessage sample;
  sample.packed<std::uint64_t>(sample_field::location_id, locations(paths_.path(site)));
  std::vector<std::uint64_t> values;
  for (const char* layer : layers) {
    for (const Measure& measure : measures()) values.push_back(site.layer == layer ? measure.of(site) : 0);
  }
  sample.packed<std::uint64_t>(sample_field::value, values);
  sample.message(sample_field::label, label("layer", site.layer));
  sample.message(sample_field::label, label("device", device_name(site.device)));
  sample.message(sample_field::label, label("kind", site.kind));
  if (!site.owner.empty()) sample.message(sample_field::label, label("owner", site.owner));
  if (!site.verdict.empty()) sample.message(sample_field::label, label("verdict", site.verdict));
  sample.message(sample_field::label, label("site", std::to_string(site.id)));
  out_.message(profile_field::sample, sample);
}

std::string ProfileBuilder::build() {
  for (const char* layer : layers) {
    for (const Measure& measure : measures()) {
      out_.message(profile_field::sample_type, value_type(std::string(layer) + '_' + measure.name, measure.unit));
    }
  }
  mapping(report_.process.executable);  // pprof takes the first mapping for the program
  bool tensors = false;
  for (const SiteReport& site : report_.sites) {
    add_sample(site);
    tensors |= site.layer == "tensor";
  }
  out_.integer(profile_field::duration_nanos, static_cast<std::int64_t>(whole(report_.process.duration * 1e9)));
  out_.message(profile_field::period_type, value_type("space", "bytes"));
  out_.integer(profile_field::period, 1);
  out_.number(profile_field::comment, text(document_title(report_)));
  out_.number(profile_field::comment, text("at: " + report_.at));
  out_.number(profile_field::default_sample_type, text(tensors ? "tensor_live_bytes" : "cuda_live_bytes"));
  return string_table_.bytes() + out_.bytes();
}

}  // namespace

void pprof(const Report& report, std::ostream& out) { write_gzip(ProfileBuilder(report).build(), out); }

}  // namespace vramtrack::render
