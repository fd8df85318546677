// What an out-of-memory event is a case of: what filled the device, what was running. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "report/findings/registry.hpp"
#include "report/model/model.hpp"

namespace vramtrack::findings {

struct OomCase {
  // What the allocator had from the device, in parts that add up to it.
  Bytes named = 0;    // held by names in Python
  Bytes model = 0;    // parameters, buffers, gradients, state of optimizers
  Bytes graphs = 0;   // saved for backward
  Bytes unnamed = 0;  // that no name leads to
  Bytes passing = 0;  // in use for a moment
  Bytes workspaces = 0;
  Bytes cached = 0;  // without what private pools keep
  PrivatePools pools;
  bool pools_fill = false;   // private pools keep so much that fewer of them would help
  Bytes loss = 0;            // the outputs of the last layer and the loss of them, what was asked for included
  Bytes largest_piece = 0;   // of the cache
  bool trains = false;       // gradients are made: there are some to accumulate
  bool in_backward = false;  // a backward pass asked
  Bytes device_free = 0;     // that nobody had
  bool in_pieces = false;    // the cache and what is free have what was asked for, but not in one piece
  Bytes smaller_device = 0;  // size of the device, where it is smaller than what was asked for; else 0
  std::vector<std::vector<Holder>> holders;  // as looks saw them
  std::string evaluation;  // why the pass that runs seems to be one without a backward pass, though it records a graph
};

/// What nobody had of a device when the driver was asked; nullopt: it was not.
std::optional<Bytes> free_on(const LedgerEntry& device);

/// `oom`: an event of the report, which is that of the moment or of the end; what the end cannot tell stays 0.
OomCase oom_case(const Report& report, const OomReport& oom);

/// " Of it: 1.2 GiB held by names in Python, ..."
std::string shares_text(const OomCase& seen);
Json shares_json(const OomCase& seen);

/// What fits the case: only a training has gradients to accumulate, only a cache in pieces is helped by larger ones,
/// and a model that fills the device alone is not helped by a smaller batch.
std::string advice_for(const OomReport& oom, const OomCase& seen);

/// For a pass that was running and had saved much for its backward pass.
std::string advice_for_pass(const OomCase& seen);

}  // namespace vramtrack::findings
