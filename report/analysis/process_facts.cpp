#include "report/analysis/process_facts.hpp"

#include <signal.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <ctime>
#include <map>

#include "contract/notes.hpp"
#include "report/model/fact_fields.hpp"
#include "report/model/read_fact.hpp"
#include "report/support/units.hpp"
#include "report/support/utf8.hpp"

namespace vramtrack {
namespace {

namespace key = trace::note_key;

std::string text_note(const trace::TraceFile& trace, std::string_view name) {
  const std::string* text = trace.note(name);
  return text == nullptr ? std::string() : utf8::sanitise(*text);
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t end = std::min(text.find(separator, i), text.size());
    parts.push_back(utf8::sanitise(text.substr(i, end - i)));
    i = end + 1;
  }
  return parts;
}

/// The first of the variables that holds a number. Launchers differ: torchrun, Slurm, Open MPI, MPICH and its kin.
std::optional<int> number_of(const std::map<std::string, std::string>& environ,
                             std::initializer_list<const char*> names) {
  for (const char* name : names) {
    const auto found = environ.find(name);
    if (found == environ.end()) continue;
    int number = 0;
    const char* end = found->second.data() + found->second.size();
    const auto read = std::from_chars(found->second.data(), end, number);
    if (read.ec == std::errc() && read.ptr == end && number >= 0) return number;
  }
  return std::nullopt;
}

bool process_exists(std::int64_t pid) { return pid > 0 && (kill(static_cast<pid_t>(pid), 0) == 0 || errno == EPERM); }

std::optional<std::string> version_of(std::optional<std::uint64_t> number) {
  return number && *number != 0 ? std::optional(cuda_version(*number)) : std::nullopt;
}

void add_device(const Json& fact, std::optional<Bytes> total, std::vector<Device>& devices) {
  const std::optional<std::uint64_t> index = get(fact, fact::device::index);
  if (!index) return;
  Device device;
  device.index = static_cast<int>(*index);
  device.name = get(fact, fact::device::name).value_or("");
  device.total_bytes = total.value_or(0);
  device.uuid = get(fact, fact::device::uuid);
  devices.push_back(std::move(device));
}

/// As the first libraries wrote them, in a note of their own.
void add_early_devices(const Json& list, std::vector<Device>& devices) {
  constexpr fact::Field<fact::Type::number> total{"total", 0};
  if (!list.is_array()) return;
  for (const Json& item : list)
    if (item.is_object()) add_device(item, get(item, total), devices);
}

}  // namespace

Json json_note(const trace::TraceFile& trace, std::string_view name, std::uint32_t n) {
  const std::string* text = trace.note(name, n);
  return text == nullptr ? Json(nullptr) : read_fact(*text);
}

std::string rfc3339(std::uint64_t nanoseconds) {
  const auto seconds = static_cast<std::time_t>(nanoseconds / 1000000000u);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  std::array<char, 40> text{};
  const std::size_t length = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &utc);
  std::snprintf(text.data() + length, text.size() - length, ".%03uZ",
                static_cast<unsigned>(nanoseconds / 1000000u % 1000u));
  return text.data();
}

void set_times(Process& process, const trace::TraceFile& trace) {
  const trace::Header& header = trace.header;
  const bool ended = header.end_ticks != 0 && header.end_kind != 0;
  const std::uint64_t last = ended ? header.end_ticks : std::max(header.clock.last_ticks, header.clock.start_ticks);
  process.started_at = rfc3339(trace.start_real_ns());
  process.duration = std::max(0.0, trace.seconds(last));
  if (ended) process.ended_at = rfc3339(trace.real_ns(last));
  switch (static_cast<trace::EndKind>(header.end_kind)) {
    case trace::EndKind::exit:
      process.end = {"exit", header.end_code};
      break;
    case trace::EndKind::signal:
      process.end = {"signal", header.end_code};
      break;
    case trace::EndKind::running:
      // Nothing was written at its end: it still runs, or it was killed in a way that nobody can write about. The
      // launcher knows better and says so.
      process.end = {process_exists(process.pid) ? "running" : "unknown", std::nullopt};
      break;
    default:
      process.end = {"unknown", std::nullopt};
  }
}

Process process_facts(const trace::TraceFile& trace) {
  const trace::Header& header = trace.header;
  Process process;
  process.pid = header.pid;
  process.ppid = header.ppid;
  if (const std::string* command = trace.note(key::command)) process.command = split(*command, '\0');
  process.executable = text_note(trace, key::executable);
  process.hostname = text_note(trace, key::hostname);
  process.cwd = text_note(trace, key::cwd);
  if (header.forked_from != 0) process.forked_from = header.forked_from;

  std::map<std::string, std::string> environ;
  for (const std::string& line : split(text_note(trace, key::environ), '\n')) {
    const std::size_t equals = line.find('=');
    if (equals != std::string::npos) environ[line.substr(0, equals)] = line.substr(equals + 1);
  }
  process.rank = number_of(environ, {"RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"});
  process.local_rank = number_of(
      environ, {"LOCAL_RANK", "SLURM_LOCALID", "OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "PMI_LOCAL_RANK"});
  process.world_size = number_of(environ, {"WORLD_SIZE", "SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE"});

  set_times(process, trace);
  return process;
}

Environment environment_facts(const trace::TraceFile& trace) {
  Environment environment;
  const Json cuda = json_note(trace, key::cuda);
  if (cuda.is_object()) {
    environment.cuda_runtime = version_of(get(cuda, fact::cuda::runtime));
    environment.cuda_driver = version_of(get(cuda, fact::cuda::driver));
    environment.simulated = get(cuda, fact::cuda::simulated).value_or(environment.simulated);
    for (const Json* device : get(cuda, fact::cuda::devices))
      add_device(*device, get(*device, fact::device::total_bytes), environment.devices);
  }
  if (environment.devices.empty()) add_early_devices(json_note(trace, "devices"), environment.devices);

  const Json python = json_note(trace, key::python);
  environment.python = get(python, fact::python::version);
  environment.torch = get(python, fact::python::torch);
  return environment;
}

}  // namespace vramtrack
