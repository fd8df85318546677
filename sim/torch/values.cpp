#include "sim/torch/values.hpp"

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <sys/prctl.h>

#include "contract/option_parse.hpp"
#include "sim/driver/copy.hpp"
#include "sim/driver/stream_work.hpp"
#include "sim/torch/compute_source.hpp"
#include "sim/torch/tensors.hpp"

namespace vramtrack::sim {
namespace {

/// How one operator is treated; made once by `plan()` in compute.py.
struct Plan {
  bool compute = false;
  bool opaque = false;     // the operators that its CUDA kernel calls are left alone
  bool begins = false;     // `begin()` wants to see its arguments before it runs
  bool shapes = false;     // shapes of other tensors come from its results
  bool whole = false;      // made of others, on whose results it decides: all of them are computed, of any size
  std::int64_t limit = 0;  // elements of the largest tensor up to which it is computed
  bool mutates = false;
  std::string kinds;    // of its arguments, a letter each: see kind_of() in compute.py
  std::string returns;  // and of its results
  PyThing* handle = nullptr;
};

/// An operator that is running in this thread.
struct Call {
  Call* parent = nullptr;
  const Plan* plan = nullptr;
  PyThing* arguments = nullptr;
  std::uint64_t computed = 0;  // a result that an inner call of the same operator has filled in already
  bool answers = false;        // what its kernels count is known: see answer_next_copy()
  bool whole = false;          // within an operator of which everything is computed
  bool fits(std::int64_t elements) const { return whole || elements <= plan->limit; }
};

enum class State { waiting, starting, ready, off };

struct Values {
  std::mutex setup;
  std::atomic<State> state = State::waiting;  // `setup` is held to change it
  std::atomic<bool> observing = false;
  bool everything = false;
  RecordLayout layout;
  TorchApi torch;
  const PythonApi* python = nullptr;
  PyThing *begin = nullptr, *finish = nullptr, *plan = nullptr;
  std::shared_mutex lock;
  std::unordered_map<const void*, Plan> plans;  // by schema; never erased
};
Values& values() {
  static Values& all = *new Values;  // operators run from exit handlers, too
  return all;
}

thread_local Call* t_top = nullptr;
thread_local bool t_busy = false;

struct Busy {
  Busy() { t_busy = true; }
  ~Busy() {
    t_busy = false;
    errno = m_errno;
  }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;
  int m_errno = errno;
};

void give_up(const char* why) {
  values().state = State::off;
  std::fprintf(stderr, "vramtrack-sim: no values are computed: %s\n", why);
}

// ---- what compute.py calls

PyThing* py_wrote(PyThing*, PyThing* arguments) {
  const PythonApi& api = *values().python;
  mark_written(api.unsigned_mask(api.tuple_get(arguments, 0)), api.unsigned_mask(api.tuple_get(arguments, 1)));
  return api.incref(api.none), api.none;
}

PyThing* py_settle(PyThing*, PyThing* arguments) {
  const PythonApi& api = *values().python;
  const std::uint64_t address = api.unsigned_mask(api.tuple_get(arguments, 0));
  const std::uint64_t bytes = api.unsigned_mask(api.tuple_get(arguments, 1));
  void* const thread = api.unlock();
  await_range(address, bytes);
  api.lock(thread);
  return api.incref(api.none), api.none;
}

PyThing* py_answer(PyThing*, PyThing* arguments) {
  const PythonApi& api = *values().python;
  answer_next_copy(api.unsigned_mask(api.tuple_get(arguments, 0)));
  return api.incref(api.none), api.none;
}

PyMethod g_wrote{"wrote", py_wrote, py_varargs, nullptr};
PyMethod g_settle{"settle", py_settle, py_varargs, nullptr};
PyMethod g_answer{"answer", py_answer, py_varargs, nullptr};

/// Calls a Python function with arguments whose references it takes over. New reference or nullptr with an error set.
template <class... Arguments>
PyThing* call(const PythonApi& api, PyThing* function, Arguments... arguments) {
  PyThing* const tuple = api.new_tuple(sizeof...(arguments));
  std::ptrdiff_t index = 0;
  (api.tuple_set(tuple, index++, arguments), ...);
  PyThing* const result = api.call(function, tuple);
  api.decref(tuple);
  return result;
}

PyThing* shared(const PythonApi& api, PyThing* object) { return api.incref(object), object; }

/// The largest program that is run in here: compute.py. Its functions live in a dictionary of their own.
bool load(Values& all) {
  const PythonApi& api = *all.python;
  PyThing* const globals = api.new_dict();
  api.dict_set(globals, "wrote", api.new_function(&g_wrote, nullptr, nullptr));
  api.dict_set(globals, "settle", api.new_function(&g_settle, nullptr, nullptr));
  api.dict_set(globals, "answer", api.new_function(&g_answer, nullptr, nullptr));
  api.dict_set(globals, "everything", api.new_bool(all.everything));
  if (!run_program(api, compute_source(), globals)) return false;
  all.begin = api.dict_get(globals, "begin");
  all.finish = api.dict_get(globals, "finish");
  all.plan = api.dict_get(globals, "plan");
  if (PyThing* const set_eval_frame = api.dict_get(globals, "set_eval_frame"); set_eval_frame != api.none)
    switch_frame_compiler_with(shared(api, set_eval_frame));
  PyThing* const facts = call(api, api.dict_get(globals, "facts"));
  if (facts == nullptr) return false;
  const auto fact = [&](std::ptrdiff_t i) { return api.unsigned_mask(api.tuple_get(facts, i)); };
  const bool learned = all.torch.learn({fact(0), fact(1), fact(2), fact(3), fact(4), fact(5), fact(6)});
  api.decref(facts);
  return learned;
}

bool set_up(const RecordFunction* record) {
  Values& all = values();
  const std::unique_lock only(all.setup, std::try_to_lock);
  if (!only || all.state != State::waiting) return all.state == State::ready;
  all.python = python_api();
  if (all.python == nullptr) return all.state = State::off, false;  // no Python here: nothing is promised
  if (!all.torch.find()) return give_up("this PyTorch lacks a function that is needed"), false;
  // Not every record shows where things are (a user's own range does not).
  if (!all.layout.learn(record, all.torch.name(record))) return false;
  const Busy busy;
  const PythonScope python(*all.python);
  if (!python) return false;
  all.state = State::starting;
  const TorchApi::Scope torch(all.torch);
  if (!load(all)) {
    PyThing *type = nullptr, *value = nullptr, *trace = nullptr;
    all.python->fetch_error(&type, &value, &trace);
    PyThing* const said = value == nullptr ? nullptr : all.python->to_string(value);
    const char* const text = said == nullptr ? nullptr : all.python->string_text(said, nullptr);
    give_up(text != nullptr ? text : "this PyTorch keeps its tensors' members elsewhere");
    return false;
  }
  all.state = State::ready;
  return true;
}

const Plan& plan_of(const void* schema, const RecordFunction* record) {
  Values& all = values();
  {
    const std::shared_lock shared_lock(all.lock);
    if (const auto found = all.plans.find(schema); found != all.plans.end()) return found->second;
  }
  const Busy busy;
  Plan plan;
  {
    const PythonApi& api = *all.python;
    const PythonScope python(api);
    if (python) {
      const TorchApi::Scope torch(all.torch);
      PyThing* const made =
          call(api, all.plan, api.new_string(all.torch.name(record)), api.new_string(all.layout.overload(schema)));
      if (made == nullptr) {
        hand_over_error(api);
      } else if (made != api.none) {
        const auto number = [&](std::ptrdiff_t i) { return api.integer(api.tuple_get(made, i)); };
        plan.compute = true;
        plan.opaque = number(0) != 0;
        plan.begins = number(1) != 0;
        plan.limit = number(2);
        plan.returns = api.string_text(api.tuple_get(made, 3), nullptr);
        plan.mutates = number(4) != 0;
        plan.kinds = api.string_text(api.tuple_get(made, 5), nullptr);
        plan.handle = shared(api, api.tuple_get(made, 6));
        plan.shapes = number(7) != 0;
        plan.whole = number(8) != 0;
      }
    }
  }
  const std::unique_lock lock(all.lock);
  return all.plans.try_emplace(schema, std::move(plan)).first->second;
}

// ---- arguments and results

enum class Fit { none, cuda, odd };

/// Whether a value holds tensors of the simulated device, and counts elements.
Fit look_at(const IValue& value, char kind, std::int64_t& largest) {
  const TorchApi& torch = values().torch;
  const auto one = [&](const IValue& tensor) {
    if (!tensor.is_tensor() || !torch.is_defined(tensor)) return Fit::none;
    if (torch.is_odd(tensor)) return Fit::odd;
    if (const std::int64_t numel = torch.numel(tensor); numel > largest) largest = numel;
    return torch.is_cuda(tensor) ? Fit::cuda : Fit::none;
  };
  if (value.tag == IValue::tensor) return one(value);
  Fit fit = Fit::none;
  if (kind == 'L' && value.tag != IValue::none) {
    for (const IValue& element : list_elements(value)) {
      const Fit found = one(element);
      if (found == Fit::odd) return found;
      if (found == Fit::cuda) fit = found;
    }
  }
  return fit;
}

PyThing* to_python(const IValue& value, char kind) {
  const PythonApi& api = *values().python;
  const TorchApi& torch = values().torch;
  switch (value.tag) {
    case IValue::none:
      return shared(api, api.none);
    case IValue::tensor:
      if (!value.is_tensor() || !torch.is_defined(value)) return shared(api, api.none);
      return torch.alias(value);
    case IValue::real: {
      double real;
      std::memcpy(&real, &value.payload, sizeof real);
      return api.new_real(real);
    }
    case IValue::integer:
      return api.new_integer(static_cast<long long>(value.payload));
    default:
      break;
  }
  if (kind == 'L') {
    const IValues elements = list_elements(value);
    PyThing* const tuple = api.new_tuple(static_cast<std::ptrdiff_t>(elements.size));
    std::ptrdiff_t index = 0;
    for (const IValue& element : elements) api.tuple_set(tuple, index++, to_python(element, 't'));
    return tuple;
  }
  if (kind == 'b') return api.new_bool((value.payload & 0xff) != 0);
  // A number in another form: a truth value, or (complex, symbolic) an object. No object lies in the first pages.
  return torch.object(value, kind == 'o' || (kind == 's' && value.payload > 65536));
}

PyThing* to_python(IValues list, std::string_view kinds) {
  const PythonApi& api = *values().python;
  PyThing* const tuple = api.new_tuple(static_cast<std::ptrdiff_t>(list.size));
  for (std::size_t i = 0; i < list.size; ++i) {
    PyThing* const object = to_python(list.data[i], kinds[i]);
    api.tuple_set(tuple, static_cast<std::ptrdiff_t>(i), object == nullptr ? shared(api, api.none) : object);
  }
  return tuple;
}

/// The last `count` values: a boxed call shows its caller's whole stack.
IValues last(IValues list, std::size_t count) {
  return list.size <= count ? list : IValues{list.data + (list.size - count), count};
}

bool is_backward_thread() {
  thread_local const bool is = [] {
    char name[16] = {};
    return prctl(PR_GET_NAME, name) == 0 && std::strncmp(name, "pt_autograd", 11) == 0;
  }();
  return is;
}

/// Training is not followed by default: what a backward pass computes is left out, but for what shapes come from. A
/// forward pass that is computed again in it (torch.utils.checkpoint) is told by its graph.
bool is_left_out(const Plan& plan) {
  return !values().everything && !plan.shapes && is_backward_thread() && !values().torch.records_graph();
}

void* start(const RecordFunction* record) {
  Values& all = values();
  if (t_busy || all.state == State::off) return nullptr;
  if (all.state != State::ready && !set_up(record)) return nullptr;
  if (t_top != nullptr && t_top->plan->opaque) return nullptr;
  const void* const schema = all.layout.schema(record);
  if (schema == nullptr) return nullptr;
  const Plan& plan = plan_of(schema, record);
  if (!plan.compute || is_left_out(plan)) return nullptr;
  const IValues inputs = last(all.layout.inputs(record), plan.kinds.size());
  if (inputs.size != plan.kinds.size()) return nullptr;
  std::int64_t largest = 0;
  bool takes_tensors = false, on_device = false;
  for (std::size_t i = 0; i < inputs.size; ++i) {
    const Fit fit = look_at(inputs.data[i], plan.kinds[i], largest);
    if (fit == Fit::odd) return nullptr;
    on_device |= fit == Fit::cuda;
    takes_tensors |= plan.kinds[i] == 't' || plan.kinds[i] == 'L';
  }
  const bool whole = plan.whole || (t_top != nullptr && t_top->whole);
  if ((takes_tensors && !on_device) || (!whole && largest > plan.limit)) return nullptr;
  const Busy busy;
  const PythonApi& api = *all.python;
  const PythonScope python(api);
  if (!python) return nullptr;
  const TorchApi::Scope torch(all.torch);
  const bool answered = answer_is_waiting();
  PyThing* arguments = to_python(inputs, plan.kinds);
  if (plan.begins) {
    PyThing* const changed = call(api, all.begin, shared(api, plan.handle), arguments);
    if (changed == nullptr) {
      hand_over_error(api);
      return nullptr;
    }
    arguments = changed;
  }
  t_top = new Call{t_top, &plan, arguments, 0, answer_is_waiting() && !answered, whole};
  return t_top;
}

/// Gives results the sizes that the values have, where a kernel's count decided them.
void resize(IValues outputs, PyThing* wanted) {
  const PythonApi& api = *values().python;
  for (std::ptrdiff_t i = 0; i < api.tuple_size(wanted); ++i) {
    PyThing* const one = api.tuple_get(wanted, i);
    const auto index = static_cast<std::size_t>(api.integer(api.tuple_get(one, 0)));
    PyThing* const sizes = api.tuple_get(one, 1);
    std::vector<std::int64_t> numbers;
    for (std::ptrdiff_t k = 0; k < api.tuple_size(sizes); ++k) numbers.push_back(api.integer(api.tuple_get(sizes, k)));
    if (index < outputs.size && outputs.data[index].is_tensor()) {
      values().torch.resize(outputs.data[index], numbers.data(), numbers.size());
    }
  }
}

/// For an operator that writes into its arguments: those of the operators around it, whose memory is theirs to write.
PyThing* outer_calls(const Call* from) {
  const PythonApi& api = *values().python;
  std::ptrdiff_t count = 0, index = 0;
  for (const Call* at = from; at != nullptr; at = at->parent) count += at->plan->mutates;
  PyThing* const tuple = api.new_tuple(count);
  for (const Call* at = from; at != nullptr; at = at->parent) {
    if (!at->plan->mutates) continue;
    PyThing* const pair = api.new_tuple(2);
    api.tuple_set(pair, 0, shared(api, at->plan->handle));
    api.tuple_set(pair, 1, shared(api, at->arguments));
    api.tuple_set(tuple, index++, pair);
  }
  return tuple;
}

void compute(Call& call_, IValues outputs) {
  Values& all = values();
  const Plan& plan = *call_.plan;
  const PythonApi& api = *all.python;
  for (int round = 0; round < 2; ++round) {
    PyThing* const result =
        call(api, all.finish, shared(api, plan.handle), shared(api, call_.arguments), to_python(outputs, plan.returns),
             plan.mutates ? outer_calls(call_.parent) : shared(api, api.none));
    if (result == nullptr) return hand_over_error(api);
    const bool done = result == api.none;
    if (!done) resize(outputs, result);
    api.decref(result);
    if (done) return;
  }
}

void end(const RecordFunction* record, void* context) {
  Values& all = values();
  Call& call_ = *static_cast<Call*>(context);
  const Plan& plan = *call_.plan;
  if (call_.answers) withdraw_answer();
  if (t_top != &call_ || all.state != State::ready) return;  // ended in another thread: not an operator's call
  t_top = call_.parent;
  if (plan.whole) return;  // its parts were computed
  const IValues outputs = last(all.layout.outputs(record), plan.returns.size());
  if (outputs.size != plan.returns.size()) return;  // it threw
  std::int64_t largest = 0;
  bool on_device = plan.mutates;
  for (std::size_t i = 0; i < outputs.size; ++i) {
    const Fit fit = look_at(outputs.data[i], plan.returns[i], largest);
    if (fit == Fit::odd) return;
    on_device |= fit == Fit::cuda;
  }
  if (!on_device || !call_.fits(largest)) return;
  const std::uint64_t result = outputs.size > 0 && outputs.data[0].is_tensor() ? outputs.data[0].payload : 0;
  if (result != 0 && call_.computed == result) return;
  for (Call* outer = call_.parent; outer != nullptr; outer = outer->parent) {
    if (outer->plan == &plan) outer->computed = result;
  }
  const Busy busy;
  const PythonScope python(*all.python);
  if (!python) return;
  const TorchApi::Scope torch(all.torch);
  std::optional<TorchApi::OneThread> alone;
  if (!all.everything) alone.emplace(all.torch);
  compute(call_, outputs);
}

void forget(void* context) {
  auto* const call_ = static_cast<Call*>(context);
  if (t_top == call_) t_top = call_->parent;
  const Busy busy;
  const PythonScope python(*values().python);
  if (python) values().python->decref(call_->arguments);
  delete call_;
}

}  // namespace

void watch_values() {
  Values& all = values();
  if (all.observing || all.state == State::off) return;
  const std::unique_lock only(all.setup, std::try_to_lock);
  if (!only || all.observing) return;
  const char* const mode = std::getenv("VRAMTRACK_SIM_COMPUTE");
  all.everything = mode != nullptr && option::parse_flag(mode);
  if (const char* const wanted = std::getenv("VRAMTRACK_SIM_VALUES");
      wanted != nullptr && *wanted != '\0' && !option::parse_flag(wanted)) {
    all.state = State::off;
    return;
  }
  all.observing = observe_operators(start, end, forget);
}

}  // namespace vramtrack::sim
