// When a program's work ended: the functions that run at the end of its process (`atexit`) may allocate, too.
#pragma once

#include "report/model/model.hpp"

namespace vramtrack::holders {

/// When the last block was made that no function of the end of the process made. What these do is no part of the
/// program's work, whose growth went on until then. Infinity: there were none, or they made most blocks, as where a
/// library calls the program's functions from C.
double work_ended(const Report& report);

}  // namespace vramtrack::holders
