// Holders whose memory grew, out of the graphs (report/holders): what growing-site and history-accumulation stand on
// where no look at a single variable saw the growth. Pure.
#pragma once

#include <string>
#include <vector>

#include "report/model/model.hpp"

namespace vramtrack::findings {

struct Grown {
  const HolderMoment* moment = nullptr;
  const HolderReport* row = nullptr;
  const HolderReport* place = nullptr;  // whose statement adds: the row, or its growing parts where one fills them all
  bool of_graph = false;                // most of it hangs on autograd graphs
};

/// Of each way to growing memory the point where it piles up: no row's part is told again by the row above it. Cycles
/// are left out. The most bytes first.
std::vector<Grown> grown_holders(const Report& report);

/// Whether memory ran out when what `variable` collected goes on as one tensor (`torch.cat(parts)`), which is as large
/// as all of it: a batch in parts, whose graphs the backward pass that follows needs.
bool is_put_together(const Report& report, const std::string& variable);

/// Whether what a site made was put together in one tensor, as large as all of it, when the last of it was there: it
/// was collected for that.
bool was_put_together(const Report& report, SiteId id);

/// Whether a cycle goes through C++, where Python's garbage collector does not see it.
bool goes_through_cxx(const HolderReport& row);

/// Whether memory piled up in one object that is part of a cycle by now: the cycle is not what made it grow.
bool grew_before_it_was_lost(const HolderMoment& moment, const HolderReport& row);

/// What the code calls it; where several parts of it grew, those.
std::string name_of(const HolderMoment& moment, const HolderReport& row);

/// The row of a moment under which `row` is, nearest first.
const HolderReport* above(const HolderMoment& moment, const HolderReport& row);

/// By what births a row was found to grow: its own, or those of the row above it whose main part it is.
const std::string& evidence_of(const HolderMoment& moment, const HolderReport& row);

/// The part of a row that has nine tenths of it or more, or nullptr.
const HolderReport* part_with_nearly_all(const HolderMoment& moment, const HolderReport& row);

/// The row itself, or the one below it that has nearly all of it and is known for what it is: the frames of exceptions
/// in a list of the user's, say.
const HolderReport& known_in(const HolderMoment& moment, const HolderReport& row);

/// The call site that made most of a row's memory, or nullptr.
const SiteReport* main_site(const Report& report, const HolderReport& row);

/// What to do about memory that C++ holds, of which no more is known.
inline constexpr const char* unknown_keeper_fix =
    "Find the object of a library or of C++ code that keeps them: release it, or give it a bound.";

/// Whether a row is memory that no Python object leads to.
bool is_unheld(const HolderReport& row);

/// "C++ keeps them; they were made in `smooth` (ext.so)": who has a row's memory that no Python object leads to, and,
/// as `fix`, what to do.
std::string unheld_text(const Report& report, const HolderReport& row, std::string& fix);

/// "Call `clear()` (train.py:7) ...", and a space, where the program has such a function and leaves it; else "".
std::string call_the_taker(const HolderReport& row);

/// Other names that must let go too, as a sentence, or "".
std::string held_also(const HolderMoment& moment, const HolderReport& row);

/// A share worth a warning although it does not grow: one twentieth of what was alive at the highest.
bool is_large(const Report& report, Bytes bytes);

}  // namespace vramtrack::findings
