// vramtrack: finds the sub-command, and turns whatever it throws into one line and an exit code.
#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <iostream>
#include <new>
#include <nlohmann/json.hpp>

#include "report/support/utf8.hpp"
#include "tools/command.hpp"
#include "tools/run/quiet_child.hpp"

namespace {

using namespace vramtrack::tools;
using vramtrack::utf8::printable;

int print_usage(std::ostream& out) {
  out << "vramtrack " VRAMTRACK_VERSION
         ": who holds the GPU's memory, and why\n\nusage: vramtrack COMMAND [OPTION...]\n\n";
  for (const Command& command : commands()) {
    out << "  " << command.name << std::string(13 - std::string_view(command.name).size(), ' ') << command.synopsis
        << '\n';
  }
  out << "\nStart with:  vramtrack run -- python train.py\nNo GPU:      vramtrack run --sim -- python train.py\n"
         "More:        vramtrack COMMAND --help\n";
  return 0;
}

int dispatch(const std::string& name, const Arguments& arguments) {
  std::vector<std::string> names;
  for (const Command& command : commands()) {
    if (name == command.name) return command.run(arguments);
    names.emplace_back(command.name);
  }
  std::string message = "unknown command " + name;
  if (const std::string near = nearest(name, names); !near.empty()) message += "; did you mean " + near + "?";
  throw UsageError(message + " (see `vramtrack --help`)");
}

/// A closed standard stream must not become one of our files: messages would be written into a report. Closed again in
/// a program that we start (O_CLOEXEC), which is to find what we found.
void occupy_closed_streams() {
  for (int stream = STDIN_FILENO; stream <= STDERR_FILENO; ++stream) {
    if (fcntl(stream, F_GETFD) >= 0) continue;
    // The lowest free number is this one.
    if (open("/dev/null", (stream == STDIN_FILENO ? O_RDONLY : O_WRONLY) | O_CLOEXEC) < 0) return;
  }
}

/// "a.json, b.json: ", the files among the arguments.
std::string inputs_of(const Arguments& arguments) {
  std::string names;
  std::error_code ignored;
  for (std::size_t i = 1; i < arguments.size(); ++i)
    if (const std::string& argument = arguments[i]; std::filesystem::is_regular_file(argument, ignored))
      names += (names.empty() ? "" : ", ") + printable(argument);
  return names.empty() ? "" : names + ": ";
}

}  // namespace

int main(int argc, char** argv) {
  occupy_closed_streams();
  // `vramtrack report ... | head`, or a file at its size limit, ends with a write error, not a signal. A program
  // started by `run` inherits what we got.
  if (argc < 2 || std::string_view(argv[1]) != "run") {
    std::signal(SIGPIPE, SIG_IGN);
    std::signal(SIGXFSZ, SIG_IGN);
  }
  const Arguments all(argv + 1, argv + argc);
  try {
    if (all.empty()) {
      print_usage(std::cerr);
      return 2;
    }
    if (all[0] == "--help" || all[0] == "-h" || all[0] == "help") return print_usage(std::cout);
    if (all[0] == "--version") {
      std::cout << "vramtrack " VRAMTRACK_VERSION "\n";
      return 0;
    }
    return dispatch(all[0], Arguments(all.begin() + 1, all.end()));
  } catch (const Finished& finished) {
    return finished.code;
  } catch (const Interrupted& interrupted) {  // as if the signal had met us: our files are gone by now
    std::signal(interrupted.signal, SIG_DFL);
    return std::raise(interrupted.signal);
  } catch (const UsageError& error) {
    std::cerr << "error: " << printable(error.what()) << '\n';
    return 2;
  } catch (const ErrorWithLines& error) {
    std::cerr << "error: " << printable(error.what()) << error.lines << '\n';
    return 1;
  } catch (const nlohmann::json::exception&) {
    std::cerr << "error: " << inputs_of(all) << "a value is of another kind than its place asks for, or out of range;"
              << " write the report again from its .vtrace\n";
    return 1;
  } catch (const std::filesystem::filesystem_error& error) {
    std::cerr << "error: " << printable(error.path1().string()) << ": " << error.code().message()
              << "; check the path and its permissions\n";
    return 1;
  } catch (const std::bad_alloc&) {
    std::cerr << "error: " << inputs_of(all) << "there is not enough memory for it; give less input, or more memory\n";
    return 1;
  } catch (const std::exception& error) {
    std::cerr << "error: " << printable(error.what()) << '\n';
    return 1;
  }
}
