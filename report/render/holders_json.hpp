// The `holders` of the JSON report (docs/report.schema.json).
#pragma once

#include "report/model/model.hpp"
#include "report/render/json_writer.hpp"

namespace vramtrack::render {

void write_holder(JsonWriter& out, const HolderReport& holder);

}  // namespace vramtrack::render
