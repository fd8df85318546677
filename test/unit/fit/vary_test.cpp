// What the words of `vramtrack fit` mean: --vary and --gpu.
#include <unistd.h>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tools/command.hpp"
#include "tools/fit/gpus.hpp"
#include "tools/fit/vary.hpp"

using namespace vramtrack::tools;
using namespace vramtrack::tools::fit;
namespace fs = std::filesystem;

TEST_CASE("a value goes into arguments and into the environment") {
  const std::vector<std::string> command{"train.py", "--batch={BATCH}", "{OTHER}"};
  const Vary vary = parse_vary("BATCH=8..64:8", command);
  CHECK(vary.count() == 8);
  CHECK(vary.at(7) == 64);
  const Prepared prepared = prepare(vary, 16, command, ".");
  CHECK(prepared.command == std::vector<std::string>{"train.py", "--batch=16", "{OTHER}"});
  CHECK(prepared.environment == std::vector<std::pair<std::string, std::string>>{{"BATCH", "16"}});
  const Vary variable = parse_vary("env:BATCH=1..3", command);
  CHECK(prepare(variable, 2, command, ".").command == command);
}

TEST_CASE("a value goes into a copy of a JSON file") {
  const fs::path folder = fs::temp_directory_path() / ("vramtrack-test-vary-" + std::to_string(getpid()));
  fs::create_directories(folder / "copies");
  const std::string file = (folder / "config.json").string();
  std::ofstream(file) << R"({"train": {"batch": [1, 2]}, "a.b": "7"})";
  const std::vector<std::string> command{"train.py", "--config=" + file};
  const Prepared prepared = prepare(parse_vary(file + ":train.batch.1=1..9", command), 5, command, folder / "copies");
  CHECK(prepared.command[1] == "--config=" + (folder / "copies" / "config.json").string());
  std::ifstream copy(folder / "copies" / "config.json"), original(file);
  CHECK(nlohmann::json::parse(copy)["train"]["batch"] == nlohmann::json::parse("[1, 5]"));
  CHECK(nlohmann::json::parse(original)["train"]["batch"][1] == 2);
  prepare(parse_vary(file + ":a.b=1..9", command), 3, command, folder / "copies");
  std::ifstream again(folder / "copies" / "config.json");
  CHECK(nlohmann::json::parse(again)["a.b"] == "3");
  CHECK_THROWS_WITH(parse_vary(file + ":train.size=1..9", command), Catch::Contains("has no key train.size"));
  CHECK_THROWS_AS(parse_vary(file + ":train.batch.1=1..9", {"train.py"}), UsageError);
  fs::remove_all(folder);
}

TEST_CASE("what is no range is refused") {
  for (const char* bad : {"", "BATCH", "BATCH=", "BATCH=4", "BATCH=8..4", "BATCH=a..b", "=1..4", "1x=1..4", "B=1..4:0",
                          "B=-1..4", "B=1..99999999999999999999", ":k=1..4", "f.json:=1..4"})
    CHECK_THROWS_AS(parse_vary(bad, {"train.py", "f.json"}), UsageError);
}

TEST_CASE("devices by size and by name") {
  CHECK(find_gpu("24GiB").total_bytes == 24ull << 30);
  CHECK(find_gpu("2x24GiB").devices == 2);
  const Gpu gpu = find_gpu("RTX 4090");
  CHECK(gpu.total_bytes < 24ull << 30);
  CHECK(gpu.total_bytes > 23ull << 30);
  CHECK(find_gpu("4xh100").devices == 4);
  CHECK(find_gpu("4xh100").sim() == "4x" + std::to_string(find_gpu("h100").total_bytes));
  CHECK_THROWS_WITH(find_gpu("a100"), Catch::Contains("a100-40gb or a100-80gb"));
  CHECK_THROWS_WITH(find_gpu("rtx4091"), Catch::Contains("did you mean rtx4090?"));
  CHECK_THROWS_AS(find_gpu("17x24GiB"), UsageError);
  CHECK_THROWS_AS(find_gpu("1KiB"), UsageError);
  CHECK_THROWS_AS(find_gpu(""), UsageError);
}
