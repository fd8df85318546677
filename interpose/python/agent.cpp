// Life of the agent in a process: scheduled by the first event, installed with the GIL, asked for looks, ended.
#include "interpose/python/agent.hpp"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "interpose/core/clock.hpp"
#include "interpose/core/object_at.hpp"
#include "interpose/core/options.hpp"
#include "interpose/core/saved_errno.hpp"
#include "interpose/python/looks.hpp"
#include "interpose/python/natives.hpp"
#include "interpose/python/python_api.hpp"
#include "interpose/python/sources.hpp"
#include "interpose/python/steps.hpp"
#include "interpose/python/worker_random.hpp"

namespace vramtrack::agent {

namespace detail {
alignas(64) std::atomic<std::uint64_t> g_next_bytes{0};
}

namespace {

enum class State : int { idle, scheduled, waits_for_torch, installed, off };
std::atomic<State> g_state{State::idle};
std::atomic<bool> g_child{false};
std::atomic<bool> g_look_pending{false};
std::atomic<std::uint64_t> g_look_ns{0};            // processor time spent in looks so far
std::atomic<std::int64_t> g_excess_ns{0};           // of that, by how much graphs took longer than they count for
std::atomic<std::uint64_t> g_role_ns{0};            // in those at roles, which must not take the others' time
std::atomic<std::uint64_t> g_height{0};             // the allocator's total that asked for the pending look
alignas(64) std::atomic<std::int64_t> g_blocks{0};  // live blocks of the caching allocator, as far as threads told
std::atomic<std::int64_t> g_events{0};              // its allocations and frees, likewise
// Look at the frames when there are so many blocks, or after so many events: 32, 512, 8192, ..., for programs that are
// soon at their height.
std::atomic<std::int64_t> g_next_blocks{0};
std::atomic<std::int64_t> g_next_event{32};
std::uint64_t g_start_ns = 0;
Object* g_globals = nullptr;  // the namespace of install.py, whose functions are called by name
__thread std::uint32_t t_last_oom = 0;

/// GIL held from construction to destruction; keeps the script's pending exception, errno, and its trace function out
/// of the agent.
class PythonScope {
 public:
  explicit PythonScope(const PythonApi& api) noexcept : api_(api) {
    api_.fetch_error(&type_, &value_, &trace_);
    enter_tracing(api_);
  }
  ~PythonScope() {
    leave_tracing(api_);
    if (api_.error_occurred() == nullptr)
      api_.restore_error(type_, value_, trace_);
    else {  // an exception of the script's own (a signal handler of it that ran inside the agent): passed on
      for (Object* part : {type_, value_, trace_})
        if (part != nullptr) api_.decref(part);
      foreign_error_ = true;
    }
  }
  PythonScope(const PythonScope&) = delete;
  PythonScope& operator=(const PythonScope&) = delete;

 private:
  const PythonApi& api_;
  Object *type_ = nullptr, *value_ = nullptr, *trace_ = nullptr;
  SavedErrno errno_;
  bool foreign_error_ = false;
};

/// Switches PyTorch's frame compiler off (`callback` is None's place-holder nullptr) or back on: a frame of the agent
/// that runs below a compiled function must not be compiled. Returns the callback that was set, or nullptr.
Object* set_eval_frame(const PythonApi& api, Object* callback) noexcept {
  Object* function = g_globals == nullptr ? nullptr : api.dict_get(g_globals, "set_eval_frame");
  Object* none = g_globals == nullptr ? nullptr : api.dict_get(g_globals, "NONE");
  if (function == nullptr || none == nullptr || function == none) return nullptr;
  Object* arguments = api.new_tuple(1);
  if (arguments == nullptr) return nullptr;
  Object* value = callback != nullptr ? callback : none;
  api.incref(value);
  api.tuple_set(arguments, 0, value);
  Object* previous = api.call(function, arguments);
  api.decref(arguments);
  if (previous == nullptr) api.clear_error();
  return previous;
}

bool call_in(const PythonApi& api, const char* name, Object* arguments) noexcept {
  Object* function = g_globals == nullptr ? nullptr : api.dict_get(g_globals, name);
  Object* result = function == nullptr ? nullptr : api.call(function, arguments);
  if (result == nullptr) return false;
  const bool truth = api.is_true(result) == 1;
  api.decref(result);
  return truth;
}

/// `arguments`: a tuple, borrowed; nullptr: none.
bool call(const PythonApi& api, const char* name, Object* arguments) noexcept {
  Object* previous = set_eval_frame(api, nullptr);
  const bool truth = call_in(api, name, arguments);
  if (previous != nullptr) {
    Object *type = nullptr, *value = nullptr, *trace = nullptr;  // an exception of the script's own stays set
    api.fetch_error(&type, &value, &trace);
    if (Object* ours = set_eval_frame(api, previous)) api.decref(ours);
    api.restore_error(type, value, trace);
    api.decref(previous);
  }
  return truth;
}

/// Makes the package: runs loader.py in a namespace of its own, which leaves that of install.py there. A Python error
/// is left set.
bool make_package(const PythonApi& api) noexcept {
  const Source* source = find_source("loader");
  Object* globals = api.new_dict();  // owned, never freed: it owns the package
  if (source == nullptr || globals == nullptr) return false;
  api.dict_set(globals, "__builtins__", api.builtins());
  constexpr std::string_view name = "vramtrack_agent.loader";
  if (Object* text = api.new_string(name.data(), static_cast<std::ptrdiff_t>(name.size()))) {
    api.dict_set(globals, "__name__", text);
    api.decref(text);
  }
  if (!add_natives(api, globals)) return false;
  constexpr int file_input = 257;  // Py_file_input
  Object* code = api.compile(source->text, "<vramtrack loader>", file_input);
  if (code == nullptr) return false;
  Object* result = api.eval(code, globals, globals);
  api.decref(code);
  if (result == nullptr) return false;
  api.decref(result);
  g_globals = api.dict_get(globals, "entry");
  return g_globals != nullptr;
}

void install(const PythonApi& api) noexcept {
  State expected = g_state.load();
  if (expected == State::installed || expected == State::off) return;
  PythonScope scope(api);
  const bool ready = g_globals != nullptr || make_package(api);
  const bool complete = ready && call(api, "install", nullptr);
  if (api.error_occurred() != nullptr) {  // cannot work here (a very old or very new interpreter): the rest goes on
    api.clear_error();
    g_state.store(State::off);
    return;
  }
  g_state.store(complete ? State::installed : State::waits_for_torch);
}

int run_install(void*) {
  const PythonApi* api = python_api();
  if (api != nullptr && python_usable(*api)) install(*api);
  return 0;
}

int run_look(void*) {
  const PythonApi* api = python_api();
  if (api != nullptr && python_usable(*api)) {
    if (look_budget() != 0) look_now("height");
    look_at_roles(nullptr);
  }
  g_look_pending.store(false);
  return api != nullptr && api->error_occurred() != nullptr ? -1 : 0;
}

/// Pending calls run in the main thread only; where the event came from another one, that may not be soon.
void* install_later(void*) {
  const timespec pause{0, 200'000'000};
  ::nanosleep(&pause, nullptr);
  const PythonApi* api = python_api();
  if (api == nullptr || g_state.load() != State::scheduled || !python_usable(*api)) return nullptr;
  const int gil = api->gil_ensure();
  if (g_state.load() == State::scheduled && python_usable(*api)) install(*api);
  api->gil_release(gil);
  return nullptr;
}

/// Looks may take a second of a process's life, and one hundredth of it after that. Those at steps come all the same:
/// there are as many as the logarithm of the steps, and what they tell must not depend on how busy the machine is.
std::uint64_t allowed_for_looks() noexcept { return 1'000'000'000 + (monotonic_ns() - g_start_ns) / 100; }

/// Calls a function of the agent with one argument (a reference that is given away; nullptr: none could be made) and
/// adds the processor time to `spent`.
void timed_look(const PythonApi& api, const char* name, Object* argument, std::atomic<std::uint64_t>& spent) noexcept {
  const std::uint64_t start = thread_cpu_ns();
  {
    PythonScope scope(api);
    if (Object* arguments = argument == nullptr ? nullptr : api.new_tuple(1)) {
      api.tuple_set(arguments, 0, argument);
      call(api, name, arguments);
      api.decref(arguments);
    }
  }
  spent.fetch_add(thread_cpu_ns() - start, std::memory_order_relaxed);
}

bool is_main_thread() noexcept { return ::syscall(SYS_gettid) == ::getpid(); }

void start_helper() noexcept {
  sigset_t all, old;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &old);
  pthread_t thread;
  if (::pthread_create(&thread, nullptr, install_later, nullptr) == 0) ::pthread_detach(thread);
  ::pthread_sigmask(SIG_SETMASK, &old, nullptr);
}

}  // namespace

void schedule() noexcept {
  SavedErrno keep;
  const State seen = g_state.load();
  if (seen != State::idle && seen != State::waits_for_torch) return;
  if (g_host_options.no_agent) {
    g_state.store(State::off);
    return;
  }
  const PythonApi* api = python_api();
  if (api == nullptr || !python_usable(*api)) return;  // a later event may find Python
  State expected = seen;
  if (!g_state.compare_exchange_strong(expected, State::scheduled)) return;
  if (g_start_ns == 0) g_start_ns = monotonic_ns();
  if (api->add_pending_call(run_install, nullptr) != 0) {
    g_state.store(seen);  // its queue is full: next time
    return;
  }
  if (!is_main_thread()) start_helper();
}

void look_now(const char* why) noexcept {
  const PythonApi* api = python_api();
  if (api == nullptr || g_globals == nullptr) return;
  timed_look(*api, "on_look", api->new_string(why, static_cast<std::ptrdiff_t>(::strlen(why))), g_look_ns);
}

void enter(const char* name, Object* arguments) noexcept {
  const PythonApi* api = python_api();
  if (api == nullptr) return;
  PythonScope scope(*api);
  call(*api, name, arguments);
}

void look_at_roles(Object* optimizer) noexcept {
  // Those at first steps are few, and nothing else can say later what the gradients were.
  constexpr std::uint64_t first_steps_ns = 1'000'000'000;
  const std::uint64_t allowed = optimizer != nullptr ? first_steps_ns : allowed_for_looks();
  const PythonApi* api = python_api();
  if (api == nullptr || g_globals == nullptr || g_role_ns.load(std::memory_order_relaxed) > allowed) return;
  Object* argument = optimizer != nullptr ? optimizer : api->dict_get(g_globals, "NONE");
  if (argument == nullptr) return;
  api->incref(argument);
  timed_look(*api, "on_roles", argument, g_role_ns);
}

std::uint64_t look_budget() noexcept {
  // A slow or busy machine's graphs take longer: up to a limit, that must not change what is looked at.
  constexpr std::uint64_t slowest = 4;
  const std::uint64_t allowed = allowed_for_looks();
  const std::uint64_t took = g_look_ns.load(std::memory_order_relaxed);
  if (took >= slowest * allowed) return 0;
  const auto used = static_cast<std::int64_t>(took) - g_excess_ns.load(std::memory_order_relaxed);
  const std::int64_t left = static_cast<std::int64_t>(allowed) - used;
  return left > 0 ? static_cast<std::uint64_t>(left) : 0;
}

void count_look_as(std::int64_t took, std::int64_t counts) noexcept {
  g_excess_ns.fetch_add(took - counts, std::memory_order_relaxed);
}

std::uint64_t look_height() noexcept { return g_height.load(std::memory_order_relaxed); }

std::uint64_t sequence_number() noexcept {
  const PythonApi* api = python_api();
  Object* function = api == nullptr || g_globals == nullptr ? nullptr : api->dict_get(g_globals, "sequence_nr");
  Object* none = function == nullptr ? nullptr : api->dict_get(g_globals, "NONE");
  if (function == nullptr || function == none) return 0;
  Object* number = api->call(function, nullptr);
  if (number == nullptr) {
    api->clear_error();
    return 0;
  }
  const std::uint64_t value = api->unsigned_mask(number);
  api->decref(number);
  return value;
}

void detail::tell(std::uint64_t bytes) noexcept {
  // Heights grow by a fifth from one look to the next: a bounded number of looks for any amount of memory.
  constexpr std::uint64_t least_bytes = 1 << 20;
  constexpr std::int64_t least_blocks = 64;
  const std::int32_t more_blocks = std::exchange(t_hot.blocks, 0), more_events = std::exchange(t_hot.events, 0);
  const std::int64_t blocks = g_blocks.fetch_add(more_blocks) + more_blocks;
  const std::int64_t events = g_events.fetch_add(more_events) + more_events;
  t_hot.tell_at = events < 512 ? 32 : 256;
  const bool many_events = events >= g_next_event.load();
  if (!many_events && bytes < g_next_bytes.load() && blocks < g_next_blocks.load()) return;
  const SavedErrno keep;
  const State state = g_state.load(std::memory_order_relaxed);
  if (state == State::idle || state == State::waits_for_torch) schedule();
  if (many_events) g_next_event.store(g_next_event.load() * 16);
  g_next_bytes.store(std::max(g_next_bytes.load(), bytes + bytes / 5 + least_bytes));
  g_next_blocks.store(std::max(g_next_blocks.load(), blocks + blocks / 5 + least_blocks));
  if (state != State::installed || look_budget() == 0) return;
  g_height.store(bytes, std::memory_order_relaxed);
  if (g_look_pending.exchange(true)) return;
  const PythonApi* api = python_api();
  if (api == nullptr || !python_usable(*api) || api->add_pending_call(run_look, nullptr) != 0)
    g_look_pending.store(false);
}

void finish() noexcept {
  if (g_child.load()) child_ends();
  const State state = g_state.load();
  if (state != State::installed && state != State::waits_for_torch) return;
  const PythonApi* api = python_api();
  if (api == nullptr || !python_usable(*api) || api->gil_check() == 0) return;
  PythonScope scope(*api);
  call(*api, "on_exit", nullptr);
  if (api->error_occurred() != nullptr) api->clear_error();
}

bool look_at_all() noexcept {
  const PythonApi* api = python_api();
  if (g_child.load() || api == nullptr || !python_usable(*api) || api->gil_check() == 0) return false;
  if (g_state.load() != State::installed) install(*api);
  if (g_state.load() != State::installed) return false;
  PythonScope scope(*api);
  const bool done = call(*api, "on_ask", nullptr);
  if (api->error_occurred() != nullptr) api->clear_error();
  return done;
}

std::uint32_t last_oom() noexcept { return std::exchange(t_last_oom, 0); }
void note_oom(std::uint32_t n) noexcept { t_last_oom = n; }

bool is_interpreter(const void* address) noexcept {
  const PythonApi* api = known_python_api();
  if (api == nullptr) return false;
  const void* const object = object_at(address);
  return object != nullptr && object == object_at(reinterpret_cast<void*>(api->is_initialized));
}

void reset() noexcept {
  g_child.store(true);
  if (g_state.load() != State::off) g_state.store(State::idle);
  g_look_pending.store(false);
  g_look_ns.store(0);
  g_excess_ns.store(0);
  g_role_ns.store(0);
  g_start_ns = 0;
  g_blocks.store(0);
  g_events.store(0);
  g_next_blocks.store(0);
  g_next_event.store(32);
  detail::g_next_bytes.store(0);
  t_hot.blocks = t_hot.events = 0;
  t_hot.tell_at = 0;
  t_last_oom = 0;
  reset_steps();
}

}  // namespace vramtrack::agent
