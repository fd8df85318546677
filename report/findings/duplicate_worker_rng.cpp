// Forked children that drew from the NumPy state they inherited, two or more from the same state: identical numbers.
// The states were compared in the children (interpose/python/worker_random.hpp); workers that reseed are innocent.
#include <map>

#include "contract/notes.hpp"
#include "report/findings/registry.hpp"
#include "report/model/fact_fields.hpp"
#include "report/model/sites.hpp"

namespace vramtrack::findings {

Findings duplicate_worker_rng(const Report& report) {
  namespace rng = fact::worker_rng;
  const Json* workers = note(report, std::string(trace::note_key::worker_rng));
  if (workers == nullptr || !workers->is_array()) return {};
  std::map<std::string, std::vector<const Json*>> by_state;
  for (const Json& worker : *workers)
    if (worker.is_object() && get(worker, rng::change) == "drawn")
      by_state[get(worker, rng::inherited).value_or("")].push_back(&worker);
  Findings found;
  for (const auto& [state, same] : by_state) {
    if (same.size() < 2) continue;
    Finding finding = make("duplicate-worker-rng", "warning", "Worker processes drew identical random numbers");
    const Json& first = *same.front();
    if (const auto file = get(first, rng::f); file && !file->empty()) finding.file = file;
    if (const auto line = get(first, rng::l).value_or(0); line > 0) finding.line = static_cast<int>(line);
    Json pids = Json::array(), draws = Json::array();
    for (const Json* worker : same) {
      pids.push_back(get(*worker, rng::pid).value_or(0));
      draws.push_back(get(*worker, rng::draws).value_or(0));
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
