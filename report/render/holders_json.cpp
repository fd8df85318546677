// The `holders` of the JSON report.
#include "report/render/holders_json.hpp"

namespace vramtrack::render {
void write_holder(JsonWriter& out, const HolderReport& holder) {
  out.begin_object();
  out.field("id", holder.id);
  out.field("parent", holder.parent);
  out.field("path", holder.path);
  out.field("variable", holder.variable);
  out.field("type", holder.type);
  out.field("kind", holder.kind);
  out.field("file", holder.file);
  out.field("line", holder.line);
  out.field("retained_bytes", holder.retained_bytes);
  out.field("own_bytes", holder.own_bytes);
  out.field("blocks", holder.blocks);
  out.field("count", holder.count);
  out.field("elements", holder.elements);
  out.field("first_time", holder.first_time);
  out.field("last_time", holder.last_time);
  out.field("first_step", holder.first_step);
  out.field("last_step", holder.last_step);
  out.field("bytes_per_step", holder.bytes_per_step);
  out.field("bytes_per_second", holder.bytes_per_second);
  out.field("verdict", holder.verdict);
  out.field("evidence", holder.evidence);
  out.field("also_held_by", holder.also_held_by);
  out.key("roles");
  out.begin_object();
  for (const auto& [role, bytes] : holder.roles) out.field(role, bytes);
  out.end_object();
  out.field("garbage", holder.garbage);
  out.field_or_null("cycle", holder.cycle);
  out.field_or_null("known", holder.known);
  out.field_or_null("fix", holder.known_fix);
  out.end_object();
}

}  // namespace vramtrack::render
