#include "report/render/dump.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "contract/fact_encoding.hpp"
#include "report/model/read_fact.hpp"
#include "report/support/utf8.hpp"

namespace vramtrack::trace {

namespace {

/// A fact as JSON, what is text already as it is.
std::string note_text(const std::string& value) {
  return value.starts_with(fact::mark) ? read_fact(value).dump() : value;
}

class Text {
 public:
  explicit Text(std::ostream& out) : out_(out) {}
  ~Text() { flush(); }
  Text& record(std::string_view name) {
    text_ += name;
    return *this;
  }
  Text& key(std::string_view name) {
    text_ += ' ';
    text_ += name;
    text_ += '=';
    return *this;
  }
  Text& field(std::string_view name, std::string_view value) {
    key(name);
    text_ += value;
    return *this;
  }
  template <std::integral T>
  Text& field(std::string_view name, T value) {
    key(name);
    return number(value);
  }
  Text& field(std::string_view name, double seconds) {
    key(name);
    char digits[64];
    const auto end = std::to_chars(digits, digits + sizeof digits, seconds, std::chars_format::fixed, 6).ptr;
    text_.append(digits, end);
    return *this;
  }
  Text& hex(std::string_view name, std::uint64_t value) {
    key(name);
    return address(value);
  }
  Text& address(std::uint64_t value) {
    char digits[20];
    text_ += "0x";
    text_.append(digits, std::to_chars(digits, digits + sizeof digits, value, 16).ptr);
    return *this;
  }
  template <std::integral T>
  Text& number(T value) {
    char digits[24];
    text_.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
    return *this;
  }
  Text& plain(std::string_view text) {
    text_ += text;
    return *this;
  }
  void end() {
    text_ += '\n';
    if (text_.size() > 1 << 16) flush();
  }

 private:
  void flush() {
    out_.write(text_.data(), static_cast<std::streamsize>(text_.size()));
    text_.clear();
  }
  std::ostream& out_;
  std::string text_;
};

void dump_header(const TraceFile& trace, Text& out) {
  const Header& h = trace.header;
  const char* const end = h.end_kind == static_cast<std::uint32_t>(EndKind::exit)     ? "exit"
                          : h.end_kind == static_cast<std::uint32_t>(EndKind::signal) ? "signal"
                                                                                      : "running";
  out.record("trace").field("format", h.version).field("pid", h.pid).field("ppid", h.ppid);
  out.field("forked_from", h.forked_from).field("started_at_ns", trace.start_real_ns());
  out.field("clock", h.clock.kind == 0 ? "monotonic" : "tsc").field("end", end).field("code", h.end_code);
  out.field("end_time", h.end_kind == 0 ? 0.0 : trace.seconds(h.end_ticks));
  out.field("steps", h.steps).field("step_source", h.step_source == 1 ? "optimizer" : "none");
  if (h.second_order != 0) out.field("second_order", "yes");
  out.field("history", trace.has_history ? "yes" : "no").end();
  const Losses& l = h.losses;
  out.record("losses").field("dropped_events", l.dropped_events).field("unknown_frees", l.unknown_frees);
  out.field("dropped_stacks", l.dropped_stacks).field("dropped_history", l.dropped_history);
  out.field("truncated_stacks", l.truncated_stacks).field("python_unreadable", l.python_unreadable);
  out.field("replaced_blocks", l.replaced_blocks).field("dropped_ooms", l.dropped_ooms);
  out.field("torn_records", trace.torn_records).end();
}

Text& where(Text& out, std::uint8_t layer, std::uint8_t kind, std::int16_t device) {
  return out.field("layer", name_of(static_cast<Layer>(layer)))
      .field("device", device)
      .field("kind", name_of(static_cast<Kind>(kind)));
}

void dump_accounts(const TraceFile& trace, Text& out) {
  for (std::size_t i = 0; i < trace.accounts.size(); ++i) {
    const Account& a = trace.accounts[i];
    if (a.used != 1) continue;
    where(out.record("account ").number(i), a.layer, a.kind, a.device);
    out.field("live_bytes", a.live_bytes).field("live_count", a.live_count).field("peak_bytes", a.peak_bytes);
    out.field("peak_time", a.peak_bytes == 0 ? 0.0 : trace.seconds(a.peak_time)).field("peak_step", a.peak_step);
    out.field("allocated_bytes", a.allocated_bytes).field("allocated_count", a.allocated_count);
    out.field("freed_bytes", a.freed_bytes).field("freed_count", a.freed_count);
    out.field("reserved_bytes", a.reserved_bytes).field("peak_reserved_bytes", a.peak_reserved_bytes).end();
  }
}

void dump_log(const TraceFile& trace, Text& out) {
  for (std::size_t i = 0; i < trace.strings.size(); ++i)
    out.record("string ").number(i).plain(" ").plain(escaped(trace.strings[i])).end();
  for (const Module& m : trace.modules) {
    out.record("module ").number(m.id).hex("base", m.base).hex("start", m.start).hex("end", m.end);
    out.field("build_id", m.build_id.empty() ? "none" : m.build_id).field("from", m.from);
    if (m.until != end_of_log) out.field("until", m.until);
    out.field("path", escaped(m.path)).end();
  }
  for (std::size_t i = 0; i < trace.codes.size(); ++i) {
    const Code& c = trace.codes[i];
    if (!c.known) continue;
    out.record("code ").number(i).field("first_line", c.first_line);
    out.key("python").number(c.version >> 8).plain(".").number(c.version & 255);
    out.field("line_table_bytes", c.line_table.size()).field("name", escaped(trace.string(c.name)));
    out.field("qualname", escaped(trace.string(c.qualname))).field("file", escaped(trace.string(c.file))).end();
  }
  for (std::size_t i = 0; i < trace.labels.size(); ++i) {
    const Label& l = trace.labels[i];
    if (!l.known) continue;
    out.record("label ").number(i).field("kind", l.kind == LabelKind::module ? "module" : "range");
    out.field("name", escaped(trace.string(l.name))).end();
  }
  for (std::size_t i = 0; i < trace.stacks.size(); ++i) {
    const Stack& s = trace.stacks[i];
    if (!s.known) continue;
    out.record("stack ").number(i).field("flags", s.flags).field("position", s.position);
    if (s.module != 0) out.field("module", s.module);
    if (s.range != 0) out.field("range", s.range);
    out.key("python");
    const char* separator = "";
    for (const std::uint64_t word : trace.python_words(s)) {
      out.plain(separator).number((word >> 32) & 0x3fffffff).plain("+");
      const auto offset = static_cast<std::uint32_t>(word);
      if (offset == unknown_offset)
        out.plain("?");
      else
        out.number(offset);
      if ((word & entry_bit) != 0) out.plain("e");
      separator = ",";
    }
    out.key("native");
    separator = "";
    for (const std::uint64_t word : trace.native_words(s)) {
      out.plain(separator).address(word);
      separator = ",";
    }
    out.end();
  }
}

void dump_stack_id(Text& out, std::string_view name, StackId id) {
  if (id == no_stack)
    out.field(name, "none");
  else
    out.field(name, number_of(id));
}

void dump_sites(const TraceFile& trace, Text& out) {
  for (std::size_t i = 0; i < trace.sites.size(); ++i) {
    const Site& s = trace.sites[i];
    if (s.used != 1) continue;
    where(out.record("site ").number(i), s.layer, s.kind, s.device);
    dump_stack_id(out, "stack", s.stack);
    dump_stack_id(out, "forward", s.forward);
    out.field("live_bytes", s.live_bytes).field("live_count", s.live_count).field("largest_bytes", s.largest_bytes);
    out.field("at_peak_bytes", trace.bytes_at_peak(s)).field("at_peak_count", trace.count_at_peak(s));
    out.field("own_peak_bytes", s.own_peak_bytes);
    out.field("allocated_bytes", s.allocated_bytes).field("allocated_count", s.allocated_count);
    out.field("freed_bytes", s.freed_bytes).field("freed_count", s.freed_count);
    out.field("first_time", trace.seconds(s.first_time)).field("last_time", trace.seconds(s.last_time));
    out.field("last_free_time", s.freed_count == 0 ? 0.0 : trace.seconds(s.last_free_time));
    out.field("first_step", s.first_step).field("last_step", s.last_step);
    if (s.freed_in_backward != 0) out.field("freed_in_backward", s.freed_in_backward);
    out.end();
  }
}

void dump_blocks(const TraceFile& trace, const std::vector<Block>& blocks, std::string_view record, Text& out) {
  std::vector<const Block*> order;
  order.reserve(blocks.size());
  for (const Block& block : blocks) order.push_back(&block);
  std::sort(order.begin(), order.end(), [](const Block* a, const Block* b) {
    return a->address != b->address ? a->address < b->address : a->time < b->time;
  });
  for (const Block* b : order) {
    out.record(record).hex("address", b->address).field("bytes", b->bytes).field("site", b->site);
    out.field("time", trace.seconds(b->time)).field("step", b->step).field("thread", b->thread);
    out.hex("stream", b->stream).end();
  }
}

void dump_rest(const TraceFile& trace, Text& out) {
  for (const TimelineSeries& series : trace.timelines) {
    out.record("timeline").field("account", series.account).field("interval", trace.seconds_of(series.interval));
    out.field("points", series.points.size()).end();
    for (const TimelinePoint& p : series.points) {
      out.record("point").field("account", series.account).field("time", trace.seconds(p.time));
      out.field("step", p.step).field("live_bytes", p.live_bytes).field("reserved_bytes", p.reserved_bytes);
      out.field("events", p.events).end();
    }
  }
  for (const Oom& oom : trace.ooms) {
    const OomRecord& r = oom.record;
    out.record("oom ").number(r.n).field("layer", name_of(static_cast<Layer>(r.layer))).field("device", r.device);
    out.field("time", trace.seconds(r.time)).field("step", r.step).field("thread", r.thread);
    out.field("requested_bytes", r.requested_bytes).field("live_bytes", r.live_bytes);
    out.field("reserved_bytes", r.reserved_bytes).field("flags", r.flags);
    dump_stack_id(out, "stack", r.stack);
    out.field("blocks", oom.blocks.size()).end();
    dump_blocks(trace, oom.blocks, "oom_block " + std::to_string(r.n), out);
  }
  for (const ContextRecord& r : trace.contexts) {
    out.record(r.begins != 0 ? "context" : "context_gone").field("device", r.device).hex("handle", r.handle);
    out.field("time", trace.seconds(r.time)).field("thread", r.thread);
    if (r.begins != 0) dump_stack_id(out, "stack", r.stack);
    out.end();
  }
  for (const Note& note : trace.notes)
    out.record("note")
        .field("key", escaped(note.key))
        .field("n", note.n)
        .field("value", escaped(note_text(note.value)))
        .end();
  for (const std::string& warning : trace.warnings) out.record("warning ").plain(escaped(warning)).end();
}

}  // namespace

std::string escaped(std::string_view text) {
  std::string result = "\"";
  while (!text.empty()) {
    const auto c = static_cast<unsigned char>(text[0]);
    const std::size_t length = utf8::plain_length(text);
    if (c == '"' || c == '\\') {
      result += '\\';
      result += text[0];
    } else if (c == '\n') {
      result += "\\n";
    } else if (c == '\t') {
      result += "\\t";
    } else if (const std::uint32_t hostile = utf8::hostile_at(text); hostile >= 0x100) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(hostile & 0xffffu));
      result += escape;
      text.remove_prefix(utf8::sequence_length(text));
      continue;
    } else if (length == 0) {
      result += "\\x";
      result += "0123456789abcdef"[c >> 4];
      result += "0123456789abcdef"[c & 15];
    } else {
      result += text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return result += '"';
}

void dump(const TraceFile& trace, std::ostream& stream) {
  {
    Text out(stream);
    dump_header(trace, out);
    dump_accounts(trace, out);
    dump_log(trace, out);
    dump_sites(trace, out);
    dump_blocks(trace, trace.blocks, "block", out);
    dump_rest(trace, out);
  }
  dump_graphs(trace, stream);
}

void dump_history(const TraceFile& trace, HistoryReader& history, std::ostream& stream) {
  Text out(stream);
  history.for_each_event([&](const HistoryEvent& e) {
    out.record(e.is_free ? "free" : "alloc").hex("address", e.address).field("bytes", e.bytes).field("site", e.site);
    out.field("time", trace.seconds(e.time)).field("step", e.step).end();
  });
  out.record("history").field("dropped", history.dropped_events()).end();
  for (const std::string& warning : history.warnings()) out.record("warning ").plain(escaped(warning)).end();
}

}  // namespace vramtrack::trace
