// A library with inlined calls three deep, recursion, lambdas and templates, built with debug information: what
// symbolizer_test.cpp looks at. The volatile keeps the work from being folded away.
#include <algorithm>
#include <string>
#include <vector>

namespace sample {

volatile int g_sink = 0;

static inline __attribute__((always_inline)) int inner(int x) {
  g_sink = g_sink + x;
  return g_sink * 3;
}

static inline __attribute__((always_inline)) int middle(int x) {
  int sum = inner(x);
  for (int i = 0; i < x; ++i) sum += inner(i);
  return sum;
}

template <typename T>
struct Holder {
  __attribute__((noinline)) T run(int x) { return static_cast<T>(middle(x)) + middle(x + 1); }
};

int outer(int x) {
  Holder<long> holder;
  std::vector<int> values(static_cast<std::size_t>(x));
  std::generate(values.begin(), values.end(), [&] { return inner(x++); });
  std::sort(values.begin(), values.end(), [](int a, int b) { return inner(a) < inner(b); });
  const std::string text = std::to_string(values.front());
  return static_cast<int>(holder.run(x)) + static_cast<int>(text.size());
}

}  // namespace sample
