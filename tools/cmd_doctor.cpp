// vramtrack doctor [-- CMD...]: what will be hooked here, by which way, what is missing, and what to do about it.
// Without CMD the environment is looked at; with CMD the program is run once, traced, and what it reached is listed.
#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <optional>

#include "tools/command.hpp"
#include "tools/doctor/lines.hpp"
#include "tools/doctor/program.hpp"
#include "tools/run/child.hpp"
#include "tools/run/environment.hpp"
#include "tools/scratch.hpp"

namespace vramtrack::tools {
namespace {

namespace fs = std::filesystem;
using namespace doctor;

struct Table {
  int runtime = 0, driver = 0;
};
Table count_rows() {
  Table table;
#define HOOK(api, since, name, parameters, arguments, policy) ++table.api;
#include "contract/cuda_hooks.def"
#undef HOOK
  return table;
}

/// Whether a program starts with `library` preloaded; `said` is what it or the loader printed.
bool starts_under(const fs::path& library, std::string& said) {
  const std::string command =
      "LD_PRELOAD='" + library.string() + "' /proc/" + std::to_string(getpid()) + "/exe --version 2>&1";
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return false;
  char buffer[4096];
  for (std::size_t got; (got = fread(buffer, 1, sizeof buffer, pipe)) > 0;) said.append(buffer, got);
  return pclose(pipe) == 0 && said.find("ERROR: ld.so") == std::string::npos;
}

bool check_library(const fs::path& library) {
  const Table table = count_rows();
  if (!fs::exists(library)) {
    say(Verdict::missing, "library", library.string() + " is not there: build or install vramtrack as a whole");
    return false;
  }
  say(Verdict::ok, "library",
      library.string() + ": hooks " + std::to_string(table.runtime) + " functions of the CUDA runtime, " +
          std::to_string(table.driver) + " of the driver, and PyTorch's allocator");
  std::string said;
  if (!starts_under(library, said)) {
    say(Verdict::missing, "preload", "a program does not start under it: " + said.substr(0, said.find('\n')));
    return false;
  }
  say(Verdict::ok, "preload", "a program starts under it");
  return true;
}

/// Whether there is a driver: NVIDIA's, or the simulated one that was asked for.
bool check_cuda(bool simulated) {
  void* const driver = simulated ? nullptr : dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (simulated) {
    say(Verdict::ok, "driver", "the simulated GPU's: no NVIDIA driver is needed or used");
  } else if (driver != nullptr) {
    using GetVersion = int(int*);
    int version = 0;
    auto* get = reinterpret_cast<GetVersion*>(dlsym(driver, "cuDriverGetVersion"));
    if (get != nullptr) get(&version);
    say(Verdict::ok, "driver",
        "libcuda.so.1, for CUDA " + std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10) +
            " and older");
  } else {
    say(Verdict::missing, "driver",
        "libcuda.so.1 cannot be opened: no NVIDIA driver on this machine. On the simulated GPU, which needs none: "
        "vramtrack doctor --sim, vramtrack run --sim");
  }
  std::string found;
  for (const char* soname : {"libcudart.so.11.0", "libcudart.so.12", "libcudart.so.13"})
    if (dlopen(soname, RTLD_NOW | RTLD_LOCAL) != nullptr) found += (found.empty() ? "" : ", ") + std::string(soname);
  say(found.empty() ? Verdict::note : Verdict::ok, "runtime",
      found.empty() ? "no libcudart where the loader looks; Python wheels bring their own, which is just as well"
                    : found);
  std::string cupti;
  for (const char* soname : {"libcupti.so.12", "libcupti.so.13"})
    if (access(("/usr/local/cuda/extras/CUPTI/lib64/" + std::string(soname)).c_str(), R_OK) == 0) cupti = soname;
  say(Verdict::note, "CUPTI",
      cupti.empty() ? "not in /usr/local/cuda; --cupti and --audit also find the one in PyTorch's wheels" : cupti);
  return simulated || driver != nullptr;
}

void check_simulated(const fs::path& library) {
  std::ifstream list(library.parent_path() / "sim" / "preload.txt");
  int count = 0;
  for (std::string line; std::getline(list, line);) count += !line.empty();
  say(count > 0 ? Verdict::ok : Verdict::missing, "simulated GPU",
      count > 0 ? std::to_string(count) + " libraries: `vramtrack run --sim` works without a GPU"
                : "its libraries are not beside " + library.string());
}

void explain_ways() {
  std::cout << "\nSeen: calls through a shared libcudart.so.11.0, .12 or .13 and libcuda.so.1, also several in one\n"
               "process and opened with RTLD_LOCAL; dlsym and dlvsym; cuGetProcAddress and cudaGetDriverEntryPoint\n"
               "(statically linked runtimes: NCCL, cuBLAS, CuPy, cuda-python, nvcc's default).\n"
               "Seen at the driver only: libraries opened with RTLD_DEEPBIND. Not seen: what runs in a namespace of\n"
               "dlmopen, statically linked programs, set-uid programs.\n"
               "CUDA_INJECTION64_PATH with libvramtrack.so sees those that can load CUPTI.\n";
}

/// Throws, in words that say what to do, when the program cannot be started.
void require_runnable(const std::string& command, const std::string& path) {
  std::error_code ignored;
  if (path.empty() || !fs::exists(path, ignored))
    throw std::runtime_error(command + ": command not found; write a path, or a program of the PATH");
  if (fs::is_directory(path, ignored)) throw std::runtime_error(command + ": is a folder, not a program");
  if (access(path.c_str(), X_OK) != 0)
    throw std::runtime_error(command + ": is not executable; chmod +x it, or name its interpreter (python " + command +
                             ")");
  if (const std::string interpreter = interpreter_of(path); !interpreter.empty() && !fs::exists(interpreter, ignored))
    throw std::runtime_error(command + ": its first line names " + interpreter + ", which is not there");
}

/// Runs the program once, traced, and tells what it reached. Throws when it used CUDA and nothing of that was seen.
void run_command(const std::vector<std::string>& command, bool driver, const std::string& sim) {
  const Scratch scratch("doctor");
  std::optional<SimulatedDevices> devices;
  if (!sim.empty()) devices.emplace(sim);
  set_preload(true, !sim.empty());
  setenv("VRAMTRACK_OUT", scratch.path().c_str(), 1);
  setenv("VRAMTRACK_LAUNCHED", "1", 1);
  setenv("VRAMTRACK_DOCTOR", "1", 1);
  std::cout << "\n---- " << command[0] << " runs now, traced; what follows is its own output\n" << std::flush;
  std::optional<StartFailure> failure;
  const ChildEnd end = run_child(
      command, [] {}, failure);
  if (failure) throw std::runtime_error(failure->message);
  std::cout << "---- " << command[0] << " ended with " << (end.signalled ? "signal " : "code ") << end.code << '\n';
  std::vector<fs::path> traces;
  bool used_cuda = false;
  for (const auto& entry : fs::directory_iterator(scratch.path())) {
    if (entry.path().extension() == ".vtrace") traces.push_back(entry.path());
    used_cuda = used_cuda || entry.path().filename().string().starts_with("cuda-");
  }
  std::sort(traces.begin(), traces.end());
  bool allocated = false;
  for (const fs::path& trace : traces) allocated = show_trace(trace) || allocated;
  if (allocated) return;
  used_cuda = used_cuda || !traces.empty();  // a context at least
  const auto obstacle = preload_obstacle(command[0]);
  if (driver && !obstacle && !used_cuda && !end.signalled)
    return say(Verdict::note, "trace", "it made no CUDA call, so there was nothing to see");
  std::string why = "it allocated nothing through CUDA or PyTorch's allocator that could be seen";
  if (used_cuda) why += ", though it used CUDA";
  if (obstacle)
    why = *obstacle + ": nothing can be preloaded into it";
  else if (!driver)
    why =
        "it allocated nothing through CUDA, and could not: there is no NVIDIA driver here. On the simulated GPU: "
        "vramtrack run --sim -- " +
        command[0] + " ...";
  say(Verdict::missing, "trace", why);
  throw std::runtime_error(command[0] + ": " + why);
}

}  // namespace

int cmd_doctor(const Arguments& arguments) {
  CLI::App app("What will be hooked here, by which way, what is missing, and what to do about it.", "vramtrack doctor");
  app.footer(
      "Written as: vramtrack doctor [--sim[=SIZE]] [-- CMD ARGS...]\n"
      "With CMD, the program is also run once, traced, and what it reaches is listed.");
  std::string sim;
  app.add_option("--sim", sim, "look at the simulated GPU instead: --sim, --sim=24GiB, --sim=2x24GiB")
      ->envname("VRAMTRACK_SIM")
      ->take_last();
  const auto dashes = std::find(arguments.begin(), arguments.end(), "--");
  Arguments options(arguments.begin(), dashes);
  std::replace(options.begin(), options.end(), std::string("--sim"), std::string("--sim=80GiB"));
  parse(app, options);
  const Arguments command(dashes == arguments.end() ? dashes : dashes + 1, arguments.end());
  const std::string program = command.empty() ? "" : find_program(command[0]);
  if (!command.empty()) require_runnable(command[0], program);
  const fs::path library = library_folder() / "libvramtrack.so";
  const bool works = check_library(library);
  const bool driver = check_cuda(!sim.empty());
  check_simulated(library);
  if (!command.empty()) check_program(command[0], program);
  const std::string python = python_of(program);
  if (command.empty() || !python.empty()) check_python(python);
  explain_ways();
  if (!works) throw std::runtime_error(library.string() + ": not usable; see the line marked MISSING");
  if (!command.empty()) run_command(command, driver, sim);
  return 0;
}

}  // namespace vramtrack::tools
