// CUPTI as second witness, in the traced process. It reports the allocation calls that it sees; those that no hook is
// around were missed by the hooks: with --cupti they are recorded, with --audit they are counted and named. Optional:
// libcupti is opened at run time, never linked, and never touched before the driver is up (CUPTI 13.2.86 crashes).
#pragma once

namespace vramtrack::cupti {

/// After the first CUDA allocation has succeeded. Says on stderr when CUPTI cannot be had; the hooks go on alone.
void start() noexcept;

/// The program asks for CUPTI's only subscription: true when it was ours and is free now. What was seen is kept.
bool hand_over() noexcept;

/// At the end of the process: the audit's verdict, as the note `audit` of the trace (report/analysis/hook_facts.hpp).
void finish() noexcept;

/// In a forked child: the parent's subscription is not ours.
void reset() noexcept;

}  // namespace vramtrack::cupti
