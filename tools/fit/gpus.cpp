#include "tools/fit/gpus.hpp"

#include <algorithm>
#include <cctype>

#include "contract/option_parse.hpp"
#include "contract/sim_settings.hpp"
#include "tools/command.hpp"

namespace vramtrack::tools::fit {
namespace {

struct Row {
  const char* name;
  const char* title;
  std::uint64_t usable_mib, context_mib;
  const char* source;
};
constexpr Row rows[] = {
#define GPU(name, title, usable_mib, context_mib, source) {name, title, usable_mib, context_mib, source},
#include "tools/fit/gpus.def"
#undef GPU
};

/// "RTX 4090", "rtx_4090" and "rtx4090" are one name.
std::string plain(const std::string& text) {
  std::string out;
  for (const char c : text)
    if (std::isalnum(static_cast<unsigned char>(c))) out += static_cast<char>(std::tolower(c));
  return out;
}

}  // namespace

std::string Gpu::sim() const {
  return (devices == 1 ? "" : std::to_string(devices) + "x") + std::to_string(total_bytes);
}

std::string gpu_names() {
  std::string names;
  for (const Row& row : rows) names += (names.empty() ? "" : ", ") + std::string(row.name);
  return names;
}

Gpu find_gpu(const std::string& text) {
  constexpr std::uint64_t page = 2ull << 20;
  Gpu gpu;
  gpu.asked = text;
  std::string name = text;
  if (const auto x = text.find('x'); x != text.npos && x > 0 && x <= 2 &&
                                     std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(x),
                                                 [](unsigned char c) { return std::isdigit(c) != 0; }))
    name = text.substr(x + 1);  // of "4xh100"
  std::vector<std::string> names;
  for (const Row& row : rows) {
    names.emplace_back(row.name);
    if (plain(row.name) != plain(name)) continue;
    sim::Settings settings;
    std::string why;
    const std::string count = text.substr(0, text.size() - name.size());
    if (!sim::parse_settings(count + "1GiB", settings, why)) throw UsageError("--gpu " + text + ": " + why);
    gpu.title = row.title;
    gpu.devices = settings.devices;
    gpu.total_bytes = (row.usable_mib << 20) / page * page;
    gpu.context_bytes = ((row.context_mib << 20) + page - 1) / page * page;
    gpu.source = row.source;
    return gpu;
  }
  sim::Settings settings;
  std::string why;
  if (!sim::parse_settings(text, settings, why)) {
    std::uint64_t bytes = 0;
    if (option::parse_size(name, bytes)) throw UsageError("--gpu " + text + ": " + why);
    // "a100", of which there are several.
    std::string several;
    for (const std::string& known : names)
      if (known.starts_with(name + "-")) several += (several.empty() ? "" : " or ") + known;
    const std::string near = several.empty() ? nearest(name, names) : several;
    throw UsageError("--gpu " + text + ": not a size such as 24GiB, nor a GPU that is known here" +
                     (near.empty() ? " (" + gpu_names() + ")" : "; did you mean " + near + "?"));
  }
  gpu.devices = settings.devices;
  gpu.total_bytes = settings.device_bytes;
  gpu.context_bytes = settings.context_bytes;
  return gpu;
}

}  // namespace vramtrack::tools::fit
