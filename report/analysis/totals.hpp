// What each layer, device and kind of memory holds and held: the trace's accounts in a report's words.
#pragma once

#include <cstdint>
#include <vector>

#include "contract/reader.hpp"
#include "report/model/model.hpp"

namespace vramtrack {

const char* layer_name(std::uint8_t layer);
const char* kind_name(std::uint8_t kind);

/// One entry for each account of a single kind (the sums of kinds are left out), the tensor layer first.
std::vector<Total> totals_of(const trace::TraceFile& trace);

}  // namespace vramtrack
