// The wrappers of the driver API's rows. See wrappers.hpp.
#include "interpose/cuda/wrappers.hpp"

#define HOOK(api, ...) HOOK_##api(api, __VA_ARGS__)
#define HOOK_runtime(...)

namespace vramtrack::hooks {
namespace {
#define HOOK_driver(...) BY_POINTER_HOOK(__VA_ARGS__)
#include "contract/cuda_hooks.def"
#undef HOOK_driver
}  // namespace
}  // namespace vramtrack::hooks

#define HOOK_driver(...) EXPORTED_HOOK(__VA_ARGS__)
#include "contract/cuda_hooks.def"
#undef HOOK_driver

namespace vramtrack::hooks {
const RowInfo driver_rows[] = {
#define HOOK_driver(...) ROW_INFO(__VA_ARGS__)
#include "contract/cuda_hooks.def"
#undef HOOK_driver
};
}  // namespace vramtrack::hooks
