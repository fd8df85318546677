// The holders of each moment that the page can show, in columns; read by page/src/holders_data.js.
#include "report/render/record_columns.hpp"

namespace vramtrack::render {

void write_holders(std::string& out, const Report& report, ColumnNumbers numbers) {
  const auto is_main = [&](const HolderMoment& moment) {
    return moment.moment == report.holders.moment && moment.time == report.holders.time;
  };
  std::vector<const HolderMoment*> moments;
  for (const HolderMoment& moment : report.moments)
    if (!moment.rows.empty()) moments.push_back(&moment);
  if (moments.empty() && !report.holders.rows.empty()) moments.push_back(&report.holders);
  out += '[';
  for (const HolderMoment* moment : moments) {
    if (out.back() != '[') out += ',';
    ObjectWriter object(out);
    object.key("moment") += dump(Json(moment->moment));
    object.key("oom") += std::to_string(moment->oom);
    object.key("step") += std::to_string(moment->step);
    append_number(object.key("time"), page_seconds(moment->time));
    object.key("held") += std::to_string(moment->held_bytes);
    object.key("main") += is_main(*moment) ? "true" : "false";
    ObjectWriter rows(object.key("rows"));
    write_records(rows, moment->rows, numbers);
    rows.close();
    object.close();
  }
  out += ']';
}

}  // namespace vramtrack::render
