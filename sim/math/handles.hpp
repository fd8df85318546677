// What all simulated math libraries do alike with handles, descriptors and their settings. Success is 0 in each; what a
// library calls other outcomes is told: `missing`, an object that is null; `invalid`, an argument that is none.
#pragma once

namespace vramtrack::sim {

/// The caller owns the object until destroy().
template <typename Object>
int create(void** out, int invalid) {
  if (out == nullptr) return invalid;
  *out = new Object;
  return 0;
}

/// `missing` is 0 where null may be destroyed.
template <typename Object>
int destroy(const void* object, int missing) {
  if (object == nullptr) return missing;
  delete static_cast<const Object*>(object);
  return 0;
}

/// Settings are kept and given back.
template <typename Object, typename Value>
int set(void* object, Value Object::*member, Value value, int missing) {
  if (object == nullptr) return missing;
  static_cast<Object*>(object)->*member = value;
  return 0;
}
template <typename Object, typename Value>
int get(const void* object, Value Object::*member, Value* out, int missing, int invalid) {
  if (object == nullptr) return missing;
  if (out == nullptr) return invalid;
  *out = static_cast<const Object*>(object)->*member;
  return 0;
}

template <typename Value>
int give(Value* out, Value value, int invalid) {
  if (out == nullptr) return invalid;
  *out = value;
  return 0;
}

/// Major, minor or patch (libraryPropertyType) of a version: 13.1.0 of 130100, whose `major_unit` is 10000, 12.6.0 of
/// 12600, whose `major_unit` is 1000.
inline int give_version_part(int part, int* out, int version, int major_unit, int invalid) {
  constexpr int minor_unit = 100;
  if (part < 0 || part > 2) return invalid;
  const int parts[] = {version / major_unit, version % major_unit / minor_unit, version % minor_unit};
  return give(out, parts[part], invalid);
}

}  // namespace vramtrack::sim
