#include "report/model/read_fact.hpp"

#include <optional>

#include "contract/fact_encoding.hpp"
#include "report/model/early_fact.hpp"
#include "report/support/utf8.hpp"

namespace vramtrack {
namespace {

class FactReader {
 public:
  explicit FactReader(std::string_view bytes) : left_(bytes) {}

  Json read() {
    std::optional<Json> value = next(0);
    return value && left_.empty() ? std::move(*value) : Json(nullptr);
  }

 private:
  std::optional<std::uint8_t> byte() {
    if (left_.empty()) return std::nullopt;
    const auto value = static_cast<std::uint8_t>(left_.front());
    left_.remove_prefix(1);
    return value;
  }

  /// The number in or behind a head.
  std::optional<std::uint64_t> number(std::uint8_t head) {
    const unsigned low = head & ~fact::major_mask & 0xffu;
    if (low < fact::in_1_byte) return low;
    if (low > fact::in_8_bytes) return std::nullopt;
    const std::size_t count = std::size_t{1} << (low - fact::in_1_byte);
    if (left_.size() < count) return std::nullopt;
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < count; ++i) value = value << 8 | *byte();
    return value;
  }

  std::optional<std::string> text(std::uint8_t head) {
    const auto size = number(head);
    if (!size || *size > left_.size()) return std::nullopt;
    std::string found = utf8::sanitise(std::string(left_.substr(0, *size)));
    left_.remove_prefix(*size);
    return found;
  }

  static bool is_text(std::uint8_t head) {
    return (head & fact::major_mask) == static_cast<std::uint8_t>(fact::Major::text);
  }

  bool at_end() {
    if (left_.empty() || static_cast<std::uint8_t>(left_.front()) != fact::code::end) return false;
    left_.remove_prefix(1);
    return true;
  }

  std::optional<Json> next(int level) {
    const auto head = byte();
    if (!head || level > fact::most_levels) return std::nullopt;
    if (*head == fact::code::list) {
      Json list = Json::array();
      while (!at_end()) {
        std::optional<Json> value = next(level + 1);
        if (!value) return std::nullopt;
        list.push_back(std::move(*value));
      }
      return list;
    }
    if (*head == fact::code::map) {
      Json map = Json::object();
      while (!at_end()) {
        const auto key_head = byte();
        const auto key = key_head && is_text(*key_head) ? text(*key_head) : std::nullopt;
        std::optional<Json> value = key ? next(level + 1) : std::nullopt;
        if (!value) return std::nullopt;
        map[*key] = std::move(*value);
      }
      return map;
    }
    if (*head == fact::code::null) return Json(nullptr);
    if (*head == fact::code::on || *head == fact::code::off) return Json(*head == fact::code::on);
    if (is_text(*head)) {
      auto value = text(*head);
      return value ? std::optional<Json>(std::move(*value)) : std::nullopt;
    }
    if ((*head & fact::major_mask) != static_cast<std::uint8_t>(fact::Major::number)) return std::nullopt;
    const auto value = number(*head);
    return value ? std::optional<Json>(*value) : std::nullopt;
  }

  std::string_view left_;
};

}  // namespace

Json read_fact(std::string_view bytes) {
  if (bytes.starts_with(fact::mark)) return FactReader(bytes.substr(fact::mark.size())).read();
  return read_early_fact(bytes);
}

}  // namespace vramtrack
