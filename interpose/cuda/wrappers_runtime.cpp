// The wrappers of the runtime API's rows. See wrappers.hpp.
#include "interpose/cuda/wrappers.hpp"

#define HOOK(api, ...) HOOK_##api(api, __VA_ARGS__)
#define HOOK_driver(...)

namespace vramtrack::hooks {
namespace {
#define HOOK_runtime(...) BY_POINTER_HOOK(__VA_ARGS__)
#include "contract/cuda_hooks.def"
#undef HOOK_runtime
}  // namespace
}  // namespace vramtrack::hooks

#define HOOK_runtime(...) EXPORTED_HOOK(__VA_ARGS__)
#include "contract/cuda_hooks.def"
#undef HOOK_runtime

namespace vramtrack::hooks {
const RowInfo runtime_rows[] = {
#define HOOK_runtime(...) ROW_INFO(__VA_ARGS__)
#include "contract/cuda_hooks.def"
#undef HOOK_runtime
};
}  // namespace vramtrack::hooks
