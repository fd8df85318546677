#include "sim/math/sparse_shapes.hpp"

#include <cuda_runtime_api.h>

#include <algorithm>

#include "sim/math/library.hpp"

namespace vramtrack::sim {
namespace {

template <typename Index>
std::vector<std::int64_t> read_as(const void* from, std::size_t count, int base) {
  std::vector<Index> raw(count);
  std::vector<std::int64_t> numbers;
  if (count == 0 || from == nullptr || !copy_bytes(raw.data(), from, count * sizeof(Index))) return numbers;
  numbers.reserve(count);
  for (const Index number : raw) numbers.push_back(static_cast<std::int64_t>(number) - base);
  return numbers;
}
std::vector<std::int64_t> read_numbers(const void* from, std::int64_t count, int type, int base) {
  const auto many = static_cast<std::size_t>(std::max<std::int64_t>(count, 0));
  return type == index_64 ? read_as<std::int64_t>(from, many, base) : read_as<std::int32_t>(from, many, base);
}

template <typename Index>
void write_as(const std::vector<std::int64_t>& numbers, void* to, int base) {
  std::vector<Index> raw;
  raw.reserve(numbers.size());
  for (const std::int64_t number : numbers) raw.push_back(static_cast<Index>(number + base));
  if (to != nullptr && !raw.empty()) copy_bytes(to, raw.data(), raw.size() * sizeof(Index));
}
void write_numbers(const std::vector<std::int64_t>& numbers, void* to, int type, int base) {
  type == index_64 ? write_as<std::int64_t>(numbers, to, base) : write_as<std::int32_t>(numbers, to, base);
}

Pattern empty(std::int64_t rows, std::int64_t columns) {
  Pattern pattern;
  pattern.columns = columns;
  pattern.offsets.assign(static_cast<std::size_t>(rows) + 1, 0);
  return pattern;
}

/// Adds the marked columns of a row, ascending, and takes the marks away.
void end_row(Pattern& pattern, std::vector<std::int64_t>& row, std::vector<bool>& marked) {
  std::ranges::sort(row);
  for (const std::int64_t column : row) marked[static_cast<std::size_t>(column)] = false;
  pattern.indices.insert(pattern.indices.end(), row.begin(), row.end());
  pattern.offsets.push_back(static_cast<std::int64_t>(pattern.indices.size()));
  row.clear();
}

void add_row(const Pattern& from, std::int64_t row, std::vector<std::int64_t>& columns, std::vector<bool>& marked) {
  const auto begin = from.offsets[static_cast<std::size_t>(row)], end = from.offsets[static_cast<std::size_t>(row) + 1];
  for (std::int64_t at = begin; at < end; ++at) {
    const std::int64_t column = from.indices[static_cast<std::size_t>(at)];
    if (marked[static_cast<std::size_t>(column)]) continue;
    marked[static_cast<std::size_t>(column)] = true;
    columns.push_back(column);
  }
}

}  // namespace

bool copy_bytes(void* to, const void* from, std::size_t bytes) {
  static const auto copy = runtime_function<cudaError_t(void*, const void*, std::size_t, cudaMemcpyKind)>("cudaMemcpy");
  return copy != nullptr && copy(to, from, bytes, cudaMemcpyDefault) == cudaSuccess;
}

Pattern read_pattern(const SparseMatrix& matrix) {
  Pattern pattern = empty(std::max<std::int64_t>(matrix.rows, 0), matrix.columns);
  if (matrix.format != format_csr || matrix.elements <= 0) return pattern;
  std::vector<std::int64_t> offsets = read_numbers(matrix.offsets, matrix.rows + 1, matrix.offset_type, matrix.base);
  std::vector<std::int64_t> indices = read_numbers(matrix.indices, matrix.elements, matrix.index_type, matrix.base);
  const bool ordered = !offsets.empty() && std::ranges::is_sorted(offsets) && offsets.front() == 0 &&
                       offsets.back() == static_cast<std::int64_t>(indices.size());
  const bool inside =
      std::ranges::all_of(indices, [&](std::int64_t column) { return column >= 0 && column < matrix.columns; });
  if (!ordered || !inside) return pattern;
  pattern.offsets = std::move(offsets);
  pattern.indices = std::move(indices);
  return pattern;
}

Pattern sum_of(const Pattern& a, const Pattern& b) {
  if (a.rows() != b.rows() || a.columns != b.columns) return empty(a.rows(), a.columns);
  Pattern sum;
  sum.columns = a.columns;
  sum.offsets.push_back(0);
  std::vector<std::int64_t> columns;
  std::vector<bool> marked(static_cast<std::size_t>(a.columns));
  for (std::int64_t row = 0; row < a.rows(); ++row) {
    add_row(a, row, columns, marked);
    add_row(b, row, columns, marked);
    end_row(sum, columns, marked);
  }
  return sum;
}

Pattern product_of(const Pattern& a, const Pattern& b) {
  if (a.columns != b.rows()) return empty(a.rows(), b.columns);
  Pattern product;
  product.columns = b.columns;
  product.offsets.push_back(0);
  std::vector<std::int64_t> columns;
  std::vector<bool> marked(static_cast<std::size_t>(b.columns));
  for (std::int64_t row = 0; row < a.rows(); ++row) {
    const auto begin = a.offsets[static_cast<std::size_t>(row)], end = a.offsets[static_cast<std::size_t>(row) + 1];
    for (std::int64_t at = begin; at < end; ++at) add_row(b, a.indices[static_cast<std::size_t>(at)], columns, marked);
    end_row(product, columns, marked);
  }
  return product;
}

void write_offsets(const Pattern& pattern, void* offsets, int type, int base) {
  write_numbers(pattern.offsets, offsets, type, base);
}
void write_indices(const Pattern& pattern, void* indices, int type, int base) {
  write_numbers(pattern.indices, indices, type, base);
}

}  // namespace vramtrack::sim
