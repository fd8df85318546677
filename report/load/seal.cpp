#include "report/load/seal.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>

#include "contract/extents.hpp"
#include "contract/layout.hpp"
#include "contract/mapped_input.hpp"
#include "contract/reader.hpp"
#include "report/support/files.hpp"
#include "report/support/units.hpp"

namespace vramtrack {
namespace {

using trace::ExtentHeader;
using trace::Run;
using trace::Seal;
using ByteSpan = std::span<const std::byte>;

constexpr std::size_t after_seal = offsetof(ExtentHeader, seal) + sizeof(Seal);

std::uint32_t sum_of(const Run& run) {
  ExtentHeader head = run.head;
  head.seal = {};
  const uLong sum = crc32_z(0, reinterpret_cast<const Bytef*>(&head), after_seal);
  const ByteSpan rest = run.bytes.subspan(after_seal);
  return static_cast<std::uint32_t>(crc32_z(sum, reinterpret_cast<const Bytef*>(rest.data()), rest.size()));
}

bool is_sealed(const Run& run) { return run.head.seal.mark == trace::seal_mark; }

}  // namespace

bool seal_trace(const std::string& path) {
  const files::Descriptor file(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW));
  if (!file || ::flock(file.number(), LOCK_EX | LOCK_NB) != 0) return false;
  try {
    const trace::MappedInput input(path, trace::Whose::own);
    trace::check_header(input.bytes(), path);
    struct stat locked {};
    struct stat named {};
    // Between the two openings another file may have got the name.
    if (::fstat(file.number(), &locked) != 0 || ::lstat(path.c_str(), &named) != 0 || locked.st_ino != named.st_ino ||
        locked.st_dev != named.st_dev)
      return false;
    const std::vector<Run> runs = trace::runs_of(input.bytes());
    if (std::any_of(runs.begin(), runs.end(), is_sealed)) return false;
    for (const Run& run : runs) {
      const Seal seal{trace::seal_mark, sum_of(run)};
      if (run.in_use() &&
          ::pwrite(file.number(), &seal, sizeof seal, static_cast<off_t>(run.at + offsetof(ExtentHeader, seal))) !=
              static_cast<ssize_t>(sizeof seal))
        return false;
    }
  } catch (const trace::TraceError&) {
    return false;  // whoever reads it says why
  }
  return true;
}

std::vector<std::string> broken_seals(ByteSpan bytes) {
  const std::vector<Run> runs = trace::runs_of(bytes);
  if (std::none_of(runs.begin(), runs.end(), is_sealed)) return {};
  std::size_t broken = 0, first = 0;
  for (const Run& run : runs) {
    if (is_sealed(run) ? run.head.seal.crc32 == sum_of(run) : !run.in_use()) continue;
    if (broken++ == 0) first = run.at;
  }
  if (broken == 0) return {};
  return {"the file is damaged: " + plural(broken, "part") +
          " of it changed after its process had ended, the first at byte " + std::to_string(first) +
          "; figures may be wrong"};
}

}  // namespace vramtrack
