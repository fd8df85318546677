#pragma once
namespace vramtrack::stacks {
struct ReadSets {
  int unused;
};
}  // namespace vramtrack::stacks
