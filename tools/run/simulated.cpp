#include "tools/run/simulated.hpp"

#include <fstream>
#include <stdexcept>

#include "contract/sim_settings.hpp"

namespace vramtrack::sim {

std::string sim_preload(const std::filesystem::path& lib_dir) {
  const std::filesystem::path folder = std::filesystem::absolute(lib_dir / "sim").lexically_normal();
  std::ifstream list(folder / "preload.txt");
  if (!list) throw std::runtime_error("the simulated GPU is not installed in " + folder.string());
  std::string preload;
  for (std::string name; std::getline(list, name);) {
    if (name.empty()) continue;
    if (!std::filesystem::exists(folder / name)) throw std::runtime_error((folder / name).string() + " is missing");
    if (!preload.empty()) preload += ':';
    preload += (folder / name).string();
  }
  // LD_PRELOAD separates with spaces and colons, and has no way to quote them.
  if (folder.string().find_first_of(" :") != std::string::npos) {
    throw std::runtime_error("the path " + folder.string() + " cannot be preloaded: it contains a space or a colon");
  }
  return preload;
}

std::vector<std::pair<std::string, std::string>> sim_environment(const std::string& size,
                                                                 const std::filesystem::path& state_file) {
  const std::string text = size.empty() ? "80GiB" : size;
  Settings settings;
  std::string why;
  if (!parse_settings(text, settings, why)) throw std::invalid_argument(text + ": " + why);
  std::vector<std::pair<std::string, std::string>> environment{{size_variable, text}};
  if (!state_file.empty()) environment.emplace_back(state_variable, std::filesystem::absolute(state_file).string());
  return environment;
}

}  // namespace vramtrack::sim
