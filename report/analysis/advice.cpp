#include "report/analysis/advice.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <set>

#include "report/analysis/loss_memory.hpp"
#include "report/analysis/module_names.hpp"
#include "report/model/sites.hpp"
#include "report/support/units.hpp"

namespace vramtrack {
namespace {

constexpr Bytes least_saving = Bytes{1} << 20;
constexpr Bytes loss_parts = 8;

/// That take fused=True on a GPU.
constexpr std::array<const char*, 3> fused_optimizers = {"/torch/optim/adam.py", "/torch/optim/adamw.py",
                                                         "/torch/optim/sgd.py"};

bool any_frame(const Report& report, const std::vector<FrameId>& stack,
               const std::function<bool(const Frame&)>& wanted) {
  return std::any_of(stack.begin(), stack.end(), [&](FrameId id) { return wanted(report.frames[id]); });
}

bool is_call_of(const Frame& frame, const char* file, const char* function) {
  return frame.kind == "python" && frame.file.ends_with(file) && frame.function.find(function) != std::string::npos;
}

class Adviser {
 public:
  Adviser(const Report& report, const std::vector<PeakPart>& parts, int device, bool second_order,
          const std::vector<std::string>& untrained)
      : report_(report), untrained_(untrained), second_order_(second_order) {
    for (const PeakPart& part : parts)
      if (report.sites[part.site].device == device) parts_.push_back(&part);
    find_layers();
    for (const PeakPart* part : parts_) {
      peak_ += part->share.bytes;
      gradients_ += part->gradients;
      if (part->raised) {
        raised_in_ = part->phase;
        raised_in_layer_ = layer_of(report_.sites[part->site].module.value_or(""));
      }
      records_ |= part->raised && part->records;
      (lasting(part->share.role) ? lasting_ : passing_) += part->share.bytes;
    }
    find_other_heights(parts, device);
    find_outputs();
  }

  std::vector<Advice> run() {
    optimizer_temporaries();
    early_gradients();
    graph_without_backward();
    untrained_modules();
    loaded_checkpoint();
    collected_results();
    checkpoint_modules();
    loss_in_parts();
    optimizer_state();
    smaller_batch();
    return std::move(found_);
  }

 private:
  static bool lasting(const std::string& role) {
    return role == "parameter" || role == "buffer" || role == "optimizer_state" || role == "workspace" ||
           role == "python" || role == "unknown";
  }

  /// How high the forward and the backward pass come, where they are not the peak themselves: what lasts, what each
  /// line saved at its own highest, and the largest passing block of the backward pass.
  void find_other_heights(const std::vector<PeakPart>& parts, int device) {
    std::map<std::uint32_t, bool> done;
    Bytes saved = 0, largest = 0;
    for (const PeakPart& part : parts) {
      const SiteReport& site = report_.sites[part.site];
      if (site.device != device || !done.emplace(part.site, true).second) continue;
      if (part.usual_role == "activation") saved += site.peak_bytes;
      if (part.usual_role == "temporary" && part.phase == "backward") largest = std::max(largest, site.peak_bytes);
    }
    step_height_ = lasting_ + saved + largest;
  }

  Bytes sum(const std::function<bool(const PeakPart&)>& wanted) const {
    Bytes bytes = 0;
    for (const PeakPart* part : parts_)
      if (wanted(*part)) bytes += part->share.bytes;
    return bytes;
  }

  const PeakPart* largest(const std::function<bool(const PeakPart&)>& wanted) const {
    const PeakPart* best = nullptr;
    for (const PeakPart* part : parts_)
      if (wanted(*part) && (best == nullptr || part->share.bytes > best->share.bytes)) best = part;
    return best;
  }

  /// False: it is too little to be told.
  bool add(const char* code, Bytes saves, const char* basis, std::string title, std::string fix, const PeakPart* at,
           std::optional<std::string> module = std::nullopt) {
    if (saves < least_saving || 50 * saves < peak_) return false;
    Advice advice;
    advice.code = code;
    advice.title = std::move(title);
    advice.saves_bytes = saves;
    advice.basis = basis;
    advice.fix = std::move(fix);
    advice.module = std::move(module);
    if (at != nullptr) {
      if (const auto own = own_frame(report_, report_.sites[at->site])) {
        const Frame& frame = report_.frames[*own];
        if (!frame.file.empty()) advice.file = frame.file;
        if (frame.line > 0) advice.line = frame.line;
      }
    }
    found_.push_back(std::move(advice));
    return true;
  }

  /// No less than what other parts of the step reach.
  Bytes down_to(Bytes part, Bytes other) const { return std::min(part, peak_ > other ? peak_ - other : 0); }

  void optimizer_temporaries() {
    if (raised_in_ != "optimizer") return;
    const auto wanted = [&](const PeakPart& part) {
      return part.phase == "optimizer" && part.share.role == "temporary" &&
             any_frame(report_, report_.sites[part.site].stack,
                       [](const Frame& frame) { return frame.function.find("_multi_tensor") != std::string::npos; });
    };
    const Bytes bytes = sum(wanted);
    const PeakPart* const most = largest(wanted);
    // One parameter after the other: each line then holds what it makes for the largest one.
    Bytes one_by_one = 0;
    for (const PeakPart* part : parts_)
      if (wanted(*part)) one_by_one += report_.sites[part->site].largest_bytes;
    const bool fuses = most != nullptr && any_frame(report_, report_.sites[most->site].stack, [](const Frame& frame) {
                         return std::any_of(fused_optimizers.begin(), fused_optimizers.end(),
                                            [&](const char* file) { return frame.file.ends_with(file); });
                       });
    add("optimizer-temporaries", down_to(fuses ? bytes : bytes - std::min(bytes, one_by_one), step_height_), "computed",
        "The optimizer makes " + human_bytes(bytes) + " of temporaries for all parameters at once",
        fuses ? "Pass fused=True to the optimizer (or foreach=False, which is slower)."
              : "Pass foreach=False to the optimizer: it goes through the parameters one by one, which is slower.",
        most);
  }

  void early_gradients() {
    if (raised_in_ != "forward") return;
    const auto wanted = [](const PeakPart& part) { return part.share.role == "gradient"; };
    const Bytes bytes = sum(wanted);
    const bool evaluates = !records_;
    const Bytes other = evaluates ? lasting_ : step_height_;
    add(evaluates ? "gradients-in-evaluation" : "early-zero-grad", down_to(bytes, other), "computed",
        "The gradients of the step before are alive while the model runs forward",
        std::string("Call optimizer.zero_grad() (which sets them to None) ") +
            (evaluates ? "before evaluating." : "right after optimizer.step(), before the forward pass."),
        largest(wanted));
  }

  static bool passes(const PeakPart& part) { return !lasting(part.share.role) && part.share.role != "gradient"; }

  /// Modules with a number in their name, several side by side, that have modules of their own. One that is a single
  /// operator, such as those of a Sequential, saves what the next one needs anyway.
  void find_layers() {
    std::map<std::string, std::set<std::string>> groups;
    for (const PeakPart* part : parts_)
      for (const std::string& numbered : numbered_parts(part->share.module.value_or("")))
        if (numbered != part->share.module) groups[parent_of(numbered)].insert(numbered);
    for (auto& [parent, members] : groups)
      if (members.size() > 1) layers_.merge(members);
  }

  std::string layer_of(const std::string& module) const {
    const std::vector<std::string> numbered = numbered_parts(module);
    for (const std::string& one : numbered)
      if (layers_.contains(one)) return one;
    return numbered.empty() ? "" : numbered.front();
  }
  std::string layer_of(const PeakPart& part) const { return layer_of(part.share.module.value_or("")); }

  /// What each layer hands on, its last block; layers of one kind are given as much.
  void find_outputs() {
    std::map<std::string, double> last;
    for (const PeakPart* part : parts_) {
      const std::string layer = layer_of(*part);
      const double time = report_.sites[part->site].last_time;
      if (part->phase != "forward" || !passes(*part) || layer.empty() || time <= last[layer]) continue;
      last[layer] = time;
      outputs_[layer] = part->share.bytes / std::max<std::uint64_t>(1, part->share.blocks);
    }
  }

  Bytes output_of(const std::string& layer) const {
    const auto found = outputs_.find(layer);
    return found == outputs_.end() ? 0 : found->second;
  }

  void graph_without_backward() {
    const auto wanted = [](const PeakPart& part) { return part.graph_unused; };
    const Bytes bytes = sum(wanted);
    const Bytes used = sum([](const PeakPart& part) {
      return part.phase == "forward" && !part.graph_unused && !lasting(part.share.role);
    });
    const PeakPart* const most = largest(wanted);
    // In a step that has a backward pass, some lines save nothing for it.
    if (most == nullptr || raised_in_ != "forward" || bytes < used) return;
    // What one operator reads and writes is needed without a graph, too, and within a layer what that was given: the
    // frames that call it hold it.
    Bytes needed = 0;
    for (const PeakPart* part : parts_)
      if (wanted(*part)) {
        const std::string layer = layer_of(*part);
        const Bytes given = layer == part->share.module ? 0 : output_of(layer);
        needed = std::max(needed, 2 * report_.sites[part->site].largest_bytes + given);
      }
    add("no-grad", bytes > needed ? bytes - needed : 0, "computed",
        "A forward pass keeps a graph that no backward pass ever uses",
        "Run it under torch.no_grad() or torch.inference_mode().", most);
  }

  bool unused_graph() const {
    return std::any_of(found_.begin(), found_.end(), [](const Advice& one) { return one.code == "no-grad"; });
  }

  /// What passes through a model that nothing trains save for the backward pass, and its gradients. Where the peak is
  /// in its forward pass, what one layer reads and writes is needed all the same.
  void untrained_modules() {
    for (const std::string& module : untrained_) {
      const auto inside = [&](const PeakPart& part) {
        const std::string name = part.share.module.value_or("");
        return name == module || name.starts_with(module + ".");
      };
      const auto wanted = [&](const PeakPart& part) {
        const std::string& role = part.share.role;
        return inside(part) &&
               (role == "activation" || role == "gradient" || (role == "temporary" && part.phase == "backward"));
      };
      const PeakPart* const most = largest(wanted);
      if (most == nullptr) continue;
      const bool in_it = raised_in_ == "forward" &&
                         std::ranges::any_of(parts_, [&](auto* part) { return part->raised && inside(*part); });
      const Bytes bytes = sum(wanted), needed = in_it ? 2 * report_.sites[most->site].largest_bytes : 0;
      add("untrained-module", bytes - std::min(bytes, needed), "computed",
          human_bytes(bytes) + " are for the backward pass through " + module + ", which no optimizer trains",
          "Run it under torch.no_grad(). Where gradients have to flow through it, call requires_grad_(False) on it: "
          "less is saved then, and none are made for its own parameters.",
          most, module);
    }
  }

  bool is_loaded(const PeakPart& part) const {
    return any_frame(report_, report_.sites[part.site].stack,
                     [](const Frame& frame) { return is_call_of(frame, "torch/serialization.py", ""); });
  }

  void loaded_checkpoint() {
    const auto wanted = [&](const PeakPart& part) { return !part.share.module && is_loaded(part); };
    const Bytes bytes = sum(wanted);
    add("loaded-checkpoint", bytes, "measured", "A loaded checkpoint lies on the device beside the model",
        "Load it with torch.load(..., map_location=\"cpu\"), and drop it once load_state_dict() is done.",
        largest(wanted));
  }

  /// Outputs of a module that live side by side though no backward pass waits for them: those of the batches of an
  /// evaluation. The layers of a module are sites of their own.
  static bool is_collected(const PeakPart& part) {
    constexpr std::uint64_t many = 8;
    return part.phase == "forward" && part.share.module && !part.records && part.share.role == "temporary" &&
           part.share.blocks >= many;
  }

  /// What a list of an epoch's outputs holds just before it is cleared, or a replay buffer: all but what two steps
  /// make. What is made of all of them at once (`torch.cat(outputs)`) becomes as small.
  void collected_results() {
    const auto kept = [&](const PeakPart& part) {
      return !is_loaded(part) && ((part.outlives_steps && part.share.role == "python") || is_collected(part));
    };
    const bool of_passes = std::any_of(parts_.begin(), parts_.end(), [](auto* part) { return is_collected(*part); });
    const Bytes collected = sum(kept);
    const auto made_of_all = [&](const PeakPart& part) {
      return of_passes && part.share.role == "temporary" && report_.sites[part.site].largest_bytes >= collected;
    };
    const Bytes made = sum(made_of_all);
    Bytes saves = 0;
    std::uint64_t blocks = 0;
    for (const PeakPart* part : parts_) {
      if (!kept(*part) || part->share.blocks <= 2) continue;
      saves += part->share.bytes - part->share.bytes / part->share.blocks * 2;
      blocks = std::max(blocks, part->share.blocks);
    }
    if (blocks > 0) saves += made - made / blocks * 2;
    const auto wanted = [&](const PeakPart& part) { return kept(part) || made_of_all(part); };
    const PeakPart* const most = largest(wanted);
    const HolderReport* const keeper = most == nullptr ? nullptr : keeper_of(*most, collected);
    const bool added = add(
        "collected-results", of_passes ? down_to(saves, step_height_) : saves, "computed",
        human_bytes(sum(wanted)) + " of the peak are results of earlier " + (of_passes ? "passes" : "steps") +
            " that " + (keeper == nullptr ? "something" : name_of(*keeper)) + " keeps for a while" +
            (made > 0 ? ", and what is made of all of them" : ""),
        "Keep numbers (`.item()`) or copies in host memory (`.detach().cpu()`) of them, or let go of them more often.",
        most);
    if (!added || keeper == nullptr) return;
    found_.back().file = keeper->file;
    found_.back().line = keeper->line;
  }

  /// Who was seen to hold much of what a part of the peak belongs to: of those the one nearest to the tensors.
  const HolderReport* keeper_of(const PeakPart& part, Bytes bytes) const {
    const SiteId site = report_.sites[part.site].id;
    const HolderReport* keeper = nullptr;
    for (const HolderReport& row : report_.holders.rows)  // children come after their parents
      if ((keeper == nullptr || row.variable.find('[') == std::string::npos) && !row.variable.empty() && row.line &&
          3 * row.retained_bytes >= bytes && std::ranges::find(row.sites, site) != row.sites.end())
        keeper = &row;
    return keeper;
  }

  /// "`stage.waiting` (train.py:8)"
  static std::string name_of(const HolderReport& keeper) {
    std::string name = keeper.variable;
    while (name.ends_with(']')) name.resize(name.rfind('['));  // not one of its elements
    return "`" + name + "` (" + place(keeper.file.value_or(""), *keeper.line) + ")";
  }

  /// Of each of several layers only its output stays; one is computed again at a time.
  void checkpoint_modules() {
    if (raised_in_ != "forward" && raised_in_ != "backward") return;
    // What is computed again within a backward pass that is differentiated itself stays for that.
    if (second_order_ || unused_graph()) return;
    struct Layer {
      Bytes saved = 0;
      double last = 0;
    };
    std::map<std::string, std::map<std::string, Layer>> groups;  // "blocks" -> "blocks.3" -> it
    for (const PeakPart* part : parts_) {
      const std::string layer = layer_of(*part);
      if (!layers_.contains(layer) || part->share.role != "activation" || part->phase != "forward") continue;
      Layer& known = groups[parent_of(layer)][layer];
      known.saved += part->share.bytes;
      known.last = std::max(known.last, report_.sites[part->site].last_time);
    }
    for (const auto& [name, layers] : groups) {
      if (layers.size() < 2) continue;
      Bytes all = 0, most = 0, current = 0;
      double last = 0;
      for (const auto& [path, layer] : layers) {
        last = std::max(last, layer.last);
        const Bytes inside = layer.saved - std::min(layer.saved, output_of(path));
        all += inside;
        most = std::max(most, inside);
        if (path == raised_in_layer_) current = inside;
      }
      // Where the peak is in the backward pass of a layer, some of what that one saved can be gone already; what the
      // backward pass makes there is not yet there when a layer has just been computed again.
      const Bytes in_layer = sum(
          [&](const PeakPart& part) { return part.phase == "backward" && passes(part) && !layer_of(part).empty(); });
      const Bytes recomputed = in_layer > 0 ? std::max(current, most - std::min(most, in_layer)) : most;
      // What comes after the layers, such as the loss, is gone when one of them is computed again; but not what the
      // backward pass makes there.
      Bytes of_loss = 0;
      for (const PeakPart* part : parts_) {
        if (!passes(*part) || report_.sites[part->site].last_time <= last) continue;
        if (in_layer > 0 && part->phase == "backward") continue;
        // Of a line that runs between the layers, only the last block comes after them.
        const std::uint64_t blocks = part->share.blocks;
        of_loss += blocks + 1 < layers.size() ? part->share.bytes : part->share.bytes / blocks;
      }
      const Bytes again = recomputed - std::min(recomputed, of_loss);
      const std::string every = name.empty() ? "*" : name + ".*";  // "": the model itself is the list of its layers
      // The backward pass ends with a layer that is computed again, and with all gradients.
      const Bytes one_layer = std::max(current + in_layer, most);
      one_layer_ = std::max(one_layer_, one_layer);
      add("checkpoint", down_to(all - std::min(all, again), lasting_ + gradients_ + one_layer), "computed",
          "The " + std::to_string(layers.size()) + " modules " + every + " save " + human_bytes(all) +
              " for the backward pass",
          "Run each through torch.utils.checkpoint.checkpoint(module, x, use_reentrant=False): only its output is "
          "kept, and it is computed again in the backward pass.",
          nullptr, every);
    }
  }

  /// What a loss over classes reads, makes and hands back, and the layer before it: as large as all its inputs times
  /// all classes. Of each only a part is there when both go through a part of the inputs at a time.
  void loss_in_parts() {
    if (raised_in_ != "backward" && !(raised_in_ == "forward" && records_)) return;
    std::vector<HeldBySite> held;
    for (const PeakPart* part : parts_)
      if (passes(*part)) held.push_back({&report_.sites[part->site], part->share.bytes, part->share.blocks});
    const LossMemory loss = loss_memory(report_, held);
    const auto in_parts = [](const Frame& frame) { return is_call_of(frame, "torch/utils/checkpoint.py", ""); };
    if (loss.most == nullptr || any_frame(report_, loss.most->stack, in_parts)) return;
    const Bytes other = lasting_ + gradients_ + one_layer_ / 2;
    add("loss-in-parts", down_to(loss.bytes - loss.bytes / loss_parts, other), "computed",
        human_bytes(loss.bytes) + " of the peak are the outputs of the last layer and the loss of them",
        loss_in_parts_fix, largest([&](const PeakPart& part) { return &report_.sites[part.site] == loss.most; }));
  }

  /// A quarter of what float32 takes, and a scale for every 256 numbers or so.
  void optimizer_state() {
    if (raised_in_ != "forward" && raised_in_ != "backward") return;
    const auto wanted = [](const PeakPart& part) { return part.share.role == "optimizer_state"; };
    const Bytes bytes = sum(wanted);
    if (10 * bytes < peak_ || !keeps_float32()) return;
    add("optimizer-state", bytes / 4 * 3 - bytes / 256, "computed",
        "The optimizer keeps " + human_bytes(bytes) + " of state in float32",
        "Use an optimizer that keeps its state in 8 bits (AdamW8bit of bitsandbytes or torchao): a quarter of it.",
        largest(wanted));
  }

  /// Whether all state of optimizers that is known tensor by tensor is in float32, and there is some.
  bool keeps_float32() const {
    bool any = false;
    for (const AllocationReport& allocation : report_.allocations) {
      const auto& tensor = allocation.tensor;
      if (!tensor || tensor->role != "optimizer_state" || allocation.bytes < 4096) continue;
      if (tensor->dtype != "float32") return false;
      any = true;
    }
    return any;
  }

  void smaller_batch() {
    if (raised_in_ != "forward" && raised_in_ != "backward") return;
    // torch.func keeps graphs of its own, whose blocks are not told from the gradients that they make.
    const auto saved = [](const PeakPart& part) { return part.share.role == "activation"; };
    if (second_order_ && sum(saved) == 0) return;
    std::set<Bytes> of_parameters;
    for (const PeakPart* part : parts_)
      if (part->usual_role == "parameter" || part->makes_gradient)
        of_parameters.insert(report_.sites[part->site].largest_bytes);
    const Bytes bytes = sum([&](const PeakPart& part) {
      if (part.share.role != "activation" && part.share.role != "temporary") return false;
      if (part.phase == "optimizer" || part.makes_gradient) return part.share.role == "activation";
      // Gradients that no parameter was given, and what is made of them: new weights, computed by the script.
      const bool inside = part.phase == "forward" && part.share.module;
      return inside || !of_parameters.contains(report_.sites[part.site].largest_bytes);
    });
    // Where nothing is learned from the pass, nothing depends on how many go into one.
    const bool evaluates = raised_in_ == "forward" && (!records_ || unused_graph());
    const Bytes other = lasting_ + gradients_ + one_layer_ / 2;
    add("smaller-batch", down_to(bytes / 2, other), "computed", human_bytes(bytes) + " of the peak grow with the batch",
        evaluates ? "Halve the batch of this forward pass, which has no backward pass."
                  : "Halve the batch (and accumulate the gradients of two, if its size matters).",
        nullptr);
  }

  const Report& report_;
  const std::vector<std::string>& untrained_;
  std::vector<const PeakPart*> parts_;
  Bytes peak_ = 0, lasting_ = 0, passing_ = 0, step_height_ = 0;
  Bytes gradients_ = 0;                   // all of them
  Bytes one_layer_ = 0;                   // what the backward pass of a layer needs, the largest
  std::set<std::string> layers_;          // "blocks.3"
  std::map<std::string, Bytes> outputs_;  // by layer
  std::string raised_in_;                 // the phase of the allocation that made the peak
  std::string raised_in_layer_;           // and the layer
  bool records_ = false;                  // and whether autograd recorded it
  bool second_order_ = false;             // a backward pass built a graph of its own
  std::vector<Advice> found_;
};

}  // namespace

std::vector<Advice> advise(const Report& report, const std::vector<PeakPart>& parts, bool second_order,
                           const std::vector<std::string>& untrained) {
  std::vector<Advice> all;
  std::vector<int> devices;
  for (const PeakPart& part : parts) {
    const int device = report.sites[part.site].device;
    if (std::find(devices.begin(), devices.end(), device) == devices.end()) devices.push_back(device);
  }
  for (const int device : devices) {
    std::vector<Advice> found = Adviser(report, parts, device, second_order, untrained).run();
    std::move(found.begin(), found.end(), std::back_inserter(all));
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const Advice& a, const Advice& b) { return a.saves_bytes > b.saves_bytes; });
  return all;
}

}  // namespace vramtrack
