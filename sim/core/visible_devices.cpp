#include "sim/core/visible_devices.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "contract/option_parse.hpp"

namespace vramtrack::sim {
namespace {

/// -1 when the entry names no device, or more than one.
int device_of(std::string_view entry, int devices) {
  if (entry.starts_with("GPU-")) {
    int found = -1;
    for (int ordinal = 0; ordinal < devices; ++ordinal) {
      if (!device_uuid_text(ordinal).starts_with(entry)) continue;
      if (found >= 0) return -1;
      found = ordinal;
    }
    return found;
  }
  int ordinal = -1;
  std::from_chars(entry.data(), entry.data() + entry.size(), ordinal);
  return ordinal < devices ? ordinal : -1;
}

}  // namespace

void device_uuid(int ordinal, char (&bytes)[16]) {
  std::memcpy(bytes, "vramtrack-sim-\0", 15);
  bytes[15] = static_cast<char>(ordinal);
}

std::string device_uuid_text(int ordinal) {
  char bytes[16];
  device_uuid(ordinal, bytes);
  std::string text = "GPU";
  for (int i = 0; i < 16; ++i) {
    char hex[8];
    const bool group = i == 0 || i == 4 || i == 6 || i == 8 || i == 10;
    std::snprintf(hex, sizeof hex, "%s%02x", group ? "-" : "", static_cast<unsigned char>(bytes[i]));
    text += hex;
  }
  return text;
}

std::vector<int> visible_devices(const char* list, int devices) {
  std::vector<int> visible;
  if (list == nullptr) {
    for (int ordinal = 0; ordinal < devices; ++ordinal) visible.push_back(ordinal);
    return visible;
  }
  std::string_view rest = list;
  for (bool more = true; more;) {
    const std::size_t comma = rest.find(',');
    more = comma != rest.npos;
    const int ordinal = device_of(option::detail::trimmed(rest.substr(0, comma)), devices);
    if (ordinal < 0) break;
    if (std::find(visible.begin(), visible.end(), ordinal) != visible.end()) return {};
    visible.push_back(ordinal);
    if (more) rest.remove_prefix(comma + 1);
  }
  return visible;
}

std::vector<int> visible_devices(int devices) { return visible_devices(std::getenv("CUDA_VISIBLE_DEVICES"), devices); }

}  // namespace vramtrack::sim
