#include "interpose/core/hot_thread.hpp"

namespace vramtrack {

constinit thread_local HotThread t_hot{};
constinit thread_local bool t_jumped = false;

}  // namespace vramtrack
