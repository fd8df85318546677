#include "contract/sim_settings.hpp"

#include <algorithm>
#include <charconv>

namespace vramtrack::sim {

namespace {

constexpr std::uint64_t page = 2ull << 20;
constexpr std::uint64_t smallest_device = 16ull << 20;
constexpr std::uint64_t largest_device = 1ull << 42;  // 4 TiB: keeps all devices inside the address space

}  // namespace

std::uint64_t default_context_bytes(std::uint64_t device_bytes) {
  return std::min<std::uint64_t>(device_bytes / 64, 480ull << 20) / page * page;
}

bool parse_settings(std::string_view text, Settings& settings, std::string& why) {
  using option::detail::trimmed;
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
  if (!option::parse_size(size, bytes)) {
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
