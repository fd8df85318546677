#include "interpose/core/saved_errno.hpp"

#include "interpose/core/hot.hpp"

namespace vramtrack {

VRAMTRACK_HOT constinit std::ptrdiff_t g_errno_offset = 0;

}  // namespace vramtrack
