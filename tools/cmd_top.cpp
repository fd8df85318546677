// vramtrack top: a live view of running traced processes. Only maps and reads their traces.
#include <langinfo.h>
#include <unistd.h>

#include <chrono>
#include <clocale>
#include <cstdlib>
#include <filesystem>

#include "tools/command.hpp"
#include "tools/input_files.hpp"
#include "tools/proc_files.hpp"
#include "tools/terminal.hpp"
#include "tools/top/sample.hpp"
#include "tools/top/view.hpp"

namespace vramtrack::tools {
namespace {

namespace fs = std::filesystem;

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::vector<std::string> find_traces(const std::string& target) {
  std::error_code ignored;
  if (fs::is_directory(target, ignored)) {
    std::vector<std::string> traces = expand_inputs({target}, false);
    std::erase_if(traces, [](const std::string& path) { return !path.ends_with(".vtrace"); });
    if (!traces.empty()) return traces;
    throw std::runtime_error(target + ": no trace (vramtrack-PID.vtrace) in this folder");
  }
  if (const auto pid = process_number(target)) return traces_of(*pid);
  return {target};
}

class Top {
 public:
  Top(std::string target, TopView view, double interval)
      : target_(std::move(target)), view_(std::move(view)), interval_(interval) {
    for (std::string& trace : find_traces(target_)) sources_.emplace_back(std::move(trace));
  }

  int once() {
    refresh();
    std::string problem;
    std::size_t readable = 0;
    for (const TopSource& source : sources_) {
      if (source.sample().problem.empty())
        ++readable;
      else
        problem = source.sample().problem;
    }
    if (readable == 0) throw std::runtime_error(problem);
    view_.interactive = false;
    for (const std::string& line : draw()) std::cout << line << '\n';
    std::cout.flush();
    if (!std::cout) throw std::runtime_error("cannot write to standard output");
    return 0;
  }

  int run() {
    Terminal terminal;
    double next = 0;
    while (true) {
      const double now = seconds_now();
      if (!view_.paused && now >= next) {
        refresh();
        next = seconds_now() + interval_;
      }
      const TerminalSize size = terminal.size();
      view_.columns = size.columns;
      view_.rows = size.rows;
      terminal.show(draw());
      const double wait = view_.paused ? 1.0 : std::max(next - seconds_now(), 0.01);
      if (!handle(terminal.read_key(static_cast<int>(wait * 1000) + 1))) return 0;
    }
  }

 private:
  void refresh() {
    look_for_new_traces();
    const double now = seconds_now();
    for (TopSource& source : sources_) source.refresh(now);
  }

  /// Workers come while we watch.
  void look_for_new_traces() {
    try {
      for (std::string& trace : find_traces(target_)) {
        const auto same = [&](const TopSource& known) { return known.sample().trace == trace; };
        if (seen_once_ && std::none_of(sources_.begin(), sources_.end(), same)) sources_.emplace_back(std::move(trace));
      }
    } catch (const std::runtime_error&) {
      // The process has ended: what was seen stays on the screen.
    }
    seen_once_ = true;
  }

  std::vector<std::string> draw() {
    std::vector<const TopSample*> samples;
    for (const TopSource& source : sources_) samples.push_back(&source.sample());
    return draw_top(samples, view_);
  }

  /// False to end.
  bool handle(int key);

  std::string target_;
  TopView view_;
  double interval_;
  bool seen_once_ = false;
  std::vector<TopSource> sources_;
};

bool Top::handle(int key) {
  static const std::vector<std::string> sorts = {"bytes", "count", "rate", "step"};
  static const std::vector<std::string> layers = {"main", "tensor", "cuda", "all"};
  const auto next_of = [](const std::vector<std::string>& list, const std::string& now) {
    const auto at = std::find(list.begin(), list.end(), now);
    return at == list.end() || at + 1 == list.end() ? list.front() : *(at + 1);
  };
  const std::size_t page = view_.rows > 10 ? static_cast<std::size_t>(view_.rows) - 8 : 4;
  switch (key) {
    case static_cast<int>(Key::end):
    case 'q':
      return false;
    case '?':
    case 'h':
      view_.help = !view_.help;
      break;
    case '\x1b':
      view_.help = false;
      break;
    case 'p':
    case ' ':
      view_.paused = !view_.paused;
      break;
    case 'b':
      view_.sort = "bytes";
      break;
    case 'n':
      view_.sort = "count";
      break;
    case 'r':
      view_.sort = "rate";
      break;
    case 't':
      view_.sort = "step";
      break;
    case 's':
      view_.sort = next_of(sorts, view_.sort);
      break;
    case 'l':
      view_.layer = next_of(layers, view_.layer);
      break;
    case 'e':
      view_.exact = !view_.exact;
      break;
    case '+':
      interval_ = std::max(interval_ / 2, 0.125);
      break;
    case '-':
      interval_ = std::min(interval_ * 2, 32.0);
      break;
    case '\t':
      view_.process = (view_.process + 1) % sources_.size();
      view_.scroll = 0;
      break;
    case static_cast<int>(Key::tab_back):
      view_.process = (view_.process + sources_.size() - 1) % sources_.size();
      view_.scroll = 0;
      break;
    case static_cast<int>(Key::up):
    case 'k':
      view_.scroll -= std::min<std::size_t>(view_.scroll, 1);
      break;
    case static_cast<int>(Key::down):
    case 'j':
      ++view_.scroll;
      break;
    case static_cast<int>(Key::page_up):
      view_.scroll -= std::min(view_.scroll, page);
      break;
    case static_cast<int>(Key::page_down):
      view_.scroll += page;
      break;
    case static_cast<int>(Key::home):
      view_.scroll = 0;
      break;
    case static_cast<int>(Key::last):
      view_.scroll = ~std::size_t{0} / 2;  // drawing clamps it
      break;
    default:
      break;
  }
  return true;
}

}  // namespace

int cmd_top(const Arguments& arguments) {
  std::string target;
  bool once = false;
  double interval = 1;
  TopView view;
  CLI::App app("Shows live what a traced process holds: totals, growth, call sites.", "vramtrack top");
  app.add_option("PID|FILE|DIR", target, "a process (with all it started), a trace, or a folder of traces")->required();
  app.add_flag("--once", once, "print one frame and end");
  app.add_option("--interval", interval, "seconds between refreshes")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str();
  app.add_option("--sort", view.sort, "bytes, count, rate or step")
      ->check(CLI::IsMember({"bytes", "count", "rate", "step"}));
  app.add_option("--layer", view.layer, "main (nothing counted twice), tensor, cuda or all")
      ->check(CLI::IsMember({"main", "tensor", "cuda", "all"}));
  app.add_option("--top", view.top, "with --once: call sites shown")->capture_default_str();
  app.add_flag("--bytes", view.exact, "exact bytes");
  parse(app, arguments);
  std::setlocale(LC_CTYPE, "");
  view.unicode = std::string_view(nl_langinfo(CODESET)) == "UTF-8";
  const char* no_colour = std::getenv("NO_COLOR");
  view.colour = isatty(STDOUT_FILENO) != 0 && (no_colour == nullptr || *no_colour == '\0');
  if (isatty(STDOUT_FILENO) != 0) view.columns = terminal_size(STDOUT_FILENO).columns;
  if (!once && !Terminal::usable()) throw UsageError("no terminal here; use `vramtrack top --once`");
  Top top(target, view, interval);
  return once ? top.once() : top.run();
}

}  // namespace vramtrack::tools
