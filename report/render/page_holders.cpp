// The holders of each moment that the page can show, in columns; read by page/src/holders_data.js.
#include "report/render/page_columns.hpp"

namespace vramtrack::render {
namespace {

double known_or(const std::optional<double>& value) { return value ? std::round(*value) : -1; }

/// What only some rows have, by row.
template <class Value>
void write_sparse(std::string& out, const std::vector<HolderReport>& rows, Value value) {
  Json found = Json::object();
  for (std::size_t i = 0; i < rows.size(); ++i)
    if (Json list = value(rows[i]); !list.empty()) found[std::to_string(i)] = std::move(list);
  out += dump(found);
}

void write_rows(ObjectWriter& object, const std::vector<HolderReport>& rows, const SiteIndex& sites,
                StringTable& strings) {
  using Row = const HolderReport&;
  object.key("count") += std::to_string(rows.size());
  object.column("parent", rows, [](Row row) { return row.parent ? static_cast<std::int64_t>(*row.parent) : -1; });
  for (const auto& [name, text] : {std::pair("path", &HolderReport::path),
                                   {"variable", &HolderReport::variable},
                                   {"type", &HolderReport::type},
                                   {"kind", &HolderReport::kind},
                                   {"verdict", &HolderReport::verdict},
                                   {"evidence", &HolderReport::evidence},
                                   {"cycle", &HolderReport::cycle},
                                   {"known", &HolderReport::known},
                                   {"fix", &HolderReport::fix}})
    object.column(name, rows, [&strings, text = text](Row row) { return strings(row.*text); });
  object.column("file", rows, [&](Row row) { return strings(row.file.value_or("")); });
  object.column("line", rows, [](Row row) { return row.line.value_or(0); });
  object.column("retained", rows, [](Row row) { return row.retained_bytes; });
  object.column("own", rows, [](Row row) { return row.own_bytes; });
  object.column("blocks", rows, [](Row row) { return row.blocks; });
  object.column("number", rows, [](Row row) { return row.count; });
  object.column("first", rows, [](Row row) { return page_seconds(row.first_time); });
  object.column("last", rows, [](Row row) { return page_seconds(row.last_time); });
  object.column("first_step", rows,
                [](Row row) { return row.first_step ? static_cast<double>(*row.first_step) : -1.0; });
  object.column("last_step", rows, [](Row row) { return row.last_step ? static_cast<double>(*row.last_step) : -1.0; });
  object.column("per_step", rows, [](Row row) { return known_or(row.bytes_per_step); });
  object.column("per_second", rows, [](Row row) { return known_or(row.bytes_per_second); });
  write_sparse(object.key("also"), rows, [](Row row) { return Json(row.also_held_by); });
  write_sparse(object.key("roles"), rows, [](Row row) { return Json(row.roles); });
  write_sparse(object.key("sites"), rows, [&](Row row) {
    Json list = Json::array();
    for (const std::uint32_t id : row.sites)
      if (const auto site = sites.find(id); site != sites.end()) list.push_back(site->second);
    return list;
  });
}

}  // namespace

void write_holders(std::string& out, const Report& report, StringTable& strings) {
  const SiteIndex sites = site_index(report);
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
    write_rows(object, moment->rows, sites, strings);
    object.close();
  }
  out += ']';
}

}  // namespace vramtrack::render
