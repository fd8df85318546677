#include "interpose/python/natives.hpp"

#include <iterator>

#include "contract/heap_graph.hpp"
#include "interpose/core/clock.hpp"
#include "interpose/core/options.hpp"
#include "interpose/core/saved_errno.hpp"
#include "interpose/python/agent.hpp"
#include "interpose/python/fact_values.hpp"
#include "interpose/python/heap/capture.hpp"
#include "interpose/python/heap/exit_functions.hpp"
#include "interpose/python/looks.hpp"
#include "interpose/python/sources.hpp"
#include "interpose/python/steps.hpp"
#include "interpose/python/worker_random.hpp"
#include "interpose/recorder/recorder.hpp"
#include "interpose/stacks/labels.hpp"

namespace vramtrack::agent {

namespace {

// Each runs with the GIL held, called from the agent's own code, so arguments are as the agent passes them; a wrong
// one still only gives a Python error, never undefined behaviour.
const PythonApi& api() noexcept { return *python_api(); }

std::string_view text_argument(Object* arguments, std::ptrdiff_t index) noexcept {
  Object* value = api().tuple_get(arguments, index);
  if (value == nullptr) return {};
  std::ptrdiff_t bytes = 0;
  const char* text = api().string_text(value, &bytes);
  return text == nullptr ? std::string_view() : std::string_view(text, static_cast<std::size_t>(bytes));
}

std::uint64_t integer_argument(Object* arguments, std::ptrdiff_t index) noexcept {
  Object* value = api().tuple_get(arguments, index);
  return value == nullptr ? 0 : api().unsigned_mask(value);
}

Object* none_or_error() noexcept { return api().error_occurred() != nullptr ? nullptr : api().build_bool(0); }

/// Which step of its own an optimizer has just made, from 1; 0 for the 65th optimizer and later ones.
std::uint64_t own_step(const Object* optimizer) noexcept {
  static const Object* known[64];
  static std::uint64_t steps[64];
  for (std::size_t i = 0; i < std::size(known); ++i) {
    if (known[i] != optimizer && known[i] != nullptr) continue;
    known[i] = optimizer;
    return ++steps[i];
  }
  return 0;
}

/// torch's hook after each optimizer step: (optimizer, args, kwargs), all left alone. An error of ours must not reach
/// the script; one that a signal handler of the script raised inside a look must.
Object* native_on_step(Object*, Object* arguments) noexcept {
  SavedErrno keep;
  if (const char* why = step_done(sequence_number())) look_now(why);
  Object* optimizer = api().tuple_get(arguments, 0);
  const std::uint64_t step = optimizer == nullptr ? 0 : own_step(optimizer);
  if (step == 1 || step == 2) look_at_roles(optimizer);  // its state and the gradients are there
  // Of its own: where two optimizers take turns, the other one has its state by now, too.
  if (g_host_options.stop_after != 0 && step == g_host_options.stop_after && api().error_occurred() == nullptr)
    enter("on_enough", nullptr);
  return none_or_error();
}

/// The way in for what the interpreter and torch call: the name of one of the agent's functions, and its arguments.
Object* native_enter(Object*, Object* arguments) noexcept {
  const std::string_view name = text_argument(arguments, 0);
  if (api().error_occurred() != nullptr) return nullptr;
  const std::ptrdiff_t count = api().tuple_size(arguments) - 1;
  Object* rest = api().new_tuple(count);
  if (rest == nullptr) return nullptr;
  for (std::ptrdiff_t i = 0; i < count; ++i) {
    Object* argument = api().tuple_get(arguments, i + 1);
    api().incref(argument);
    api().tuple_set(rest, i, argument);
  }
  enter(name.data(), rest);
  api().decref(rest);
  if (api().error_occurred() != nullptr) return nullptr;
  api().incref(api().none);  // anything else of a module's hook replaces its arguments
  return api().none;
}

Object* native_step_of(Object*, Object* arguments) noexcept {
  return api().new_integer(step_of(integer_argument(arguments, 0)));
}

Object* native_fact(Object*, Object* arguments) noexcept {
  SavedErrno keep;
  const std::string_view name = text_argument(arguments, 0);
  Object* const value = api().tuple_get(arguments, 1);
  const auto n = static_cast<std::uint32_t>(integer_argument(arguments, 2));
  if (value == nullptr || api().error_occurred() != nullptr) return nullptr;
  return api().build_bool(write_fact(name, value, n));
}

Object* native_source(Object*, Object* arguments) noexcept {
  const Source* source = find_source(text_argument(arguments, 0));
  if (source == nullptr) return api().new_string("", 0);
  return api().new_string(source->text, static_cast<std::ptrdiff_t>(source->bytes));
}

Object* native_last_oom(Object*, Object*) noexcept { return api().new_integer(last_oom()); }

Object* native_state(Object*, Object*) noexcept {
  const LiveState state = live_state();
  const std::uint64_t parts[] = {state.step, state.bytes, state.blocks, look_height(), state.freed};
  Object* tuple = api().new_tuple(std::size(parts));
  if (tuple == nullptr) return nullptr;
  for (std::size_t i = 0; i < std::size(parts); ++i)
    api().tuple_set(tuple, static_cast<std::ptrdiff_t>(i), api().new_unsigned(parts[i]));
  return tuple;
}

/// What `vramtrack fit` asked for: 0, or after how many steps or calls of the model the process ends.
Object* native_stop_after(Object*, Object*) noexcept { return api().new_unsigned(g_host_options.stop_after); }

/// Whether every event is logged (--history).
Object* native_history(Object*, Object*) noexcept { return api().build_bool(g_host_options.history); }

/// The heights of the tensor layer so far, live and reserved, all devices together: it grows as long as one of them
/// does.
Object* native_heights(Object*, Object*) noexcept { return api().new_unsigned(heights()); }

Object* native_look_budget(Object*, Object*) noexcept { return api().new_unsigned(look_budget()); }

Object* native_count_look_as(Object*, Object* arguments) noexcept {
  const auto took = static_cast<std::int64_t>(integer_argument(arguments, 0));
  const auto counts = static_cast<std::int64_t>(integer_argument(arguments, 1));
  if (api().error_occurred() != nullptr) return nullptr;
  count_look_as(took, counts);
  return none_or_error();
}

Object* native_suspect(Object*, Object*) noexcept {
  suspect();
  return none_or_error();
}

Object* native_fork(Object*, Object* arguments) noexcept {
  const auto* state = reinterpret_cast<const void*>(integer_argument(arguments, 0));
  before_fork(state, text_argument(arguments, 1), static_cast<std::uint32_t>(integer_argument(arguments, 2)));
  return none_or_error();
}

Object* native_forked(Object*, Object*) noexcept {
  forked_child();
  return none_or_error();
}

Object* native_interrupt(Object*, Object*) noexcept {
  api().set_interrupt();
  return none_or_error();
}

Object* native_end(Object*, Object*) noexcept {
  SavedErrno keep;
  note_step_live();
  note_worker_rng();
  freeze();
  return none_or_error();
}

/// (address, class's address) of the module that has label n; False: there are not so many. (0, 0): not a module's.
Object* native_label(Object*, Object* arguments) noexcept {
  std::uint64_t address = 0, type = 0;
  const auto label = static_cast<std::uint32_t>(integer_argument(arguments, 0));
  if (api().error_occurred() != nullptr || !stacks::labelled_module(label, address, type)) return none_or_error();
  Object* tuple = api().new_tuple(2);
  if (tuple == nullptr) return nullptr;
  api().tuple_set(tuple, 0, api().new_unsigned(address));
  api().tuple_set(tuple, 1, api().new_unsigned(type));
  return tuple;
}

/// (site, birth in ticks, bytes) of the live block of the tensor layer that begins at an address; False: there is none.
Object* native_block(Object*, Object* arguments) noexcept {
  SavedErrno keep;
  const std::uint64_t address = integer_argument(arguments, 0);
  const auto device = static_cast<std::int16_t>(integer_argument(arguments, 1));
  if (api().error_occurred() != nullptr) return nullptr;
  const ledger::Found found = [&] {
    const HookScope scope;  // a signal handler that comes under the ledger's locks must not wait for them
    return ledger::find(Layer::tensor, device, Kind::block, address);
  }();
  Object* tuple = found.bytes == 0 ? nullptr : api().new_tuple(3);
  if (tuple == nullptr) return none_or_error();
  api().tuple_set(tuple, 0, api().new_unsigned(found.site));
  api().tuple_set(tuple, 1, api().new_unsigned(found.time));
  api().tuple_set(tuple, 2, api().new_unsigned(found.bytes));
  return tuple;
}

Object* native_ticks(Object*, Object*) noexcept { return api().new_unsigned(ticks()); }

MethodDef g_methods[] = {
    {"native_on_step", native_on_step, method_varargs, nullptr},
    {"native_enter", native_enter, method_varargs, nullptr},
    {"native_step_of", native_step_of, method_varargs, nullptr},
    {"native_fact", native_fact, method_varargs, nullptr},
    {"native_source", native_source, method_varargs, nullptr},
    {"native_last_oom", native_last_oom, method_varargs, nullptr},
    {"native_state", native_state, method_varargs, nullptr},
    {"native_stop_after", native_stop_after, method_varargs, nullptr},
    {"native_history", native_history, method_varargs, nullptr},
    {"native_heights", native_heights, method_varargs, nullptr},
    {"native_look_budget", native_look_budget, method_varargs, nullptr},
    {"native_count_look_as", native_count_look_as, method_varargs, nullptr},
    {"native_suspect", native_suspect, method_varargs, nullptr},
    {"native_fork", native_fork, method_varargs, nullptr},
    {"native_forked", native_forked, method_varargs, nullptr},
    {"native_interrupt", native_interrupt, method_varargs, nullptr},
    {"native_graph_scan", heap::scan, method_varargs, nullptr},
    {"native_graph", heap::capture, method_varargs, nullptr},
    {"native_exit_functions", heap::exit_functions, method_varargs, nullptr},
    {"native_label", native_label, method_varargs, nullptr},
    {"native_block", native_block, method_varargs, nullptr},
    {"native_ticks", native_ticks, method_varargs, nullptr},
    {"native_end", native_end, method_varargs, nullptr},
};

struct Constant {
  const char* name;
  std::uint64_t value;
};

/// What the capture of the graph and its reader agree on, for the agent's Python half.
constexpr Constant g_constants[] = {
#define GRAPH_MOMENT(value, name, what) {"MOMENT_" #name, value},
#define GRAPH_EDGE_KIND(value, name, what) {"EDGE_" #name, value},
#include "contract/heap_graph.def"
    {"GRAPH_root", trace::graph_root},
    {"GRAPH_requires_grad", trace::graph_requires_grad},
    {"GRAPH_leaf", trace::graph_leaf},
    {"GRAPH_view", trace::graph_view},
    {"GRAPH_suspended", trace::graph_suspended},
    {"GRAPH_module_frame", trace::graph_module_frame},
    {"GRAPH_never_read_again", trace::graph_never_read_again},
    {"GRAPH_borrowed", trace::graph_borrowed},
    {"GRAPH_segment_edge", trace::graph_to_segment},
    {"GRAPH_out_of_time", trace::graph_out_of_time},
};

}  // namespace

bool add_natives(const PythonApi& python, Object* globals) noexcept {
  for (const Constant& constant : g_constants) {
    Object* value = python.new_unsigned(constant.value);
    if (value == nullptr) return false;
    const int failed = python.dict_set(globals, constant.name, value);
    python.decref(value);
    if (failed != 0) return false;
  }
  for (MethodDef& method : g_methods) {
    Object* function = python.new_function(&method, nullptr, nullptr);
    if (function == nullptr) return false;
    const int failed = python.dict_set(globals, method.name, function);
    python.decref(function);
    if (failed != 0) return false;
  }
  return true;
}

}  // namespace vramtrack::agent
