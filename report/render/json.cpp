// The JSON report, "vramtrack-report/1" (model/report.def). Streams: memory use does not grow with the report.
#include <ostream>

#include "report/render/record_json.hpp"
#include "report/render/render.hpp"

namespace vramtrack::render {

void json(const Report& report, std::ostream& stream) {
  JsonWriter out(stream);
  out.begin_object(true);
  out.field("schema", schema_name);
  out.field("vramtrack_version", VRAMTRACK_VERSION);
  const bool merged = !report.ranks.members.empty();
  each_section(report, [&](const char* key, const auto& value, const FieldRule& rule, const char*) {
    if (rule.merged_only && !merged) return;
    out.key(key);
    write_value(out, value, rule);
  });
  out.end_object();
  out.flush();
  stream << '\n';
}

}  // namespace vramtrack::render
