/* Says once per process and per function, on stderr, that a function is not simulated. Shared by all libraries of the
 * simulated GPU (each has its own copy); plain C because the generated stubs call it. */
#pragma once
#ifdef __cplusplus
extern "C" {
#endif
void vramtrack_sim_say_unsupported(const char* library, const char* function, unsigned char* said);
#ifdef __cplusplus
}
/* For functions that are simulated in part: `return unsupported("cuda", CUDA_ERROR_NOT_SUPPORTED, "cuMemFoo: why")`. */
#define VRAMTRACK_SIM_UNSUPPORTED(library, status, what) \
  ([] {                                                  \
    static unsigned char said = 0;                       \
    vramtrack_sim_say_unsupported(library, what, &said); \
    return status;                                       \
  }())
#endif
