// Compares two reports: which call sites appeared, grew, shrank or went between A and B.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "report/model/model.hpp"

namespace vramtrack {

enum class Change { appeared, grew, shrank, went, same };
const char* to_string(Change change);

/// The figure that is compared.
enum class DiffBy { live, peak, allocated };
const char* to_string(DiffBy by);

/// One site of either or both reports. Sites are the same when layer, kind, device and stack agree in functions and
/// files; lines may have moved. `a` and `b` point into the reports compared.
struct SiteChange {
  const SiteReport* a = nullptr;
  const SiteReport* b = nullptr;
  Bytes a_bytes = 0, b_bytes = 0;
  std::uint64_t a_count = 0, b_count = 0;
  Change change = Change::same;

  std::int64_t delta() const { return static_cast<std::int64_t>(b_bytes) - static_cast<std::int64_t>(a_bytes); }
  /// The site to name: B's where it has one.
  const SiteReport& site() const { return b != nullptr ? *b : *a; }
};

struct TotalChange {
  std::string layer;
  int device = 0;
  Bytes a_bytes = 0, b_bytes = 0;

  std::int64_t delta() const { return static_cast<std::int64_t>(b_bytes) - static_cast<std::int64_t>(a_bytes); }
};

struct Diff {
  const Report* a = nullptr;
  const Report* b = nullptr;
  DiffBy by = DiffBy::live;
  std::vector<TotalChange> totals;  // tensor layer first, then by device
  std::vector<SiteChange> sites;    // the largest change first; unchanged sites last

  /// Frames of a change: the report that site() belongs to.
  const Report& frames_of(const SiteChange& change) const { return change.b != nullptr ? *b : *a; }
};

/// The reports must outlive the result.
Diff compare(const Report& a, const Report& b, DiffBy by = DiffBy::live);

/// What grew by `limit` bytes or more (any growth at all when 0): a sum of a layer on a device, or a site. Empty when
/// nothing did; else one sentence that names the largest.
std::string describe_growth(const Diff& diff, Bytes limit);

namespace render {

struct DiffTextOptions {
  bool colour = false;
  int width = 100;
  std::size_t top = 20;
};
void diff_text(const Diff& diff, std::ostream& out, const DiffTextOptions& options);
void diff_json(const Diff& diff, std::ostream& out);  // "schema": "vramtrack-diff/1"
void diff_html(const Diff& diff, std::ostream& out);

}  // namespace render
}  // namespace vramtrack
