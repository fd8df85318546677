#include "sim/nccl/numbers.hpp"

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

namespace vramtrack::sim::nccl {

namespace {

/// A binary floating-point format of at most 16 bits. `infinite`: it has infinities (else the top code is NaN, as in
/// e4m3fn).
template <typename Bits, int exponent_bits, int mantissa_bits, bool infinite>
struct Small {
  Bits bits;

  static constexpr int bias = (1 << (exponent_bits - 1)) - 1;
  static constexpr unsigned mantissa_mask = (1u << mantissa_bits) - 1, exponent_mask = (1u << exponent_bits) - 1;
  static constexpr unsigned sign_bit = 1u << (exponent_bits + mantissa_bits);
  static constexpr bool saturates = sizeof(Bits) == 1;  // as CUDA's constructors of the 8-bit types do

  static float decode(Bits bits) {
    const unsigned exponent = bits >> mantissa_bits & exponent_mask, mantissa = bits & mantissa_mask;
    float value;
    if (infinite && exponent == exponent_mask) {
      value = mantissa == 0 ? std::numeric_limits<float>::infinity() : std::numeric_limits<float>::quiet_NaN();
    } else if (!infinite && exponent == exponent_mask && mantissa == mantissa_mask) {
      value = std::numeric_limits<float>::quiet_NaN();
    } else if (exponent == 0) {
      value = std::ldexp(static_cast<float>(mantissa), 1 - bias - mantissa_bits);
    } else {
      value = std::ldexp(static_cast<float>(mantissa | 1u << mantissa_bits),
                         static_cast<int>(exponent) - bias - mantissa_bits);
    }
    return (bits & sign_bit) != 0 ? -value : value;
  }

  static Bits encode(float value) {
    const unsigned sign = std::signbit(value) ? sign_bit : 0;
    constexpr unsigned not_a_number =
        exponent_mask << mantissa_bits | (infinite ? 1u << (mantissa_bits - 1) : mantissa_mask);
    constexpr unsigned largest = infinite ? (exponent_mask << mantissa_bits) - 1 : not_a_number - 1;
    constexpr unsigned overflow = saturates ? largest : exponent_mask << mantissa_bits;
    if (std::isnan(value)) return static_cast<Bits>(sign | not_a_number);
    const float magnitude = std::fabs(value);
    if (std::isinf(magnitude)) return static_cast<Bits>(sign | overflow);
    int exponent = 0;
    std::frexp(magnitude, &exponent);
    exponent = exponent - 1 < 1 - bias ? 1 - bias : exponent - 1;  // below that the format is denormal
    // In units of the last place; nearbyint rounds to even. A carry moves into the exponent by itself.
    const float units = std::nearbyint(std::ldexp(magnitude, mantissa_bits - exponent));
    const auto code = static_cast<unsigned>(units) + (static_cast<unsigned>(exponent + bias - 1) << mantissa_bits);
    return static_cast<Bits>(sign | (magnitude == 0 ? 0 : code > largest ? overflow : code));
  }

  operator float() const {
    static const auto* const table = [] {
      auto* all = new std::array<float, 1u << (8 * sizeof(Bits))>;
      for (std::size_t code = 0; code < all->size(); ++code) (*all)[code] = decode(static_cast<Bits>(code));
      return all;
    }();
    return (*table)[bits];
  }
  static Small from(float value) { return {encode(value)}; }
};
using Half = Small<std::uint16_t, 5, 10, true>;
using E4m3 = Small<std::uint8_t, 4, 3, false>;
using E5m2 = Small<std::uint8_t, 5, 2, true>;

struct Bfloat16 {
  std::uint16_t bits;
  operator float() const { return std::bit_cast<float>(std::uint32_t{bits} << 16); }
  static Bfloat16 from(float value) {
    const auto wide = std::bit_cast<std::uint32_t>(value);
    if (std::isnan(value)) return {static_cast<std::uint16_t>(wide >> 16 | 0x40)};
    return {static_cast<std::uint16_t>((wide + 0x7fff + (wide >> 16 & 1)) >> 16)};
  }
};

/// What elements of a type are computed in, and how they go in and out. Integers wrap: unsigned arithmetic.
template <typename T>
struct Arithmetic {
  static constexpr bool is_integer = std::is_integral_v<T>;
  using Wide = std::conditional_t<is_integer, T, std::conditional_t<std::is_same_v<T, double>, double, float>>;
  using Wrapping = std::conditional_t<is_integer, std::uint64_t, Wide>;

  static Wide load(const T* at) {
    T value;
    std::memcpy(&value, at, sizeof value);
    return static_cast<Wide>(value);
  }
  static void store(T* at, Wide value) {
    if constexpr (std::is_arithmetic_v<T>) {
      std::memcpy(at, &value, sizeof value);
    } else {
      const T narrow = T::from(value);
      std::memcpy(at, &narrow, sizeof narrow);
    }
  }
  static Wide add(Wide a, Wide b) { return static_cast<Wide>(static_cast<Wrapping>(a) + static_cast<Wrapping>(b)); }
  static Wide multiply(Wide a, Wide b) {
    return static_cast<Wide>(static_cast<Wrapping>(a) * static_cast<Wrapping>(b));
  }
  static Wide greater(Wide a, Wide b) {
    if constexpr (is_integer) {
      return a < b ? b : a;
    } else {
      return std::fmax(a, b);
    }
  }
  static Wide lesser(Wide a, Wide b) {
    if constexpr (is_integer) {
      return b < a ? b : a;
    } else {
      return std::fmin(a, b);
    }
  }
};

template <typename T, typename Combine, typename Finish>
void fold(const std::vector<Contribution>& from, std::size_t count, T* target, Combine combine, Finish finish) {
  using A = Arithmetic<T>;
  const auto element = [&](std::size_t rank, std::size_t i) {
    const auto* data = static_cast<const T*>(from[rank].data);
    return data == nullptr ? typename A::Wide{} : A::load(data + i);
  };
  for (std::size_t i = 0; i < count; ++i) {
    auto value = element(0, i);
    for (std::size_t rank = 1; rank < from.size(); ++rank) value = combine(value, element(rank, i));
    A::store(target + i, finish(value));
  }
}

template <typename T>
void premultiplied_sum(const std::vector<Contribution>& from, std::size_t count, T* target) {
  using A = Arithmetic<T>;
  std::vector<typename A::Wide> factors;
  for (const Contribution& one : from) factors.push_back(A::load(reinterpret_cast<const T*>(&one.scalar)));
  for (std::size_t i = 0; i < count; ++i) {
    typename A::Wide value{};
    for (std::size_t rank = 0; rank < from.size(); ++rank) {
      const auto* data = static_cast<const T*>(from[rank].data);
      if (data != nullptr) value = A::add(value, A::multiply(A::load(data + i), factors[rank]));
    }
    A::store(target + i, value);
  }
}

template <typename T>
void reduce_as(int reduction, const std::vector<Contribution>& from, std::size_t count, void* out) {
  using A = Arithmetic<T>;
  using Wide = typename A::Wide;
  auto* target = static_cast<T*>(out);
  const auto same = [](Wide value) { return value; };
  switch (reduction) {
    case sum:
      return fold<T>(from, count, target, A::add, same);
    case prod:
      return fold<T>(from, count, target, A::multiply, same);
    case max:
      return fold<T>(from, count, target, A::greater, same);
    case min:
      return fold<T>(from, count, target, A::lesser, same);
    case avg: {
      const auto ranks = static_cast<Wide>(from.size());
      return fold<T>(from, count, target, A::add, [ranks](Wide value) { return static_cast<Wide>(value / ranks); });
    }
    default:
      return premultiplied_sum<T>(from, count, target);
  }
}

/// Calls `visit` with a null pointer of the C++ type that stands for `type`.
template <typename Visit>
decltype(auto) with_type(Type type, Visit visit) {
  switch (type) {
    case Type::i8:
      return visit(static_cast<std::int8_t*>(nullptr));
    case Type::u8:
      return visit(static_cast<std::uint8_t*>(nullptr));
    case Type::i32:
      return visit(static_cast<std::int32_t*>(nullptr));
    case Type::u32:
      return visit(static_cast<std::uint32_t*>(nullptr));
    case Type::i64:
      return visit(static_cast<std::int64_t*>(nullptr));
    case Type::u64:
      return visit(static_cast<std::uint64_t*>(nullptr));
    case Type::f16:
      return visit(static_cast<Half*>(nullptr));
    case Type::f32:
      return visit(static_cast<float*>(nullptr));
    case Type::f64:
      return visit(static_cast<double*>(nullptr));
    case Type::bf16:
      return visit(static_cast<Bfloat16*>(nullptr));
    case Type::f8e4m3:
      return visit(static_cast<E4m3*>(nullptr));
    case Type::f8e5m2:
      break;
  }
  return visit(static_cast<E5m2*>(nullptr));
}

}  // namespace

void reduce(Type type, int reduction, const std::vector<Contribution>& contributions, std::size_t count, void* target) {
  with_type(type,
            [&](auto* as) { reduce_as<std::remove_pointer_t<decltype(as)>>(reduction, contributions, count, target); });
}

double to_number(Type type, const void* element) {
  return with_type(type, [&](auto* as) {
    using T = std::remove_pointer_t<decltype(as)>;
    return static_cast<double>(Arithmetic<T>::load(static_cast<const T*>(element)));
  });
}

void from_number(Type type, double value, void* element) {
  with_type(type, [&](auto* as) {
    using T = std::remove_pointer_t<decltype(as)>;
    Arithmetic<T>::store(static_cast<T*>(element), static_cast<typename Arithmetic<T>::Wide>(value));
  });
}

}  // namespace vramtrack::sim::nccl
