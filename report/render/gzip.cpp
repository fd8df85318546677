#include "report/render/gzip.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <ostream>
#include <stdexcept>

namespace vramtrack::render {

void write_gzip(std::string_view bytes, std::ostream& out) {
  constexpr int gzip_window = 15 + 16;  // 15: the largest window; +16: gzip header and trailer instead of zlib's
  constexpr int memory_level = 8;
  z_stream stream{};
  if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, gzip_window, memory_level, Z_DEFAULT_STRATEGY) != Z_OK) {
    throw std::runtime_error("gzip: out of memory");
  }
  std::array<char, 64 * 1024> buffer;
  int state = Z_OK;
  do {
    if (stream.avail_in == 0 && !bytes.empty()) {  // avail_in is 32 bits wide: feed large input in parts
      const std::size_t part = std::min<std::size_t>(bytes.size(), 1u << 30);
      stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
      stream.avail_in = static_cast<uInt>(part);
      bytes.remove_prefix(part);
    }
    stream.next_out = reinterpret_cast<Bytef*>(buffer.data());
    stream.avail_out = static_cast<uInt>(buffer.size());
    state = deflate(&stream, bytes.empty() ? Z_FINISH : Z_NO_FLUSH);
    out.write(buffer.data(), static_cast<std::streamsize>(buffer.size() - stream.avail_out));
  } while (state == Z_OK);
  deflateEnd(&stream);
  if (state != Z_STREAM_END) throw std::runtime_error("gzip: compression failed");
}

}  // namespace vramtrack::render
