#include "tools/doctor/lines.hpp"

#include <algorithm>
#include <cstring>
#include <iostream>
#include <nlohmann/json.hpp>

#include "contract/notes.hpp"
#include "contract/reader.hpp"
#include "report/analysis/hook_facts.hpp"
#include "report/model/fact_fields.hpp"
#include "report/model/read_fact.hpp"
#include "report/support/units.hpp"
#include "report/support/utf8.hpp"

namespace vramtrack::tools::doctor {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t indent = 26;

void show_devices(const Json& facts) {
  if (!facts.is_object()) return;
  const auto runtime = get(facts, fact::cuda::runtime), driver = get(facts, fact::cuda::driver);
  std::string text = "driver " + (driver ? cuda_version(*driver) : "?");
  if (runtime) text += ", runtime " + cuda_version(*runtime);
  say(Verdict::ok, "CUDA", text);
  for (const Json* device : get(facts, fact::cuda::devices)) {
    say(Verdict::ok, "device " + std::to_string(get(*device, fact::device::index).value_or(0)),
        utf8::printable(get(*device, fact::device::name).value_or("")) + ", " +
            human_bytes(get(*device, fact::device::total_bytes).value_or(0)));
  }
}

}  // namespace

void say(Verdict verdict, const std::string& what, const std::string& text) {
  static const char* const words[] = {"ok", "note", "MISSING"};
  std::string line = words[static_cast<int>(verdict)];
  line.resize(9, ' ');
  line += what;
  line.resize(std::max<std::size_t>(line.size() + 1, indent), ' ');
  std::cout << line << text << '\n';
}

void list(const std::string& what, const std::vector<std::string>& names) {
  constexpr std::size_t width = 118 - indent;
  std::string text, line;
  for (const std::string& name : names) {
    if (!line.empty() && line.size() + 1 + name.size() > width) {
      text += line + "\n" + std::string(indent, ' ');
      line.clear();
    }
    line += (line.empty() ? "" : " ") + name;
  }
  if (!names.empty()) say(Verdict::ok, what, text + line);
}

bool show_trace(const fs::path& path) {
  const trace::TraceFile trace = trace::read_trace(path.string());
  Report report;  // only its notes
  for (const trace::Note& note : trace.notes) {
    if (note.n == 0) report.notes[note.key] = read_fact(note.value);
  }
  std::cout << "\nprocess " << trace.header.pid << '\n';
  show_devices(report.notes[std::string(trace::note_key::cuda)]);
  if (const std::optional<Doors> doors = doors_of(report)) {
    list("runtime", doors->runtimes);
    say(doors->driver ? Verdict::ok : Verdict::note, "driver", doors->driver.value_or("none was loaded"));
    list("called by name", doors->by_name);
    list("looked up", doors->by_look_up);
    if (doors->unwrapped > 0)
      say(Verdict::missing, "look-ups",
          std::to_string(doors->unwrapped) + " got the real function: its calls are not seen");
  } else {
    say(Verdict::note, "doors", "unknown: the process was killed before it could say");
  }
  if (const std::optional<Audit> audit = audit_of(report)) {
    const bool clean = audit->complete && !audit->unavailable && audit->missed == 0;
    say(clean ? Verdict::ok : Verdict::note, "audit", audit_line(*audit).substr(std::strlen("audit: ")));
  }
  for (const trace::Account& account : trace.accounts)
    if (account.used && account.kind != static_cast<std::uint8_t>(trace::Kind::all))
      say(Verdict::ok, account.layer == 0 ? "seen in CUDA" : "seen in PyTorch",
          plural(account.allocated_count, "allocation") +
              (account.device < 0 ? " of host memory" : " on device " + std::to_string(account.device)));
  return std::any_of(trace.accounts.begin(), trace.accounts.end(),
                     [](const trace::Account& account) { return account.used && account.allocated_count > 0; });
}

}  // namespace vramtrack::tools::doctor
