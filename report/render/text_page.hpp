// The parts of the report on a terminal (text.cpp) and what they share. Private to the text renderer.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "report/model/model.hpp"
#include "report/render/render.hpp"
#include "report/render/terminal_text.hpp"
#include "report/support/utf8.hpp"

namespace vramtrack::render {

struct TextPage {
  const Report& report;
  std::ostream& out;
  const TextOptions& options;
  std::size_t width;  // columns

  std::string styled(const char* style, const std::string& text) const {
    return options.colour ? style + text + style::plain : text;
  }
  void write_wrapped(const std::string& text, std::size_t indent) const {
    write_lines(wrapped(utf8::printable(text), width - indent), indent);
  }
  void write_lines(const std::vector<std::string>& lines, std::size_t indent) const {
    for (const std::string& line : lines) out << std::string(indent, ' ') << line << '\n';
  }
};

/// What the process was, and what each device's memory is used for.
void write_header(const TextPage& page);

/// The top of the tree of holders, where there is one.
void write_holders(const TextPage& page);

/// Whether a site or a holder grew, told by a finding or not.
bool holds_more_and_more(const Report& report);

/// What keeps free memory of the caching allocator from being given back, where that is much.
void write_fragmentation(const TextPage& page);

/// The marks and phases that the program set.
void write_named(const TextPage& page);

/// The call sites that hold the memory.
void write_table(const TextPage& page);

/// What it is made of at the peak, or when it ran out; and what would lower the peak.
void write_breakdown(const TextPage& page);
void write_advice(const TextPage& page);

}  // namespace vramtrack::render
