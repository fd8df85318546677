// Facts: what the traced process writes (fact_writer.hpp) and the tools read (read_fact.hpp).
#include "interpose/trace/fact_writer.hpp"
#include "report/model/fact_fields.hpp"
#include "report/model/read_fact.hpp"
#include "test/unit/trace/temporary_trace.hpp"

using namespace vramtrack;
using fact::Type;
using trace::FactWriter;

namespace {
constexpr fact::Field<Type::text> name{"name", 0}, empty{"empty", 1}, text{"text", 1};
constexpr fact::Field<Type::flag> yes{"yes", 2};
constexpr fact::Field<Type::number> nothing{"nothing", 3}, first{"first", 0}, i_field{"i", 0};
constexpr fact::Field<Type::texts> numbers_field{"numbers", 4}, list_field{"list", 0};
constexpr fact::Field<Type::parts> items{"items", 1};
}  // namespace

TEST_CASE("a fact is read as it was written") {
  FactWriter fact;
  fact.begin_map();
  fact.field(name, "a \"quoted\" \\ name\n");
  fact.field(empty, "");
  fact.field(yes, true);
  fact.null_field(nothing);
  fact.begin_list(numbers_field);
  const std::vector<std::uint64_t> numbers = {0, 23, 24, 255, 256, 65535, 65536, 4294967295, 4294967296, UINT64_MAX};
  for (const std::uint64_t number : numbers) fact.number(number);
  fact.end();
  const Json json = read_fact(fact.bytes());  // closes what is open
  CHECK(fact.complete());
  CHECK(json["name"] == "a \"quoted\" \\ name\n");
  CHECK(json["empty"] == "");
  CHECK(json["yes"] == true);
  CHECK(json["nothing"].is_null());
  CHECK(json["numbers"].get<std::vector<std::uint64_t>>() == numbers);
  // The form is CBOR's: another implementation reads the same.
  const std::string bytes(fact.bytes());
  CHECK(Json::from_cbor(bytes.begin() + 3, bytes.end()) == json);
}

TEST_CASE("a fact of any length is whole: all the devices of a large machine") {
  TemporaryTrace trace;
  FactWriter fact;
  fact.begin_list();
  for (std::uint64_t device = 0; device < 1000; ++device) {
    fact.begin_map();
    fact.field(fact::memory_info::device, device);
    fact.field(fact::memory_info::free_bytes, std::uint64_t{80} << 30);
    fact.end();
  }
  REQUIRE(fact.write("memory_info", 3));
  const trace::TraceFile file = trace.read();
  const std::string* value = file.note("memory_info", 3);
  REQUIRE(value != nullptr);
  const Json json = read_fact(*value);
  REQUIRE(json.size() == 1000);
  CHECK(json[999]["device"] == 999);
}

TEST_CASE("a fact beyond its bound ends behind its last whole element") {
  const std::size_t capacity = GENERATE(range(32, 400, 7));
  CAPTURE(capacity);
  FactWriter fact(capacity);
  fact.begin_map();
  fact.field(first, std::uint64_t{1});
  fact.begin_list(items);
  for (std::uint64_t i = 0; i < 100; ++i) {
    fact.begin_map();
    fact.field(i_field, i);
    fact.field(text, "some text");
    fact.end();
  }
  fact.end();
  CHECK_FALSE(fact.complete());
  CHECK(fact.bytes().size() <= capacity);
  const Json json = read_fact(fact.bytes());
  REQUIRE(json.is_object());
  if (!json.contains("items")) return;
  for (std::size_t i = 0; i < json["items"].size(); ++i)
    CHECK(json["items"][i] == Json{{"i", i}, {"text", "some text"}});
}

TEST_CASE("a damaged fact is null, an older one is JSON, a plain one text") {
  FactWriter fact;
  fact.begin_map();
  fact.begin_list(list_field);
  fact.text("one");
  const std::string whole(fact.bytes());
  for (std::size_t size = 3; size < whole.size(); ++size) CHECK(read_fact(whole.substr(0, size)).is_null());
  CHECK(read_fact(whole + "x").is_null());
  std::string deep(fact::mark);
  deep.append(100'000, static_cast<char>(fact::code::list));
  CHECK(read_fact(deep).is_null());
  CHECK(read_fact(std::string(fact::mark) + "\x7b\xff\xff\xff\xff\xff\xff\xff\xff").is_null());
  for (int byte = 0; byte < 256; ++byte) {
    std::string changed = whole;
    changed[5] = static_cast<char>(byte);
    read_fact(changed);  // whatever it is, it is read without harm
  }
  CHECK(read_fact(R"({"device": 0})")["device"] == 0);
  CHECK(read_fact("python train.py") == "python train.py");
  CHECK(read_fact("\xff\xfe").is_string());
}

TEST_CASE("the Python agent's facts of old say the same") {
  const Json tensors =
      read_fact(R"({"tensors":[{"a":4096,"s":[2,3],"d":"float32","n":"","r":"python","h":"x","q":1}]})");
  REQUIRE(tensors.size() == 1);
  CHECK(get(tensors[0], fact::tensors::a) == 4096);
  CHECK(get(tensors[0], fact::tensors::s) == std::vector<std::uint64_t>{2, 3});
  CHECK(get(tensors[0], fact::tensors::h) == "x");
  for (const char* text : {R"([{"step":3,"holders":[{"h":"x","k":1,"lim":0,"types":[["AddBackward0",7]]}]}])",
                           R"({"step":3,"holders":[{"h":"x","k":1,"lim":0,"types":[["AddBackward0",7]]}]})"}) {
    const Json fact = read_fact(text);
    const auto holders = get(fact.is_array() ? fact[0] : fact, fact::looks::holders);
    REQUIRE(holders.size() == 1);
    CHECK(get(*holders[0], fact::holder::k) == true);
    CHECK(get(*holders[0], fact::holder::lim) == false);
    const auto types = get(*holders[0], fact::holder::types);
    REQUIRE(types.size() == 1);
    CHECK(get(*types[0], fact::node_type::count) == 7);
  }
}

TEST_CASE("a fact may grow to its bound, and no further") {
  for (const std::size_t rows : {50u, 100'000u}) {
    FactWriter fact(4096, 1 << 16);
    fact.begin_list();
    for (std::size_t i = 0; i < rows; ++i) {
      fact.begin_row();
      fact.item(fact::marks::ticks, i);
      fact.item(fact::marks::name, std::string(100, 'x'));
      fact.end();
    }
    CHECK(fact.complete() == (rows == 50));
    CHECK(fact.bytes().size() <= 1 << 16);
    const Json json = read_fact(fact.bytes());
    CHECK(json.size() >= (rows == 50 ? 50 : 500));
    CHECK(get(json.back(), fact::marks::ticks) == json.size() - 1);
  }
}

TEST_CASE("a field is read by name from a map and by position from a row, with the type of the table") {
  FactWriter fact;
  fact.begin_map();
  fact.field(fact::audit::complete, true);
  fact.field(fact::audit::version, std::uint64_t{130000});
  fact.null_field(fact::audit::unavailable);
  fact.begin_list(fact::audit::missed_functions);
  fact.begin_map();
  fact.field(fact::calls::function, "cudaMalloc");
  fact.field(fact::calls::count, std::uint64_t{3});
  const Json map = read_fact(fact.bytes());
  CHECK(get(map, fact::audit::complete) == true);
  CHECK(get(map, fact::audit::version) == 130000);
  CHECK_FALSE(get(map, fact::audit::unavailable));
  CHECK_FALSE(get(map, fact::audit::source));
  const auto calls = get(map, fact::audit::missed_functions);
  REQUIRE(calls.size() == 1);
  CHECK(get(*calls[0], fact::calls::function) == "cudaMalloc");
  CHECK(get(*calls[0], fact::calls::count) == 3);
  CHECK_FALSE(get(*calls[0], fact::calls::bytes));

  FactWriter row;
  row.begin_list();
  row.item(fact::marks::ticks, 5);
  row.item(fact::marks::name, "half");
  const Json list = read_fact(row.bytes());
  CHECK(get(list, fact::marks::ticks) == 5);
  CHECK(get(list, fact::marks::name) == "half");
  CHECK_FALSE(get(list, fact::marks::live_bytes));

  CHECK_FALSE(get(Json{{"complete", 1}}, fact::audit::complete));
  CHECK_FALSE(get(Json{{"version", "x"}}, fact::audit::version));
  CHECK(get(Json("text"), fact::doors::by_name).empty());
  CHECK(get(Json{{"by_name", {1, "cudaMalloc"}}}, fact::doors::by_name) == std::vector<std::string>{"cudaMalloc"});
}
