// What a trace says about its process and machine: command, ranks, versions, devices. Everything optional.
#pragma once

#include "contract/reader.hpp"
#include "report/model/model.hpp"

namespace vramtrack {

/// When the process began and ended, and how: what the header tells of it.
void set_times(Process& process, const trace::TraceFile& trace);

Process process_facts(const trace::TraceFile& trace);
Environment environment_facts(const trace::TraceFile& trace);

/// A note as JSON; null when it is missing or damaged.
Json json_note(const trace::TraceFile& trace, std::string_view key, std::uint32_t n = 0);

/// RFC 3339 with milliseconds, UTC.
std::string rfc3339(std::uint64_t nanoseconds_since_epoch);

}  // namespace vramtrack
