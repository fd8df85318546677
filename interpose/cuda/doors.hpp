// The doors beside the symbol table: dlsym, dlvsym, cuGetProcAddress, cudaGetDriverEntryPoint. Any thread, also inside
// loader locks and before constructors have run.
#pragma once

namespace vramtrack::hooks {

/// glibc's own dlsym (or that of another interposer after us); nullptr is never returned by a started process.
void* real_dlsym(void* handle, const char* name) noexcept;

}  // namespace vramtrack::hooks
