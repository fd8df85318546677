// Tells a signal that was sent to this process alone from one that was sent to its whole group (`timeout`, a shell's
// job control, Slurm): the first must be passed on to the program, the second has reached it already.
#pragma once

#include <sys/types.h>

#include <array>

namespace vramtrack::tools {

/// A process of our group that does nothing but note the signals that it gets. It ends with us.
class Bystander {
 public:
  /// All signals that are to be told apart must be blocked in the calling thread. Where none can be started, every
  /// signal counts as sent to us alone.
  Bystander();
  ~Bystander();
  Bystander(const Bystander&) = delete;
  Bystander& operator=(const Bystander&) = delete;

  /// Whether the bystander has got this signal too. To be asked for each signal taken. Waits for some 20 ms.
  bool got(int number);

 private:
  pid_t pid_ = -1;
  int answers_ = -1;
  std::array<bool, 65> seen_{};
};

}  // namespace vramtrack::tools
