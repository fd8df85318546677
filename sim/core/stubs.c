/* One weak function per exported name of the library being built, from a table of names/. A name that the simulation
 * implements has a strong definition elsewhere in the same library, which wins; all others say so and return the API's
 * not-supported error. PER_THREAD names are entries of their own that jump to the plain function: streams do not
 * overlap here, so the two default streams behave alike, but their addresses must differ. COMPUTE names succeed and do
 * nothing, like kernels.
 *
 * Compiled once per library with SIM_NAMES (the table), SIM_LIBRARY (its name in the message) and SIM_STATUS. */
#include "sim/core/unsupported.h"

#define NAME(name)                                            \
  __attribute__((weak)) int name(void) {                      \
    static unsigned char said;                                \
    vramtrack_sim_say_unsupported(SIM_LIBRARY, #name, &said); \
    return SIM_STATUS;                                        \
  }

#define COMPUTE(name) \
  __attribute__((weak)) int name(void) { return 0; }

#if defined(__x86_64__)
#define SIM_JUMP "jmp "
#elif defined(__aarch64__)
#define SIM_JUMP "b "
#else
#error "tell how to jump on this machine"
#endif
#define PER_THREAD(name, plain)                                                                               \
  __asm__(".text\n.globl " #name "\n.type " #name ", @function\n" #name ": " SIM_JUMP #plain "\n.size " #name \
          ", .-" #name);

#include SIM_NAMES
