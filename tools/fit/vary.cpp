#include "tools/fit/vary.hpp"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "tools/command.hpp"

namespace vramtrack::tools::fit {
namespace fs = std::filesystem;
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* example = "write NAME=LO..HI, for example --vary BATCH=1..64";

Value number(const std::string& text, const std::string& whole) {
  Value value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < 0)
    throw UsageError("--vary " + whole + ": " +
                     (text.empty() ? "a number is missing" : text + " is not a whole number") + "; " + example);
  return value;
}

bool is_variable_name(const std::string& name) {
  return !name.empty() && std::isdigit(static_cast<unsigned char>(name[0])) == 0 &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) != 0 || c == '_'; });
}

bool contains(const std::vector<std::string>& words, const std::string& text) {
  return std::any_of(words.begin(), words.end(),
                     [&](const std::string& word) { return word.find(text) != std::string::npos; });
}

void replace_all(std::string& text, const std::string& from, const std::string& to) {
  for (std::size_t at = text.find(from); at != text.npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
}

/// The value in a document that `key` names: a key as it stands, or keys and indices joined by dots. nullptr: none.
Json* find_key(Json& document, const std::string& key) {
  if (document.is_object())
    if (const auto whole = document.find(key); whole != document.end()) return &*whole;
  const auto dot = key.find('.');
  if (dot == key.npos) {
    std::size_t index = 0;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), index);
    const bool is_index = error == std::errc{} && end == key.data() + key.size();
    return document.is_array() && is_index && index < document.size() ? &document[index] : nullptr;
  }
  Json* inner = find_key(document, key.substr(0, dot));
  return inner == nullptr ? nullptr : find_key(*inner, key.substr(dot + 1));
}

/// Throws when the file is not what --vary says.
Json read_json(const Vary& vary) {
  std::ifstream file(vary.name, std::ios::binary);
  if (!file) throw std::runtime_error(vary.name + ": cannot be read; --vary FILE.json:KEY=LO..HI names a JSON file");
  Json document;
  try {
    document = Json::parse(file);
  } catch (const nlohmann::json::parse_error& error) {
    throw std::runtime_error(vary.name + ": not JSON (at byte " + std::to_string(error.byte) + ")");
  }
  const Json* found = find_key(document, vary.key);
  if (found == nullptr) throw std::runtime_error(vary.name + ": has no key " + vary.key);
  if (!found->is_number() && !found->is_string())
    throw std::runtime_error(vary.name + ": " + vary.key + " is neither a number nor a text");
  return document;
}

}  // namespace

Vary parse_vary(const std::string& text, const std::vector<std::string>& command) {
  Vary vary;
  const auto equals = text.rfind('=');
  const auto dots = equals == text.npos ? text.npos : text.find("..", equals);
  if (dots == text.npos) throw UsageError("--vary " + text + ": no range; " + std::string(example));
  std::string name = text.substr(0, equals), high = text.substr(dots + 2);
  if (const auto colon = high.find(':'); colon != high.npos) {
    vary.step = number(high.substr(colon + 1), text);
    if (vary.step == 0) throw UsageError("--vary " + text + ": a step of 0 leads nowhere");
    high.resize(colon);
  }
  vary.low = number(text.substr(equals + 1, dots - equals - 1), text);
  vary.high = number(high, text);
  if (vary.low > vary.high) throw UsageError("--vary " + text + ": the range is empty; write the smaller value first");
  if (name.starts_with("env:")) {
    vary.way = Vary::Way::environment;
    name.erase(0, 4);
  } else if (const auto colon = name.rfind(':'); colon != name.npos) {
    vary.way = Vary::Way::file;
    vary.key = name.substr(colon + 1);
    vary.name = name.substr(0, colon);
    if (vary.key.empty() || vary.name.empty())
      throw UsageError("--vary " + text +
                       ": write FILE.json:KEY=LO..HI, for example config.json:train.batch_size=1..64");
    if (!contains(command, vary.name))
      throw UsageError("--vary " + text + ": " + vary.name +
                       " is not in the command: each run gets a changed copy of it, whose path takes its place there");
    read_json(vary);
    return vary;
  } else {
    vary.way = Vary::Way::argument;
  }
  if (!is_variable_name(name))
    throw UsageError("--vary " + text + ": " + (name.empty() ? "the name is missing" : name + " is not a name") +
                     " (letters, digits and _); " + example);
  vary.name = name;
  return vary;
}

Prepared prepare(const Vary& vary, Value value, const std::vector<std::string>& command, const fs::path& folder) {
  Prepared prepared{command, {}};
  const std::string text = std::to_string(value);
  switch (vary.way) {
    case Vary::Way::none:
      break;
    case Vary::Way::argument:
      for (std::string& word : prepared.command) replace_all(word, "{" + vary.name + "}", text);
      [[fallthrough]];
    case Vary::Way::environment:
      prepared.environment.emplace_back(vary.name, text);
      break;
    case Vary::Way::file: {
      Json document = read_json(vary);
      Json& place = *find_key(document, vary.key);
      if (place.is_string())
        place = text;
      else
        place = value;
      const fs::path copy = folder / fs::path(vary.name).filename();
      std::ofstream(copy, std::ios::binary) << document.dump(2) << '\n';
      for (std::string& word : prepared.command) replace_all(word, vary.name, copy.string());
      break;
    }
  }
  return prepared;
}

}  // namespace vramtrack::tools::fit
