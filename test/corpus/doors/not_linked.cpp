// The program that uses only dlopen: no CUDA library in its DT_NEEDED.
#include "test/corpus/doors/doors.hpp"

void* doors::find_linked(const char*) { return nullptr; }
