// Numbers as people read them; every text output of the tools uses these.
#pragma once

#include <cstdint>
#include <string>

namespace vramtrack {

/// "512 B", "8.13 MiB", "11.2 GiB", "612 MiB": binary units, three significant digits, never rounded up to 1024.
std::string human_bytes(std::uint64_t bytes);

/// "612.0 MiB", "512 B": one digit after the point, for columns that align at it.
std::string table_bytes(std::uint64_t bytes);

/// As human_bytes, with a sign: "+36.0 MiB", "-512 B", "0 B".
std::string signed_bytes(double bytes);

/// "0.41 s", "12.3 s", "2 min 31 s", "3 h 02 min", "2 d 4 h".
std::string human_duration(double seconds);

/// The nearest whole number, 0 for a negative one or none; of too large a number, the largest. A plain cast of such a
/// number is undefined.
std::uint64_t whole(double value);

/// "1,204".
std::string human_count(std::uint64_t count);

/// A version of CUDA as CUDA gives it: 13000 is "13.0".
std::string cuda_version(std::uint64_t number);

/// "1 block", "214 blocks", "1,204 blocks".
std::string plural(std::uint64_t count, const char* singular);

}  // namespace vramtrack
