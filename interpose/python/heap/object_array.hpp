// NumPy's arrays of objects, read as plain memory: the collector does not know them, so that what is in one has no
// holder for it. The layout is part of NumPy's binary interface, the same in 1.x and 2.x.
#pragma once

#include "interpose/python/heap/objects.hpp"

namespace vramtrack::agent::heap {

class ObjectArray {
 public:
  explicit ObjectArray(const Object* array) noexcept
      : data_(field<const char*>(array, 16)),
        dimensions_(field<std::int32_t>(array, 24)),
        lengths_(field<const std::ptrdiff_t*>(array, 32)),
        strides_(field<const std::ptrdiff_t*>(array, 40)) {}

  /// Whether an object of type numpy.ndarray holds objects, by the code of its descr (a PyArray_Descr).
  static bool is(const Object* array) noexcept {
    const Object* const descr = field<const Object*>(array, 56);
    return descr != nullptr && field<char>(descr, 25) == 'O';
  }

  /// The array that a view shows, or nullptr.
  static Object* base(const Object* array) noexcept { return field<Object*>(array, 48); }

  std::ptrdiff_t size() const noexcept {
    std::ptrdiff_t size = 1;
    for (std::int32_t i = 0; i < dimensions_; ++i) size *= lengths_[i];
    return size;
  }

  /// Calls visit(object, context) for the elements in their order until it gives other than 0.
  int each(Visit visit, void* context) const noexcept { return each(0, data_, visit, context); }

 private:
  int each(std::int32_t dimension, const char* at, Visit visit, void* context) const noexcept {
    if (dimension == dimensions_) {
      Object* const element = field<Object*>(at, 0);
      return element == nullptr ? 0 : visit(element, context);
    }
    for (std::ptrdiff_t i = 0; i < lengths_[dimension]; ++i)
      if (const int stop = each(dimension + 1, at + i * strides_[dimension], visit, context); stop != 0) return stop;
    return 0;
  }

  const char* data_;
  std::int32_t dimensions_;
  const std::ptrdiff_t* lengths_;
  const std::ptrdiff_t* strides_;
};

}  // namespace vramtrack::agent::heap
