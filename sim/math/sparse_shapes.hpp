// Which elements a sparse matrix has, read from and written to device memory; and those of a sum and a product. No
// values: those stay zero.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace vramtrack::sim {

enum SparseFormat { format_csr = 1, format_csc = 2, format_coo = 3 };  // cusparseFormat_t
enum IndexType { index_32 = 2, index_64 = 3 };                         // cusparseIndexType_t

/// What a cusparseSpMatDescr_t says. Pointers are the program's, on the device.
struct SparseMatrix {
  std::int64_t rows = 0, columns = 0, elements = 0;
  void* offsets = nullptr;  // of COO: the row of each element
  void* indices = nullptr;
  void* values = nullptr;
  int offset_type = index_32, index_type = index_32, base = 0, value_type = 0;
  SparseFormat format = format_csr;
};

/// Columns of the elements of each row, from 0. Empty where the matrix is not CSR, or where its memory does not hold
/// the indices of one (a kernel that would have made them does not compute).
struct Pattern {
  std::int64_t columns = 0;
  std::vector<std::int64_t> offsets;  // rows + 1
  std::vector<std::int64_t> indices;
  std::int64_t rows() const { return offsets.empty() ? 0 : static_cast<std::int64_t>(offsets.size()) - 1; }
};

/// Copies between host and device, whichever is which, by the runtime; false: it failed.
bool copy_bytes(void* to, const void* from, std::size_t bytes);

Pattern read_pattern(const SparseMatrix& matrix);
Pattern sum_of(const Pattern& a, const Pattern& b);
Pattern product_of(const Pattern& a, const Pattern& b);

void write_offsets(const Pattern& pattern, void* offsets, int type, int base);
void write_indices(const Pattern& pattern, void* indices, int type, int base);

}  // namespace vramtrack::sim
