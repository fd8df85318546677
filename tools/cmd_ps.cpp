// vramtrack ps: who holds a GPU now, and who was left behind.
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "report/support/units.hpp"
#include "report/support/utf8.hpp"
#include "tools/command.hpp"
#include "tools/gpu_holders.hpp"
#include "tools/terminal.hpp"

namespace vramtrack::tools {
namespace {

std::string join(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

void write_text(const std::vector<GpuHolder>& holders, std::ostream& out, std::size_t width) {
  if (holders.empty()) {
    out << "no process holds a GPU";
    if (geteuid() != 0) out << " (as far as this user can see)";
    out << '\n';
    return;
  }
  out << "     pid       bytes  device              command\n";
  for (const GpuHolder& holder : holders) {
    const std::string pid = std::to_string(holder.process.pid);
    const std::string bytes = holder.bytes ? human_bytes(*holder.bytes) : "unknown";
    std::string line = std::string(pid.size() < 8 ? 8 - pid.size() : 0, ' ') + pid + "  ";
    line += std::string(bytes.size() < 10 ? 10 - bytes.size() : 0, ' ') + bytes + "  ";
    line += utf8::padded(holder.devices.empty() ? "traced" : join(holder.devices), 18) + "  ";
    const std::string command =
        holder.visible ? utf8::printable(utf8::sanitise(holder.process.command)) : "(of another container or user)";
    out << line << utf8::shorten_middle(command, width > line.size() + 20 ? width - line.size() : 20) << '\n';
    if (!holder.leftover.empty()) {
      out << "          leftover: " << holder.leftover << "; to end it: kill " << pid << "   (if it stays: kill -9 "
          << pid << ")\n";
    }
  }
}

void write_json(const std::vector<GpuHolder>& holders, std::ostream& out) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const GpuHolder& holder : holders) {
    nlohmann::ordered_json one;
    one["pid"] = holder.process.pid;
    one["ppid"] = holder.visible ? nlohmann::ordered_json(holder.process.ppid) : nullptr;
    one["uid"] = holder.visible ? nlohmann::ordered_json(holder.process.uid) : nullptr;
    one["state"] = std::string(1, holder.process.state);
    one["command"] = holder.process.command;
    one["devices"] = holder.devices;
    one["bytes"] = holder.bytes ? nlohmann::ordered_json(*holder.bytes) : nullptr;
    one["trace"] = holder.trace.empty() ? nlohmann::ordered_json(nullptr) : nlohmann::ordered_json(holder.trace);
    one["leftover"] = !holder.leftover.empty();
    one["reason"] = holder.leftover.empty() ? nlohmann::ordered_json(nullptr) : nlohmann::ordered_json(holder.leftover);
    list.push_back(std::move(one));
  }
  const nlohmann::ordered_json document = {{"schema", "vramtrack-ps/1"}, {"processes", list}};
  out << document.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << '\n';
}

}  // namespace

int cmd_ps(const Arguments& arguments) {
  std::string format = "text";
  bool leftover = false;
  CLI::App app("Lists the processes that hold a GPU now and marks those that were left behind.", "vramtrack ps");
  app.add_option("--format", format, "text or json")->check(CLI::IsMember({"text", "json"}));
  app.add_flag("--leftover", leftover, "only those that were left behind");
  parse(app, arguments);
  std::vector<GpuHolder> holders = find_gpu_holders();
  if (leftover) std::erase_if(holders, [](const GpuHolder& holder) { return holder.leftover.empty(); });
  write_output("", [&](std::ostream& out) {
    if (format == "json") return write_json(holders, out);
    write_text(holders, out, static_cast<std::size_t>(terminal_size(STDOUT_FILENO).columns));
  });
  return 0;
}

}  // namespace vramtrack::tools
