#include "contract/sim_settings.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>

namespace vramtrack::sim {

namespace {

constexpr std::uint64_t page = 2ull << 20;
constexpr std::uint64_t smallest_device = 16ull << 20;
constexpr std::uint64_t largest_device = 1ull << 42;  // 4 TiB: keeps all devices inside the address space

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front()))) text.remove_prefix(1);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.remove_suffix(1);
  return text;
}

bool unit_factor(std::string_view unit, double& factor) {
  std::string lower(unit);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
  static constexpr struct {
    const char* name;
    double factor;
  } units[] = {{"", 1},
               {"b", 1},
               {"k", 1024.},
               {"kib", 1024.},
               {"kb", 1e3},
               {"m", 1048576.},
               {"mib", 1048576.},
               {"mb", 1e6},
               {"g", 1073741824.},
               {"gib", 1073741824.},
               {"gb", 1e9},
               {"t", 1099511627776.},
               {"tib", 1099511627776.},
               {"tb", 1e12}};
  for (const auto& known : units) {
    if (lower == known.name) {
      factor = known.factor;
      return true;
    }
  }
  return false;
}

}  // namespace

bool parse_bytes(std::string_view text, std::uint64_t& bytes) {
  text = trimmed(text);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end == text.data() || !(value >= 0)) return false;
  double factor = 0;
  if (!unit_factor(trimmed(text.substr(static_cast<std::size_t>(end - text.data()))), factor)) return false;
  const double result = value * factor;
  if (!(result < 9e18)) return false;
  bytes = static_cast<std::uint64_t>(result);
  return true;
}

std::uint64_t default_context_bytes(std::uint64_t device_bytes) {
  return std::min<std::uint64_t>(device_bytes / 64, 480ull << 20) / page * page;
}

bool parse_settings(std::string_view text, Settings& settings, std::string& why) {
  text = trimmed(text);
  std::string_view size = text;
  int devices = 1;
  if (const auto x = text.find_first_of("xX"); x != std::string_view::npos) {
    const auto count = trimmed(text.substr(0, x));
    const auto [end, error] = std::from_chars(count.data(), count.data() + count.size(), devices);
    if (error != std::errc{} || end != count.data() + count.size() || devices < 1 || devices > max_devices) {
      why.assign(count).append(" is not a number of devices from 1 to ").append(std::to_string(max_devices));
      return false;
    }
    size = text.substr(x + 1);
  }
  std::uint64_t bytes = 0;
  if (!parse_bytes(size, bytes)) {
    why.assign("not a size such as 80GiB, 512MiB or 2x24GiB");
    return false;
  }
  if (bytes < smallest_device || bytes > largest_device) {
    why.assign("a simulated device has between 16MiB and 4TiB of memory");
    return false;
  }
  settings.devices = devices;
  settings.device_bytes = bytes / page * page;
  settings.context_bytes = default_context_bytes(settings.device_bytes);
  return true;
}

}  // namespace vramtrack::sim
