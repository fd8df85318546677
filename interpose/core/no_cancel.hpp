// Keeps a pending pthread_cancel() waiting over our own work. CUDA calls and libc's allocation functions are no
// cancellation points; open(), write() and posix_fallocate() are, and a thread that ended in one of them would keep our
// locks for ever. Only on slow paths: the two calls cost about 10 ns.
#pragma once

#include <pthread.h>

namespace vramtrack {

class NoCancel {
 public:
  NoCancel() noexcept { ::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before_); }
  ~NoCancel() { ::pthread_setcancelstate(before_, nullptr); }
  NoCancel(const NoCancel&) = delete;
  NoCancel& operator=(const NoCancel&) = delete;

 private:
  int before_ = PTHREAD_CANCEL_ENABLE;
};

}  // namespace vramtrack
