// The program that plays events through PyTorch's allocator; it runs in the user's Python.
#pragma once

namespace vramtrack::tools::replay {

/// `python -c script EVENTS RESULT`: reads Event records, writes one JSON object.
extern const char* const script;

}  // namespace vramtrack::tools::replay
