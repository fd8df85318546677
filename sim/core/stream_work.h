/* Work that a library puts on streams and finishes later on a thread of its own (NCCL's collectives): exported by the
 * simulated libcuda.so.1. Everything else on a simulated stream is done when the call returns; it waits for such work
 * first, so that the order of a stream holds. Plain C; statuses are CUresult. Any thread may call. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vramtrack_sim_work;

struct vramtrack_sim_range { /* device memory that the work reads or writes: freeing it waits for the work */
  uint64_t address, bytes;
};

/* Work that begins after everything that is pending on `streams` (handles of `device`'s primary context). The caller
 * owns *out until vramtrack_sim_work_release. */
int vramtrack_sim_work_begin(int device, void* const* streams, size_t stream_count,
                             const struct vramtrack_sim_range* ranges, size_t range_count,
                             struct vramtrack_sim_work** out);
/* Blocks until what was pending before is done. */
void vramtrack_sim_work_await_turn(struct vramtrack_sim_work* work);
/* Ends it. With a status other than 0 whoever waits for it gets that error. May be called again: 0 then forgives. */
void vramtrack_sim_work_end(struct vramtrack_sim_work* work, int status);
void vramtrack_sim_work_release(struct vramtrack_sim_work* work);

/* In a stream capture: makes a node that calls run(data) whenever its graph is launched, and returns 1. The node keeps
 * `data`, which is never freed. 0 when the stream is not capturing, -CUresult when the stream is none. */
int vramtrack_sim_work_capture(int device, void* stream, void (*run)(void*), void* data);

/* Whether [address, address + bytes) is memory that the device can reach. */
int vramtrack_sim_reaches(uint64_t address, uint64_t bytes);
/* Whether that memory may hold anything but zeros. */
int vramtrack_sim_holds_data(uint64_t address, uint64_t bytes);
/* Announces that the caller is about to write it through the pointer; makes it read as zero. */
void vramtrack_sim_will_write(uint64_t address, uint64_t bytes);
void vramtrack_sim_zero(uint64_t address, uint64_t bytes);

#ifdef __cplusplus
}
#endif
