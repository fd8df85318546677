// What `vramtrack doctor` learns from a traced process.
#pragma once

namespace vramtrack::hooks {

/// Which functions of CUDA this process reached, and by which doors: note `doors`. At the end of the process.
void write_doors_note() noexcept;

/// Of a process that ends without a trace: leaves a mark when it used CUDA all the same (VRAMTRACK_DOCTOR).
void tell_doctor() noexcept;

}  // namespace vramtrack::hooks
