/* The simulated driver's own books, for tests and for the tool: exported by the simulated libcuda.so.1 as
 * vramtrack_sim_stats and vramtrack_sim_live (find them with dlsym on a handle of libcuda.so.1). Plain C. */
#pragma once
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum vramtrack_sim_kind { /* the kinds of the report's blocks, in one order for ever */
                          VRAMTRACK_SIM_DEVICE,
                          VRAMTRACK_SIM_POOL,
                          VRAMTRACK_SIM_MANAGED,
                          VRAMTRACK_SIM_HOST_PINNED,
                          VRAMTRACK_SIM_ARRAY,
                          VRAMTRACK_SIM_VMM,
                          VRAMTRACK_SIM_GRAPH,
                          VRAMTRACK_SIM_IPC,
                          VRAMTRACK_SIM_EXTERNAL,
                          VRAMTRACK_SIM_REGISTERED,
                          VRAMTRACK_SIM_MODULE, /* variables of loaded modules */
                          VRAMTRACK_SIM_KINDS
};

struct vramtrack_sim_figures {
  uint32_t size; /* in: sizeof(struct vramtrack_sim_figures) of the caller */
  int32_t device;
  uint64_t total_bytes;   /* what cuMemGetInfo calls total */
  uint64_t free_bytes;    /* what cuMemGetInfo calls free (all processes of the run) */
  uint64_t used_bytes;    /* of this process: occupancy in whole pages, context included */
  uint64_t context_bytes; /* the part of used_bytes that contexts take */
  uint64_t pool_reserved_bytes;
  uint64_t graph_reserved_bytes;
  uint64_t live_bytes[VRAMTRACK_SIM_KINDS]; /* as requested through the API (pitch x height, array requirement, ...) */
  uint64_t live_count[VRAMTRACK_SIM_KINDS];
  uint64_t allocations; /* calls that handed out memory, since the start */
  uint64_t failures;    /* calls that ran out of memory */
};

struct vramtrack_sim_block {
  uint64_t address; /* or the handle, for arrays and VMM handles */
  uint64_t bytes;
  uint64_t serial; /* 1, 2, ... in order of allocation */
  uint32_t kind;
  int32_t device;
};

/* 0, or a CUresult: not initialized, invalid device. Never calls into CUDA, never fails a capture. */
int vramtrack_sim_stats(int device, struct vramtrack_sim_figures* figures);
/* Calls visit for each live block of every device in serial order, until it returns non-zero. Returns how many were
 * visited. The books are copied first: visit may call anything. */
uint64_t vramtrack_sim_live(int (*visit)(const struct vramtrack_sim_block* block, void* context), void* context);

#ifdef __cplusplus
}
#endif
