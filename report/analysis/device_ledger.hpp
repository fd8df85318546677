// Where each device's memory is: tensors, cache, every library, the rest.
#pragma once

#include "contract/reader.hpp"
#include "report/model/model.hpp"

namespace vramtrack {

/// Blocks of both layers at the moment of the report, with what the ledger needs to know of each.
struct LedgerBlock {
  trace::Layer layer;
  trace::Kind kind;
  int device;
  std::uint64_t address;
  Bytes bytes;
  std::uint64_t mapped_at;  // kind vmm: where in the address space; 0 when nowhere
  std::uint32_t owner;      // index into the owners' names given to device_ledger()
};

/// `memory_info`: the note of that moment (see notes.hpp), or null.
std::vector<LedgerEntry> device_ledger(const std::vector<LedgerBlock>& blocks, const std::vector<std::string>& owners,
                                       const std::vector<Device>& devices, const Json& memory_info);

}  // namespace vramtrack
