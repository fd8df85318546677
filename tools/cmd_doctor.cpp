// vramtrack doctor [-- CMD...]: what will be hooked here, by which way, what is missing, and what to do about it.
// Without CMD the environment is looked at; with CMD the program is run once, traced, and what it reached is listed.
#include <dlfcn.h>
#include <elf.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "interpose/trace/reader.hpp"
#include "report/hook_facts.hpp"
#include "report/support/units.hpp"
#include "report/support/utf8.hpp"
#include "tools/command.hpp"

namespace vramtrack::tools {
namespace {

namespace fs = std::filesystem;

enum class Verdict { ok, note, missing };

constexpr std::size_t indent = 26;

void say(Verdict verdict, const std::string& what, const std::string& text) {
  static const char* const words[] = {"ok", "note", "MISSING"};
  std::string line = words[static_cast<int>(verdict)];
  line.resize(9, ' ');
  line += what;
  line.resize(std::max<std::size_t>(line.size() + 1, indent), ' ');
  std::cout << line << text << '\n';
}

struct Table {
  int runtime = 0, driver = 0;
};
Table count_rows() {
  Table table;
#define HOOK(api, since, name, parameters, arguments, policy) ++table.api;
#include "interpose/hooks/cuda_hooks.def"
#undef HOOK
  return table;
}

struct Outcome {
  int status = -1;
  std::string output;
};

/// Runs a command; with `capture` its stdout and stderr are returned, else they are ours.
Outcome run(const std::vector<std::string>& command, const std::vector<std::pair<std::string, std::string>>& variables,
            bool capture) {
  int ends[2] = {-1, -1};
  if (capture && pipe(ends) != 0) throw std::runtime_error("pipe: " + std::string(std::strerror(errno)));
  std::vector<char*> arguments;
  for (const std::string& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  std::cout.flush();
  const pid_t child = fork();
  if (child == 0) {
    for (const auto& [name, value] : variables) setenv(name.c_str(), value.c_str(), 1);
    if (capture) {
      dup2(ends[1], STDOUT_FILENO);
      dup2(ends[1], STDERR_FILENO);
    }
    execvp(arguments[0], arguments.data());
    std::fprintf(stderr, "%s: %s\n", arguments[0], std::strerror(errno));
    _exit(127);
  }
  if (child < 0) throw std::runtime_error("fork: " + std::string(std::strerror(errno)));
  Outcome outcome;
  if (capture) {
    close(ends[1]);
    char buffer[4096];
    for (ssize_t bytes; (bytes = read(ends[0], buffer, sizeof buffer)) > 0;)
      outcome.output.append(buffer, static_cast<std::size_t>(bytes));
    close(ends[0]);
  }
  int status = 0;
  waitpid(child, &status, 0);
  outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return outcome;
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
  const Outcome probe = run({"/proc/self/exe", "--version"}, {{"LD_PRELOAD", library.string()}}, true);
  if (probe.status != 0 || probe.output.find("ERROR: ld.so") != std::string::npos) {
    say(Verdict::missing, "preload",
        "a program does not start under it: " + probe.output.substr(0, probe.output.find('\n')));
    return false;
  }
  say(Verdict::ok, "preload", "a program starts under it");
  return true;
}

/// Whether there is a driver.
bool check_cuda() {
  void* const driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (driver != nullptr) {
    using GetVersion = int(int*);
    int version = 0;
    auto* get = reinterpret_cast<GetVersion*>(dlsym(driver, "cuDriverGetVersion"));
    if (get != nullptr) get(&version);
    say(Verdict::ok, "driver",
        "libcuda.so.1, CUDA " + std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10));
  } else {
    say(Verdict::missing, "driver", "libcuda.so.1 cannot be opened: no GPU here. `vramtrack run --sim` needs none");
  }
  std::string found;
  for (const char* soname : {"libcudart.so.11.0", "libcudart.so.12", "libcudart.so.13"})
    if (dlopen(soname, RTLD_NOW | RTLD_LOCAL) != nullptr) found += (found.empty() ? "" : ", ") + std::string(soname);
  say(found.empty() ? Verdict::note : Verdict::ok, "runtime",
      found.empty() ? "no libcudart on the loader's path; PyTorch's wheels bring their own, which is just as well"
                    : found);
  std::string cupti;
  for (const char* soname : {"libcupti.so.12", "libcupti.so.13"})
    if (access(("/usr/local/cuda/extras/CUPTI/lib64/" + std::string(soname)).c_str(), R_OK) == 0) cupti = soname;
  say(Verdict::note, "CUPTI",
      cupti.empty() ? "not in /usr/local/cuda; --cupti and --audit also find the one in PyTorch's wheels" : cupti);
  return driver != nullptr;
}

void check_simulated(const fs::path& library) {
  std::ifstream list(library.parent_path() / "sim" / "preload.txt");
  int count = 0;
  for (std::string line; std::getline(list, line);) count += !line.empty();
  say(count > 0 ? Verdict::ok : Verdict::missing, "simulated GPU",
      count > 0 ? std::to_string(count) + " libraries: `vramtrack run --sim` works without a GPU"
                : "its libraries are not beside " + library.string());
}

/// `command`: what is to be run; an interpreter that it names is the one to look at.
void check_python(const std::vector<std::string>& command) {
  const bool named = !command.empty() && fs::path(command[0]).filename().string().starts_with("python");
  const Outcome python = run({named ? command[0] : "python3", "-c",
                              "import sys, importlib.metadata as m\n"
                              "def v(n):\n"
                              "  try: return m.version(n)\n"
                              "  except Exception: return ''\n"
                              "print(sys.executable, '%d.%d.%d' % sys.version_info[:3], v('torch'))"},
                             {}, true);
  if (python.status != 0)
    return say(Verdict::note, "python",
               named ? command[0] + " does not start" : "no python3 on the PATH; other programs are traced as well");
  std::string executable, version, torch;
  std::istringstream(python.output) >> executable >> version >> torch;
  const bool known =
      version.starts_with("3.") && std::atoi(version.c_str() + 2) >= 9 && std::atoi(version.c_str() + 2) <= 13;
  say(known ? Verdict::ok : Verdict::note, "python",
      executable + ", CPython " + version +
          (known ? ": stacks are read without the GIL"
                 : ": not one of 3.9 to 3.13, stacks fall back to what its API gives") +
          (torch.empty() ? "; no PyTorch in it" : "; PyTorch " + torch));
}

void explain_ways() {
  std::cout
      << "\nSeen: calls through a shared libcudart.so.11.0, .12 or .13 and libcuda.so.1, also several in one\n"
         "process and opened with RTLD_LOCAL; dlsym and dlvsym; cuGetProcAddress and cudaGetDriverEntryPoint\n"
         "(statically linked runtimes: NCCL, cuBLAS, CuPy, cuda-python, nvcc's default).\n"
         "Not seen: libraries opened with RTLD_DEEPBIND or dlmopen, statically linked programs, set-uid programs.\n"
         "CUDA_INJECTION64_PATH with libvramtrack.so sees those that can load CUPTI.\n";
}

/// Why there can be no trace, from the program's file.
std::string obstacle(const std::string& command) {
  std::string path = command;
  if (command.find('/') == std::string::npos) {
    std::istringstream folders(std::getenv("PATH") ? std::getenv("PATH") : "");
    for (std::string folder; std::getline(folders, folder, ':');)
      if (access((folder + "/" + command).c_str(), X_OK) == 0) {
        path = folder + "/" + command;
        break;
      }
  }
  std::ifstream file(path, std::ios::binary);
  Elf64_Ehdr header{};
  file.read(reinterpret_cast<char*>(&header), sizeof header);
  if (!file || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) return "";
  std::error_code ignored;
  const auto permissions = fs::status(path, ignored).permissions();
  if ((permissions & (fs::perms::set_uid | fs::perms::set_gid)) != fs::perms::none)
    return path + " is set-uid or set-gid: the loader ignores LD_PRELOAD for it";
  for (int i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment{};
    file.seekg(static_cast<std::streamoff>(header.e_phoff + static_cast<unsigned>(i) * sizeof segment));
    file.read(reinterpret_cast<char*>(&segment), sizeof segment);
    if (file && segment.p_type == PT_INTERP) return "";
  }
  return path + " is statically linked: it cannot be preloaded";
}

/// In lines of a terminal's width.
void list(const std::vector<std::string>& names, const std::string& what) {
  constexpr std::size_t width = 118 - indent;
  std::string text, line;
  for (const std::string& name : names) {
    if (!line.empty() && line.size() + 1 + name.size() > width) {
      text += line + "\n" + std::string(indent, ' ');
      line.clear();
    }
    line += (line.empty() ? "" : " ") + name;
  }
  if (!names.empty()) say(Verdict::ok, what, text + line);
}

/// 13000 -> "13.0"
std::string cuda_version(const nlohmann::json& version) {
  if (!version.is_number_unsigned()) return "?";
  const auto number = version.get<unsigned>();
  return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10);
}

void show_devices(const nlohmann::json& facts) {
  if (!facts.is_object()) return;
  const auto runtime = facts.find("runtime"), driver = facts.find("driver"), devices = facts.find("devices");
  std::string text = "driver " + (driver == facts.end() ? "?" : cuda_version(*driver));
  if (runtime != facts.end() && !runtime->is_null()) text += ", runtime " + cuda_version(*runtime);
  say(Verdict::ok, "CUDA", text);
  if (devices == facts.end() || !devices->is_array()) return;
  for (const nlohmann::json& device : *devices) {
    if (!device.is_object()) continue;
    say(Verdict::ok, "device " + std::to_string(device.value("index", 0)),
        utf8::printable(device.value("name", "")) + ", " + human_bytes(device.value("total_bytes", std::uint64_t{0})));
  }
}

void show_trace(const fs::path& path) {
  const trace::TraceFile trace = trace::read_trace(path.string());
  Report report;  // only its notes
  for (const trace::Note& note : trace.notes) {
    if (note.n == 0) report.notes[note.key] = nlohmann::json::parse(note.value, nullptr, false);
  }
  std::cout << "\nprocess " << trace.header.pid << '\n';
  show_devices(report.notes["cuda"]);
  if (const std::optional<Doors> doors = doors_of(report)) {
    list(doors->runtimes, "runtime");
    say(doors->driver ? Verdict::ok : Verdict::note, "driver", doors->driver.value_or("none was loaded"));
    list(doors->by_name, "called by name");
    list(doors->by_look_up, "looked up");
    if (doors->unwrapped > 0)
      say(Verdict::missing, "look-ups",
          std::to_string(doors->unwrapped) + " got the real function: its calls are not seen");
  } else {
    say(Verdict::note, "doors", "unknown: the process was killed before it could say");
  }
  if (const std::optional<Audit> audit = audit_of(report)) {
    const bool clean = audit->complete && !audit->unavailable && audit->missed == 0;
    say(clean ? Verdict::ok : Verdict::note, "audit", audit_line(*audit).substr(std::strlen("audit: ")));
  }
  for (const trace::Account& account : trace.accounts)
    if (account.used && account.kind != static_cast<std::uint8_t>(trace::Kind::all))
      say(Verdict::ok, account.layer == 0 ? "seen in CUDA" : "seen in PyTorch",
          plural(account.allocated_count, "allocation") +
              (account.device < 0 ? " of host memory" : " on device " + std::to_string(account.device)));
}

int run_command(const std::vector<std::string>& command, const fs::path& library, bool driver) {
  char folder[] = "/tmp/vramtrack-doctor-XXXXXX";
  if (mkdtemp(folder) == nullptr) throw std::runtime_error("/tmp: " + std::string(std::strerror(errno)));
  const char* before = std::getenv("LD_PRELOAD");
  const std::string preload = library.string() + (before != nullptr ? ":" + std::string(before) : "");
  const Outcome outcome =
      run(command, {{"LD_PRELOAD", preload}, {"VRAMTRACK_OUT", folder}, {"VRAMTRACK_LAUNCHED", "1"}}, false);
  std::cout << "\n" << command[0] << " ended with code " << outcome.status << '\n';
  std::vector<fs::path> traces;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().extension() == ".vtrace") traces.push_back(entry.path());
  for (const fs::path& trace : traces) show_trace(trace);
  if (traces.empty()) {
    const std::string why = obstacle(command[0]);
    say(Verdict::missing, "trace",
        !why.empty() ? why
        : driver
            ? "it allocated nothing through CUDA or PyTorch's allocator that could be seen"
            : "it allocated nothing through CUDA, and could not: there is no NVIDIA driver here. On the simulated GPU: "
              "vramtrack run --sim -- " +
                  command[0] + " ...");
  }
  fs::remove_all(folder);
  return traces.empty() ? 1 : 0;
}

}  // namespace

int cmd_doctor(const Arguments& arguments) {
  CLI::App app("What will be hooked here, by which way, what is missing, and what to do about it.", "doctor");
  app.footer("vramtrack doctor -- CMD ARGS... also runs a program once, traced, and lists what it reaches.");
  const auto dashes = std::find(arguments.begin(), arguments.end(), "--");
  parse(app, {arguments.begin(), dashes});
  const Arguments command(dashes == arguments.end() ? dashes : dashes + 1, arguments.end());
  const fs::path library = library_folder() / "libvramtrack.so";
  const bool works = check_library(library);
  const bool driver = check_cuda();
  check_simulated(library);
  check_python(command);
  explain_ways();
  if (!works) return 1;
  return command.empty() ? 0 : run_command(command, library, driver);
}

}  // namespace vramtrack::tools
