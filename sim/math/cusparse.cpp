// cuSPARSE: handles, descriptors, sizes of buffers, and how many elements a sum or a product of sparse matrices has,
// since that decides how much memory is taken. Other computing functions are stubs that succeed (names/cusparse.def).
// Prototypes are our own: cuSPARSE's headers are not needed to build.
//
// Sizes of buffers are small and fixed; cuSPARSE's own are not published.
#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <new>

#include "sim/math/handles.hpp"
#include "sim/math/sparse_shapes.hpp"

using namespace vramtrack::sim;

namespace {

enum Status { success = 0, not_initialized = 1, alloc_failed = 2, invalid_value = 3 };
constexpr std::size_t buffer_bytes = 1024;

struct Handle {
  cudaStream_t stream = nullptr;
  int pointer_mode = 0;
};

/// cusparseMatDescr_t
struct Kind {
  int type = 0, fill = 0, diagonal = 0, base = 0;
};

template <typename Object>
int create(void** out) {
  return vramtrack::sim::create<Object>(out, invalid_value);
}
template <typename Object>
int destroy(const void* object) {
  return vramtrack::sim::destroy<Object>(object, success);
}
template <typename Size>
int give(Size* bytes) {
  return vramtrack::sim::give(bytes, static_cast<Size>(buffer_bytes), invalid_value);
}

int no_pivot(int* position) { return vramtrack::sim::give(position, -1, invalid_value); }

int create_matrix(void** out, const SparseMatrix& matrix) {
  if (out == nullptr || matrix.rows < 0 || matrix.columns < 0 || matrix.elements < 0) return invalid_value;
  *out = new SparseMatrix(matrix);
  return success;
}

int set_pointers(void* matrix, void* offsets, void* columns, void* values) {
  if (matrix == nullptr) return invalid_value;
  auto& sparse = *static_cast<SparseMatrix*>(matrix);
  sparse.offsets = offsets;
  sparse.indices = columns;
  sparse.values = values;
  return success;
}

struct Dense {
  std::int64_t rows = 0, columns = 0, leading = 0;
  void* values = nullptr;
  int type = 0, order = 0, batch = 1;
  std::int64_t batch_stride = 0;
};

Pattern pattern_of(std::int64_t rows, std::int64_t columns, std::int64_t elements, const int* offsets,
                   const int* indices, const void* kind) {
  SparseMatrix matrix;
  matrix.rows = rows;
  matrix.columns = columns;
  matrix.elements = elements;
  matrix.offsets = const_cast<int*>(offsets);
  matrix.indices = const_cast<int*>(indices);
  matrix.base = kind != nullptr ? static_cast<const Kind*>(kind)->base : 0;
  return read_pattern(matrix);
}

}  // namespace

extern "C" {

int cusparseCreate(void** handle) { return create<Handle>(handle); }
int cusparseDestroy(void* handle) { return vramtrack::sim::destroy<Handle>(handle, not_initialized); }
int cusparseSetStream(void* handle, cudaStream_t stream) {
  return set(handle, &Handle::stream, stream, not_initialized);
}
int cusparseGetStream(void* handle, cudaStream_t* stream) {
  return get(handle, &Handle::stream, stream, not_initialized, invalid_value);
}
int cusparseSetPointerMode(void* handle, int mode) { return set(handle, &Handle::pointer_mode, mode, not_initialized); }
int cusparseGetPointerMode(void* handle, int* mode) {
  return get(handle, &Handle::pointer_mode, mode, not_initialized, invalid_value);
}
int cusparseGetVersion(void*, int* version) {
  return vramtrack::sim::give(version, SIM_CUSPARSE_VERSION, invalid_value);
}
int cusparseGetProperty(int type, int* value) {
  return give_version_part(type, value, SIM_CUSPARSE_VERSION, 1000, invalid_value);
}
const char* cusparseGetErrorName(int status) {
  switch (status) {
    case success:
      return "CUSPARSE_STATUS_SUCCESS";
    case not_initialized:
      return "CUSPARSE_STATUS_NOT_INITIALIZED";
    case alloc_failed:
      return "CUSPARSE_STATUS_ALLOC_FAILED";
    case invalid_value:
      return "CUSPARSE_STATUS_INVALID_VALUE";
    case 10:
      return "CUSPARSE_STATUS_NOT_SUPPORTED";
    default:
      return "CUSPARSE_STATUS_UNKNOWN";
  }
}
const char* cusparseGetErrorString(int status) { return cusparseGetErrorName(status); }

int cusparseCreateMatDescr(void** kind) { return create<Kind>(kind); }
int cusparseDestroyMatDescr(void* kind) { return destroy<Kind>(kind); }
#define KIND(name, member)                                                                                   \
  int cusparseSetMat##name(void* kind, int value) { return set(kind, &Kind::member, value, invalid_value); } \
  int cusparseGetMat##name(const void* kind) { return kind == nullptr ? 0 : static_cast<const Kind*>(kind)->member; }
KIND(Type, type)
KIND(FillMode, fill)
KIND(DiagType, diagonal)
KIND(IndexBase, base)

// What a solver remembers between its steps: nothing here.
#define STATE(made, gone)                                \
  int made(void** state) { return create<Kind>(state); } \
  int gone(void* state) { return destroy<Kind>(state); }
STATE(cusparseCreateBsrsv2Info, cusparseDestroyBsrsv2Info)
STATE(cusparseCreateBsrsm2Info, cusparseDestroyBsrsm2Info)
STATE(cusparseSpSV_createDescr, cusparseSpSV_destroyDescr)
STATE(cusparseSpSM_createDescr, cusparseSpSM_destroyDescr)
STATE(cusparseSpGEMM_createDescr, cusparseSpGEMM_destroyDescr)
int cusparseXbsrsv2_zeroPivot(void*, void*, int* position) { return no_pivot(position); }
int cusparseXbsrsm2_zeroPivot(void*, void*, int* position) { return no_pivot(position); }

int cusparseCreateCsr(void** out, std::int64_t rows, std::int64_t columns, std::int64_t elements, void* offsets,
                      void* indices, void* values, int offset_type, int index_type, int base, int type) {
  return create_matrix(
      out, {rows, columns, elements, offsets, indices, values, offset_type, index_type, base, type, format_csr});
}
int cusparseCreateConstCsr(void** out, std::int64_t rows, std::int64_t columns, std::int64_t elements, void* offsets,
                           void* indices, void* values, int offset_type, int index_type, int base, int type) {
  return cusparseCreateCsr(out, rows, columns, elements, offsets, indices, values, offset_type, index_type, base, type);
}
int cusparseCreateCsc(void** out, std::int64_t rows, std::int64_t columns, std::int64_t elements, void* offsets,
                      void* indices, void* values, int offset_type, int index_type, int base, int type) {
  return create_matrix(
      out, {rows, columns, elements, offsets, indices, values, offset_type, index_type, base, type, format_csc});
}
int cusparseCreateCoo(void** out, std::int64_t rows, std::int64_t columns, std::int64_t elements, void* row_indices,
                      void* indices, void* values, int index_type, int base, int type) {
  return create_matrix(
      out, {rows, columns, elements, row_indices, indices, values, index_type, index_type, base, type, format_coo});
}
int cusparseCreateConstCoo(void** out, std::int64_t rows, std::int64_t columns, std::int64_t elements,
                           void* row_indices, void* indices, void* values, int index_type, int base, int type) {
  return cusparseCreateCoo(out, rows, columns, elements, row_indices, indices, values, index_type, base, type);
}
int cusparseDestroySpMat(const void* matrix) { return destroy<SparseMatrix>(matrix); }
int cusparseSpMatGetSize(const void* matrix, std::int64_t* rows, std::int64_t* columns, std::int64_t* elements) {
  if (matrix == nullptr || rows == nullptr || columns == nullptr || elements == nullptr) return invalid_value;
  const auto& sparse = *static_cast<const SparseMatrix*>(matrix);
  *rows = sparse.rows;
  *columns = sparse.columns;
  *elements = sparse.elements;
  return success;
}
int cusparseSpMatSetAttribute(void* matrix, int, void*, std::size_t) {
  return matrix == nullptr ? invalid_value : success;
}
int cusparseCsrSetStridedBatch(void* matrix, int, std::int64_t, std::int64_t) {
  return matrix == nullptr ? invalid_value : success;
}
int cusparseCooSetStridedBatch(void* matrix, int, std::int64_t) { return matrix == nullptr ? invalid_value : success; }
int cusparseCsrSetPointers(void* matrix, void* offsets, void* columns, void* values) {
  return set_pointers(matrix, offsets, columns, values);
}
int cusparseCscSetPointers(void* matrix, void* offsets, void* rows, void* values) {
  return set_pointers(matrix, offsets, rows, values);
}
int cusparseCooSetPointers(void* matrix, void* rows, void* columns, void* values) {
  return set_pointers(matrix, rows, columns, values);
}

int cusparseCreateDnMat(void** out, std::int64_t rows, std::int64_t columns, std::int64_t leading, void* values,
                        int type, int order) {
  if (out == nullptr) return invalid_value;
  *out = new Dense{rows, columns, leading, values, type, order};
  return success;
}
int cusparseCreateConstDnMat(void** out, std::int64_t rows, std::int64_t columns, std::int64_t leading, void* values,
                             int type, int order) {
  return cusparseCreateDnMat(out, rows, columns, leading, values, type, order);
}
int cusparseDestroyDnMat(const void* matrix) { return destroy<Dense>(matrix); }
int cusparseDnMatSetStridedBatch(void* matrix, int batch, std::int64_t stride) {
  if (matrix == nullptr) return invalid_value;
  static_cast<Dense*>(matrix)->batch = batch;
  static_cast<Dense*>(matrix)->batch_stride = stride;
  return success;
}
int cusparseCreateDnVec(void** out, std::int64_t size, void* values, int type) {
  return cusparseCreateDnMat(out, size, 1, size, values, type, 0);
}
int cusparseCreateConstDnVec(void** out, std::int64_t size, void* values, int type) {
  return cusparseCreateDnVec(out, size, values, type);
}
int cusparseDestroyDnVec(const void* vector) { return destroy<Dense>(vector); }

int cusparseSpMV_bufferSize(void*, int, const void*, const void*, const void*, const void*, void*, int, int,
                            std::size_t* bytes) {
  return give(bytes);
}
int cusparseSpMM_bufferSize(void*, int, int, const void*, const void*, const void*, const void*, void*, int, int,
                            std::size_t* bytes) {
  return give(bytes);
}
int cusparseSDDMM_bufferSize(void*, int, int, const void*, const void*, const void*, const void*, void*, int, int,
                             std::size_t* bytes) {
  return give(bytes);
}
int cusparseSpSV_bufferSize(void*, int, const void*, const void*, const void*, void*, int, int, void*,
                            std::size_t* bytes) {
  return give(bytes);
}
int cusparseSpSM_bufferSize(void*, int, int, const void*, const void*, const void*, void*, int, int, void*,
                            std::size_t* bytes) {
  return give(bytes);
}
int cusparseXcoosort_bufferSizeExt(void*, int, int, int, const int*, const int*, std::size_t* bytes) {
  return give(bytes);
}
int cusparseXcsrsort_bufferSizeExt(void*, int, int, int, const int*, const int*, std::size_t* bytes) {
  return give(bytes);
}
#define EACH_TYPE(X) X(S) X(D) X(C) X(Z)
#define BLOCK_SIZES(T)                                                                                                \
  int cusparse##T##bsrsv2_bufferSize(void*, int, int, int, int, const void*, void*, const int*, const int*, int,      \
                                     void*, int* bytes) {                                                             \
    return give(bytes);                                                                                               \
  }                                                                                                                   \
  int cusparse##T##bsrsm2_bufferSize(void*, int, int, int, int, int, int, const void*, void*, const int*, const int*, \
                                     int, void*, int* bytes) {                                                        \
    return give(bytes);                                                                                               \
  }                                                                                                                   \
  int cusparse##T##csrgeam2_bufferSizeExt(void*, int, int, const void*, const void*, int, const void*, const int*,    \
                                          const int*, const void*, const void*, int, const void*, const int*,         \
                                          const int*, const void*, const void*, const int*, const int*,               \
                                          std::size_t* bytes) {                                                       \
    return give(bytes);                                                                                               \
  }                                                                                                                   \
  int cusparse##T##csrgeam2(void*, int rows, int columns, const void*, const void* kind_a, int elements_a,            \
                            const void*, const int* offsets_a, const int* indices_a, const void*, const void* kind_b, \
                            int elements_b, const void*, const int* offsets_b, const int* indices_b,                  \
                            const void* kind_c, void*, int*, int* indices_c, void*) {                                 \
    const int base = kind_c != nullptr ? static_cast<const Kind*>(kind_c)->base : 0;                                  \
    const Pattern sum = sum_of(pattern_of(rows, columns, elements_a, offsets_a, indices_a, kind_a),                   \
                               pattern_of(rows, columns, elements_b, offsets_b, indices_b, kind_b));                  \
    write_indices(sum, indices_c, index_32, base);                                                                    \
    return success;                                                                                                   \
  }
EACH_TYPE(BLOCK_SIZES)

/// Where the number goes is on the host or on the device, as the handle says.
int cusparseXcsrgeam2Nnz(void* handle, int rows, int columns, const void* kind_a, int elements_a, const int* offsets_a,
                         const int* indices_a, const void* kind_b, int elements_b, const int* offsets_b,
                         const int* indices_b, const void* kind_c, int* offsets_c, int* total, void*) {
  if (handle == nullptr) return not_initialized;
  const int base = kind_c != nullptr ? static_cast<const Kind*>(kind_c)->base : 0;
  const Pattern sum = sum_of(pattern_of(rows, columns, elements_a, offsets_a, indices_a, kind_a),
                             pattern_of(rows, columns, elements_b, offsets_b, indices_b, kind_b));
  write_offsets(sum, offsets_c, index_32, base);
  const int elements = static_cast<int>(sum.indices.size());
  return total == nullptr || copy_bytes(total, &elements, sizeof elements) ? success : invalid_value;
}

int cusparseSpGEMM_workEstimation(void*, int, int, const void*, const void*, const void*, const void*, void*, int, int,
                                  void*, std::size_t* bytes, void*) {
  return give(bytes);
}
int cusparseSpGEMM_compute(void*, int, int, const void*, const void* a, const void* b, const void*, void* c, int, int,
                           void*, std::size_t* bytes, void*) {
  if (a == nullptr || b == nullptr || c == nullptr) return invalid_value;
  const Pattern product = product_of(read_pattern(*static_cast<const SparseMatrix*>(a)),
                                     read_pattern(*static_cast<const SparseMatrix*>(b)));
  static_cast<SparseMatrix*>(c)->elements = static_cast<std::int64_t>(product.indices.size());
  return give(bytes);
}
int cusparseSpGEMM_copy(void*, int, int, const void*, const void* a, const void* b, const void*, void* c, int, int,
                        void*) {
  if (a == nullptr || b == nullptr || c == nullptr) return invalid_value;
  const Pattern product = product_of(read_pattern(*static_cast<const SparseMatrix*>(a)),
                                     read_pattern(*static_cast<const SparseMatrix*>(b)));
  const auto& result = *static_cast<const SparseMatrix*>(c);
  write_offsets(product, result.offsets, result.offset_type, result.base);
  write_indices(product, result.indices, result.index_type, result.base);
  return success;
}
}
