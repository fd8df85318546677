#include "sim/torch/record_function.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstring>
#include <memory>

namespace vramtrack::sim {
namespace {

constexpr std::ptrdiff_t word = sizeof(void*);
constexpr std::ptrdiff_t record_bytes = 640;  // the operator's name lies behind the callbacks, well within this

/// Reads memory that may not be there, through a pipe: the kernel answers EFAULT instead of a signal.
class CarefulReader {
 public:
  CarefulReader() { m_open = pipe2(m_ends, O_CLOEXEC | O_NONBLOCK) == 0; }
  ~CarefulReader() {
    if (!m_open) return;
    close(m_ends[0]);
    close(m_ends[1]);
  }
  CarefulReader(const CarefulReader&) = delete;
  CarefulReader& operator=(const CarefulReader&) = delete;

  bool read(const void* from, void* to, std::size_t bytes) {
    return m_open && write(m_ends[1], from, bytes) == static_cast<ssize_t>(bytes) &&
           ::read(m_ends[0], to, bytes) == static_cast<ssize_t>(bytes);
  }

 private:
  int m_ends[2] = {-1, -1};
  bool m_open = false;
};

template <class T>
T at(const void* object, std::ptrdiff_t offset) {
  T value;
  std::memcpy(&value, static_cast<const char*>(object) + offset, sizeof value);
  return value;
}

// What at::addGlobalCallback takes by value: two functions, a probability, a flag per scope (operators are the first
// of ten), then whether inputs, outputs and ids are wanted. A release with one scope more would read our `outputs` as
// `inputs`, so the flags behind are set, too.
struct Callback {
  void* (*start)(void* result, const RecordFunction*);
  void (*end)(const RecordFunction*, void* context);
  double probability = 1.0;
  bool scopes[10] = {true};
  bool wanted[6] = {true, true, true, true, false, false};
};

// at::ObserverContext, which PyTorch destroys through its virtual destructor.
struct Context {
  explicit Context(void* call) : m_call(call) {}
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  virtual ~Context();
  void* m_call;
};

void* (*g_start)(const RecordFunction*);
void (*g_end)(const RecordFunction*, void*);
void (*g_forget)(void*);

Context::~Context() { g_forget(m_call); }

}  // namespace

bool RecordLayout::learn(const RecordFunction* record, const char* name) {
  if (name == nullptr || *name == '\0') return false;
  CarefulReader reader;
  for (std::ptrdiff_t offset = 0; offset < record_bytes; offset += word) {
    void* candidate = nullptr;
    void* first[2] = {};
    if (!reader.read(reinterpret_cast<const char*>(record) + offset, &candidate, sizeof candidate)) return false;
    // A schema begins with its name, whose text is what RecordFunction::name() returns.
    if (candidate == nullptr || !reader.read(candidate, first, sizeof first) || first[0] != name) continue;
    m_short_strings = reinterpret_cast<std::uint64_t>(first[1]) == std::strlen(name);
    m_function = offset;
    // variant<std::string, schema>, its index, the sequence number; then the inputs as pointer and count.
    const std::ptrdiff_t variant = m_short_strings ? 32 : word;
    if (at<std::uint8_t>(record, offset + variant) != 1) continue;
    m_inputs = offset + variant + 2 * word;
    // Since 2.1 an unordered_map of keyword inputs comes between: empty, it points to its own bucket.
    const std::ptrdiff_t map = m_inputs + 2 * word;
    const auto bucket = reinterpret_cast<std::uint64_t>(record) + static_cast<std::uint64_t>(map + 6 * word);
    const bool has_map = at<std::uint64_t>(record, map) == bucket && at<std::uint64_t>(record, map + word) == 1;
    m_outputs = has_map ? map + 7 * word : map;
    // No operator has run: its outputs are an empty vector.
    return at<std::uint64_t>(record, m_outputs) == 0 && at<std::uint64_t>(record, m_outputs + word) == 0 &&
           at<std::uint64_t>(record, m_inputs + word) < 1024;
  }
  return false;
}

const void* RecordLayout::schema(const RecordFunction* record) const {
  const bool is_schema = at<std::uint8_t>(record, m_function + (m_short_strings ? 32 : word)) == 1;
  return is_schema ? at<const void*>(record, m_function) : nullptr;
}

const char* RecordLayout::overload(const void* schema) const {
  return at<const char*>(schema, m_short_strings ? 32 : word);
}

IValues RecordLayout::inputs(const RecordFunction* record) const {
  return {at<const IValue*>(record, m_inputs), at<std::size_t>(record, m_inputs + word)};
}

IValues RecordLayout::outputs(const RecordFunction* record) const {
  const auto* const begin = at<const IValue*>(record, m_outputs);
  const auto* const end = at<const IValue*>(record, m_outputs + word);
  return {begin, static_cast<std::size_t>(end - begin)};
}

IValues list_elements(const IValue& list) {
  // vtable, then one word of counts (since 2.10) or two; the counts of an object in use are small numbers.
  const auto* const object = reinterpret_cast<const void*>(list.payload);
  const bool two_counts = at<std::uint64_t>(object, 2 * word) < 65536 && at<std::uint64_t>(object, 2 * word) != 0;
  const std::ptrdiff_t vector = two_counts ? 3 * word : 2 * word;
  const auto* const begin = at<const IValue*>(object, vector);
  const auto* const end = at<const IValue*>(object, vector + word);
  return {begin, static_cast<std::size_t>(end - begin)};
}

bool observe_operators(void* (*start)(const RecordFunction*), void (*end)(const RecordFunction*, void* context),
                       void (*forget)(void* context)) {
  void* const library = dlopen("libtorch_cpu.so", RTLD_NOW | RTLD_NOLOAD);
  if (library == nullptr) return false;
  auto* const add = reinterpret_cast<std::uint64_t (*)(Callback)>(
      dlsym(library, "_ZN2at17addGlobalCallbackENS_22RecordFunctionCallbackE"));
  if (add == nullptr) return false;
  g_start = start;
  g_end = end;
  g_forget = forget;
  Callback callback{};
  callback.start = [](void* result, const RecordFunction* record) {  // std::unique_ptr, returned through memory
    void* const call = g_start(record);
    *static_cast<Context**>(result) = call == nullptr ? nullptr : new Context(call);
    return result;
  };
  callback.end = [](const RecordFunction* record, void* context) {
    if (context != nullptr) g_end(record, static_cast<Context*>(context)->m_call);
  };
  add(callback);
  return true;
}

}  // namespace vramtrack::sim
