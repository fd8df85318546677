// gzip, for formats that are compressed by definition.
#pragma once

#include <iosfwd>
#include <string_view>

namespace vramtrack::render {

/// Writes `bytes` as one gzip member without a time stamp (equal input gives equal output). Throws
/// std::runtime_error when zlib fails.
void write_gzip(std::string_view bytes, std::ostream& out);

}  // namespace vramtrack::render
