// How PyTorch tells of each operator: at::RecordFunction, read without PyTorch's headers. Its members stand where the
// first operator that is seen shows them to be; what does not look as expected is not used at all.
#pragma once

#include <cstddef>
#include <cstdint>

namespace vramtrack::sim {

/// c10::IValue: a payload and a tag. Tags up to Int have had these numbers since 1.12; later ones moved.
struct IValue {
  std::uint64_t payload;
  std::uint32_t tag;
  std::uint32_t padding;

  static constexpr std::uint32_t none = 0, tensor = 1, real = 3, integer = 5;
  bool is_tensor() const { return tag == tensor && payload != 0; }
};
static_assert(sizeof(IValue) == 16);

struct IValues {
  const IValue* data = nullptr;
  std::size_t size = 0;
  const IValue* begin() const { return data; }
  const IValue* end() const { return data + size; }
};

struct RecordFunction;  // at::RecordFunction

/// Where the members lie in this process's PyTorch.
class RecordLayout {
 public:
  /// Finds out from an operator's record in a start callback. False: another try may succeed (the record is not of an
  /// operator with arguments), or the layout is unknown.
  bool learn(const RecordFunction* record, const char* name);
  /// The operator's schema (its address is its identity), or nullptr when the record is not an operator's.
  const void* schema(const RecordFunction* record) const;
  /// The overload's name in a schema.
  const char* overload(const void* schema) const;
  IValues inputs(const RecordFunction* record) const;   // in the start callback only
  IValues outputs(const RecordFunction* record) const;  // in the end callback; empty when the operator threw

 private:
  std::ptrdiff_t m_function = 0, m_inputs = 0, m_outputs = 0;
  bool m_short_strings = false;  // std::string of 32 bytes; otherwise one pointer (the old C++ ABI)
};

/// The elements of a list (c10::List): its `IValue`s.
IValues list_elements(const IValue& list);

/// Calls start and end around every operator from now on, in all threads. False when there is no PyTorch in the
/// process, or one whose functions are not there.
bool observe_operators(void* (*start)(const RecordFunction*), void (*end)(const RecordFunction*, void* context),
                       void (*forget)(void* context));

}  // namespace vramtrack::sim
