#include "interpose/core/hot_thread.hpp"

namespace vramtrack {

constinit thread_local HotThread t_hot{};

}  // namespace vramtrack
