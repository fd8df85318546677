// The loaded object that an address is in, from glibc 2.35 on without a lock.
#pragma once

#include <dlfcn.h>

#ifdef DLFO_STRUCT_HAS_EH_DBASE
#pragma weak _dl_find_object  // what is built against a newer glibc runs on older ones, too
#endif

namespace vramtrack {

/// Whether this glibc can tell without a lock.
inline bool tells_objects() noexcept {
#ifdef DLFO_STRUCT_HAS_EH_DBASE
  return &_dl_find_object != nullptr;
#else
  return false;
#endif
}

/// The object's link map; nullptr where there is none, or glibc cannot tell.
inline const void* object_at([[maybe_unused]] const void* address) noexcept {
#ifdef DLFO_STRUCT_HAS_EH_DBASE
  dl_find_object found;
  if (tells_objects() && _dl_find_object(const_cast<void*>(address), &found) == 0) return found.dlfo_link_map;
#endif
  return nullptr;
}

}  // namespace vramtrack
