// libFuzzer target of the trace reader: no input may crash it, or make it allocate more than a small multiple of the
// input. Build with clang and -DVRAMTRACK_FUZZ=ON; run: fuzz_trace -max_len=200000 CORPUS [SEEDS], e.g. test/golden.
#include <cstdint>
#include <sstream>

#include "report/render/dump.hpp"
#include "contract/replay.hpp"

using namespace vramtrack::trace;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
  try {
    const TraceFile file = read_trace(bytes, "fuzz");
    std::ostringstream out;
    dump(file, out);
    for (const Site& site : file.sites)
      if (const Stack* const stack = file.stack(site.stack); stack != nullptr)
        for (const std::uint64_t word : file.native_words(*stack)) file.module_at(word, stack->position);
    HistoryReader history(bytes, "fuzz");
    replay_timelines(history, file);
    replay_live(history, file, ~0ull);
  } catch (const TraceError&) {
  }
  return 0;
}
