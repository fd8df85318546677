#include "tools/proc_files.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

namespace vramtrack::tools {
namespace {

namespace fs = std::filesystem;

std::string proc_path(pid_t pid, const char* name) { return "/proc/" + std::to_string(pid) + "/" + name; }

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

/// Paths of the file mappings, in order of address, repeated as they are mapped.
std::vector<std::string> mapped_paths(pid_t pid) {
  std::vector<std::string> paths;
  std::ifstream maps(proc_path(pid, "maps"));
  for (std::string line; std::getline(maps, line);) {
    // address perms offset device inode path; the path may hold blanks
    const std::size_t slash = line.find(" /");
    if (slash != std::string::npos) paths.push_back(line.substr(slash + 1));
  }
  return paths;
}

}  // namespace

std::vector<pid_t> all_pids() {
  std::vector<pid_t> pids;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator("/proc", error)) {
    const std::string name = entry.path().filename().string();
    if (!name.empty() && std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; })) {
      pids.push_back(static_cast<pid_t>(std::stol(name)));
    }
  }
  std::sort(pids.begin(), pids.end());
  return pids;
}

std::optional<ProcessInfo> process_info(pid_t pid) {
  const std::string stat = read_file(proc_path(pid, "stat"));
  const std::size_t open = stat.find('('), close = stat.rfind(')');  // the name may hold both
  if (open == std::string::npos || close == std::string::npos) return std::nullopt;
  ProcessInfo info;
  info.pid = pid;
  std::istringstream fields(stat.substr(close + 1));
  fields >> info.state >> info.ppid >> info.group;
  std::string skipped;
  for (int field = 6; field < 22; ++field) fields >> skipped;
  fields >> info.start_ticks;
  info.command = read_file(proc_path(pid, "cmdline"));
  while (!info.command.empty() && info.command.back() == '\0') info.command.pop_back();
  std::replace(info.command.begin(), info.command.end(), '\0', ' ');
  if (info.command.empty()) info.command = "[" + stat.substr(open + 1, close - open - 1) + "]";
  struct stat owner {};
  if (::stat(proc_path(pid, "").c_str(), &owner) == 0) info.uid = owner.st_uid;
  return info;
}

std::vector<std::string> mapped_files(pid_t pid, const std::string& suffix) {
  std::vector<std::string> found;
  for (const std::string& path : mapped_paths(pid)) {
    if (!path.ends_with(suffix) || std::find(found.begin(), found.end(), path) != found.end()) continue;
    found.push_back(path);
  }
  std::error_code ignored;
  for (std::string& path : found) {
    const std::string through_root = proc_path(pid, "root") + path;
    if (!fs::exists(path, ignored) && fs::exists(through_root, ignored)) path = through_root;
  }
  return found;
}

bool maps_memory_file(pid_t pid, const std::string& name) {
  const std::vector<std::string> paths = mapped_paths(pid);
  return std::find(paths.begin(), paths.end(), "/memfd:" + name + " (deleted)") != paths.end();
}

std::vector<std::string> open_devices(pid_t pid, const std::string& prefix) {
  std::set<std::string> found;
  std::error_code error;
  for (fs::directory_iterator entry(proc_path(pid, "fd"), error), end; !error && entry != end; entry.increment(error)) {
    std::error_code gone;
    const std::string target = fs::read_symlink(entry->path(), gone).string();
    if (!gone && target.starts_with("/dev/" + prefix)) found.insert(target);
  }
  return {found.begin(), found.end()};
}

std::vector<pid_t> process_tree(pid_t root) {
  std::map<pid_t, std::vector<pid_t>> children;
  for (const pid_t pid : all_pids()) {
    if (const std::optional<ProcessInfo> info = process_info(pid)) children[info->ppid].push_back(pid);
  }
  std::vector<pid_t> tree{root};
  for (std::size_t i = 0; i < tree.size(); ++i) {
    for (const pid_t child : children[tree[i]]) tree.push_back(child);
  }
  return tree;
}

}  // namespace vramtrack::tools
