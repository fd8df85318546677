// The JSON Schema (2020-12) of the JSON report, made of report.def: `vramtrack schema`, docs/report.schema.json.
#pragma once

#include "report/model/model.hpp"

namespace vramtrack {

Json report_schema();

}  // namespace vramtrack
