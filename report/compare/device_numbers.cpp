#include "report/compare/device_numbers.hpp"

namespace vramtrack {

void DeviceNumbers::apply(Report& report) {
  std::map<int, std::string>& machine = machines_[report.process.hostname];
  std::map<int, int> number_of;  // of the process's device
  bool differs = false;
  for (const Device& device : report.environment.devices) {
    if (!device.uuid) continue;
    int number = -1;
    for (const auto& [known, uuid] : machine)
      if (uuid == *device.uuid) number = known;
    if (number < 0) {
      number = device.index;
      for (int next = 0; machine.count(number) != 0; ++next) number = next;
      machine[number] = *device.uuid;
    }
    number_of[device.index] = number;
    differs = differs || number != device.index;
  }
  if (!differs) return;
  const auto renumber = [&](int& device) {
    if (const auto found = number_of.find(device); found != number_of.end()) device = found->second;
  };
  for (Device& device : report.environment.devices) renumber(device.index);
  for (Total& total : report.totals) renumber(total.device);
  for (LedgerEntry& entry : report.ledger) renumber(entry.device);
  for (SiteReport& site : report.sites) renumber(site.device);
  for (AllocationReport& allocation : report.allocations) renumber(allocation.device);
  for (TimelineEntry& point : report.timeline) renumber(point.device);
  for (OomReport& oom : report.ooms) renumber(oom.device);
  for (ContextReport& context : report.contexts) renumber(context.device);
}

}  // namespace vramtrack
