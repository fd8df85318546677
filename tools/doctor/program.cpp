#include "tools/doctor/program.hpp"

#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "report/support/files.hpp"
#include "tools/doctor/lines.hpp"
#include "tools/run/child.hpp"

namespace vramtrack::tools::doctor {

namespace fs = std::filesystem;

namespace {

/// Distributions that allocate GPU memory, and the door they take to it.
struct Package {
  const char* distribution;
  const char* way;
};
constexpr Package packages[] = {
    {"torch", "through the shared CUDA runtime; its caching allocator's blocks are seen too"},
    {"cupy-cuda11x", "through a runtime of its own inside: seen at the driver"},
    {"cupy-cuda12x", "through a runtime of its own inside: seen at the driver"},
    {"cupy-cuda13x", "through a runtime of its own inside: seen at the driver"},
    {"cupy", "through the CUDA runtime"},
    {"numba-cuda", "through look-ups in the driver"},
    {"numba", "through look-ups in the driver"},
    {"cuda-bindings", "through look-ups in the driver"},
    {"pycuda", "through the driver"},
    {"jaxlib", "through the CUDA runtime and driver; one block for its whole pool"},
    {"tensorflow", "through the CUDA runtime and driver; one block for its whole pool"},
    {"nvidia-nccl-cu12", "through a runtime of its own inside: seen at the driver"},
    {"nvidia-nccl-cu13", "through a runtime of its own inside: seen at the driver"},
    {"nvidia-cuda-runtime-cu11", "libcudart.so.11.0"},
    {"nvidia-cuda-runtime-cu12", "libcudart.so.12"},
    {"nvidia-cuda-runtime", "libcudart.so.13"},
    {"nvidia-cuda-cupti-cu12", "libcupti.so.12, for --cupti and --audit"},
    {"nvidia-cuda-cupti", "libcupti.so.13, for --cupti and --audit"},
};

// Tells the interpreter's path and version, then each installed distribution of those that it is asked for. Run with
// -I: nothing of the current folder, of PYTHONPATH or of the user's is executed. Their packages are merely listed.
constexpr const char* tell =
    "import os, site, sys, sysconfig, importlib.metadata as m\n"
    "more = os.environ.get('PYTHONPATH', '').split(os.pathsep) + [site.getusersitepackages()]\n"
    "paths = sys.path + [p for p in more if os.path.isabs(p)]\n"
    "name = sys.implementation.name.replace('cpython', 'CPython')\n"
    "t = 't' * bool(sysconfig.get_config_var('Py_GIL_DISABLED'))\n"
    "print('%s\\t%s %d.%d.%d%s' % ((sys.executable, name) + sys.version_info[:3] + (t,)))\n"
    "for n in sys.argv[1:]:\n"
    "  try: print(n + '\\t' + next(iter(m.distributions(name=n, path=paths))).version)\n"
    "  except Exception: pass\n";

/// What the program names of CUDA's libraries: it is linked to them, or opens them.
std::string libraries_in(const std::string& path) {
  const std::string bytes = files::read_rest(files::open_regular(path), std::size_t{1} << 30);
  std::string found;
  for (const char* soname : {"libcudart.so.11.0", "libcudart.so.12", "libcudart.so.13", "libcuda.so.1"})
    if (bytes.find(std::string(soname) + '\0') != std::string::npos)
      found += (found.empty() ? "" : ", ") + std::string(soname);
  if (found == "libcuda.so.1" && bytes.find("cudaMalloc") == std::string::npos &&
      bytes.find("cuGetProcAddress") != std::string::npos)
    found += " (and cuGetProcAddress: a CUDA runtime linked into it, seen at the driver)";
  return found;
}

/// What a command printed on stdout; `works` tells whether it ended well.
std::string output_of(const std::string& program, const std::vector<std::string>& arguments, bool& works) {
  const auto quoted = [](const std::string& word) {
    std::string text = "'";
    for (char c : word) text += c == '\'' ? "'\\''" : std::string(1, c);
    return text + "'";
  };
  std::string line = quoted(program);
  for (const std::string& argument : arguments) line += " " + quoted(argument);
  std::string output;
  FILE* pipe = popen((line + " 2>/dev/null").c_str(), "r");
  works = pipe != nullptr;
  char buffer[4096];
  for (std::size_t got; pipe != nullptr && (got = fread(buffer, 1, sizeof buffer, pipe)) > 0;)
    output.append(buffer, got);
  if (pipe != nullptr) works = pclose(pipe) == 0;
  return output;
}

bool is_python(const std::string& path) { return fs::path(path).filename().string().starts_with("python"); }

}  // namespace

std::string python_of(const std::string& path) {
  if (is_python(path)) return path;
  const std::string interpreter = interpreter_of(path);
  return is_python(interpreter) ? interpreter : "";
}

void check_program(const std::string& command, const std::string& path) {
  if (const auto obstacle = preload_obstacle(command))
    return say(Verdict::missing, "program",
               *obstacle + ": the loader preloads nothing into it. Programs that it starts are seen.");
  if (const std::string interpreter = interpreter_of(path); !interpreter.empty())
    return say(Verdict::ok, "program", path + ", a script for " + interpreter);
  const std::string libraries = is_python(path) ? "" : libraries_in(path);
  say(Verdict::ok, "program",
      path + (libraries.empty() ? ": what it loads and opens is seen as it runs" : ": names " + libraries));
}

void check_python(const std::string& python) {
  std::vector<std::string> arguments{"-I", "-c", tell};
  for (const Package& package : packages) arguments.push_back(package.distribution);
  bool works = false;
  std::istringstream lines(output_of(python.empty() ? "python3" : python, arguments, works));
  if (!works)
    return say(Verdict::note, "python",
               python.empty() ? "no python3 on the PATH; other programs are traced as well"
                              : python + " does not start, or is older than 3.8");
  std::string executable, version;
  std::getline(std::getline(lines, executable, '\t'), version);
  const auto minor = version.starts_with("CPython 3.") ? std::atoi(version.c_str() + 10) : 0;
  const bool known = minor >= 9 && minor <= 14 && (!version.ends_with('t') || minor == 13);
  say(known ? Verdict::ok : Verdict::note, "python",
      executable + ", " + version +
          (known ? ": its stacks are read without stopping it"
                 : ": not CPython 3.9 to 3.14, nor the free-threaded 3.13t, so there are native stacks only"));
  bool any = false;
  for (std::string name; std::getline(lines, name, '\t');) {
    std::getline(lines, version);
    for (const Package& package : packages) {
      if (name != package.distribution) continue;
      say(Verdict::ok, "  " + name, version + ", " + package.way);
      any = true;
    }
  }
  if (!any) say(Verdict::note, "  packages", "none in it that are known to use a GPU (PyTorch, CuPy, numba, JAX, ...)");
}

}  // namespace vramtrack::tools::doctor
