// The encoders against bytes worked out by hand from the formats' own definitions.
#include <catch2/catch.hpp>
#include <limits>
#include <sstream>

#include "report/render/gzip.hpp"
#include "report/render/pickle.hpp"
#include "report/render/protobuf.hpp"

#include <zlib.h>

using namespace vramtrack::render;

namespace {

std::string bytes(std::initializer_list<int> values) {
  std::string text;
  for (const int value : values) text += static_cast<char>(value);
  return text;
}

std::string pickled(std::uint64_t value) {
  PickleWriter writer;
  writer.integer(value);
  return writer.finish().substr(2);  // without the protocol
}

std::string inflate_gzip(const std::string& packed) {
  z_stream stream{};
  REQUIRE(inflateInit2(&stream, 15 + 16) == Z_OK);
  std::string out(1 << 22, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  REQUIRE(inflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  inflateEnd(&stream);
  return out;
}

}  // namespace

TEST_CASE("protobuf: varints, negative numbers, strings, nested and packed fields") {
  ProtobufMessage message;
  message.number(1, 0);
  message.number(2, 150);
  message.integer(3, -1);
  message.text(4, "hi");
  CHECK(message.bytes() == bytes({0x08, 0x00, 0x10, 0x96, 0x01, 0x18, 0xff, 0xff, 0xff, 0xff,
                                  0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0x22, 0x02, 'h',  'i'}));
  ProtobufMessage outer;
  ProtobufMessage inner;
  inner.number(1, 300);
  outer.message(16, inner);  // a key of two bytes
  const std::vector<std::uint64_t> values{3, 270, 86942};
  outer.packed<std::uint64_t>(4, values);
  CHECK(outer.bytes() == bytes({0x82, 0x01, 0x03, 0x08, 0xac, 0x02, 0x22, 0x06, 0x03, 0x8e, 0x02, 0x9e, 0xa7, 0x05}));
}

TEST_CASE("pickle: integers take the shortest form that keeps their sign") {
  CHECK(pickled(0) == bytes({'K', 0, '.'}));
  CHECK(pickled(255) == bytes({'K', 255, '.'}));
  CHECK(pickled(256) == bytes({'M', 0, 1, '.'}));
  CHECK(pickled(65536) == bytes({'J', 0, 0, 1, 0, '.'}));
  CHECK(pickled(0x7fffffff) == bytes({'J', 0xff, 0xff, 0xff, 0x7f, '.'}));
  CHECK(pickled(0x80000000) == bytes({0x8a, 5, 0, 0, 0, 0x80, 0, '.'}));
  CHECK(pickled(0x7f0000000000) == bytes({0x8a, 6, 0, 0, 0, 0, 0, 0x7f, '.'}));
  CHECK(pickled(std::numeric_limits<std::uint64_t>::max()) ==
        bytes({0x8a, 9, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, '.'}));
}

TEST_CASE("pickle: a string is written once, then recalled") {
  PickleWriter writer;
  writer.begin_dict();
  writer.text("ab");
  writer.text("ab");
  writer.end_dict();
  CHECK(writer.finish() == bytes({0x80, 2, '}', '(', 'X', 2, 0, 0, 0, 'a', 'b', 'q', 0, 'h', 0, 'u', '.'}));
}

TEST_CASE("pickle: lists are appended in batches, nested ones count by themselves") {
  PickleWriter writer;
  PickleList list(writer);
  for (int i = 0; i < 2500; ++i) {
    list.next();
    PickleList inner(writer);
    inner.end();
  }
  list.end();
  const std::string text = writer.finish();
  std::size_t batches = 0;
  for (std::size_t at = text.find("e("); at != std::string::npos; at = text.find("e(", at + 1)) ++batches;
  CHECK(batches == 2);
}

TEST_CASE("gzip: round trip of nothing, a little and more than its buffer") {
  std::string large;
  for (unsigned i = 0; i < 300000; ++i) large += static_cast<char>(i * 7919u >> 3);
  for (const std::string& text : {std::string(), std::string("x"), large}) {
    std::ostringstream out;
    write_gzip(text, out);
    CHECK(inflate_gzip(out.str()) == text);
  }
}
