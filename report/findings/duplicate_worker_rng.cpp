// Forked children that drew from the NumPy state they inherited, two or more from the same state: identical numbers.
// The states were compared in the children (interpose/python/worker_random.hpp); workers that reseed are innocent.
#include <map>

#include "report/findings/registry.hpp"

namespace vramtrack::findings {

Findings duplicate_worker_rng(const Report& report) {
  const Json* workers = note(report, "worker_rng[]");
  if (workers == nullptr || !workers->is_array()) return {};
  std::map<std::string, std::vector<const Json*>> by_state;
  for (const Json& worker : *workers)
    if (worker.is_object() && value<std::string>(worker, "change", "") == "drawn")
      by_state[value<std::string>(worker, "inherited", "")].push_back(&worker);
  Findings found;
  for (const auto& [state, same] : by_state) {
    if (same.size() < 2) continue;
    Finding finding = make("duplicate-worker-rng", "warning", "Worker processes drew identical random numbers");
    const Json& first = *same.front();
    if (const auto file = value<std::string>(first, "f", ""); !file.empty()) finding.file = file;
    if (const int line = value<int>(first, "l", 0); line > 0) finding.line = line;
    Json pids = Json::array(), draws = Json::array();
    for (const Json* worker : same) {
      pids.push_back(value<std::int64_t>(*worker, "pid", 0));
      draws.push_back(value<std::uint64_t>(*worker, "draws", 0));
    }
    finding.variable = "numpy.random";
    finding.message =
        std::to_string(same.size()) + " child processes started at " +
        (finding.file ? place(*finding.file, finding.line.value_or(0)) : std::string("an unknown place")) +
        " drew from NumPy's global generator exactly as they inherited it, so all of them got the same numbers. "
        "(CPython reseeds `random` in a child and PyTorch reseeds DataLoader workers; your own processes are yours to "
        "seed.)";
    finding.fix =
        "Seed each worker: `np.random.seed()` (or a seed of its own) first thing in the child, or use "
        "`np.random.default_rng([seed, worker_id])` there.";
    finding.evidence = {{"pids", pids}, {"words_drawn", draws}, {"inherited_state", state}};
    found.push_back(std::move(finding));
  }
  return found;
}

}  // namespace vramtrack::findings
