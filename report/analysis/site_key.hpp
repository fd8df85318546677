// Tells whether two sites of different reports are the same place in the program.
#pragma once

#include <string>

#include "report/model/model.hpp"

namespace vramtrack {

/// How much of a stack must agree.
struct SiteKeyOptions {
  bool lines = false;         // line numbers and modules too (two runs of one program)
  bool native_frames = true;  // false: Python frames only, where the site has any (other library versions)
  bool device = true;
  std::string script;  // this file is "the script", whatever its name: see main_script()
};

/// The user's file that most stacks begin in, "" when there is none: `train.py` in `python train.py`. Two versions of a
/// program may have two names.
std::string main_script(const Report& report);

/// The name under which a frame's file is compared.
std::string compared_file(const Frame& frame, const std::string& script);

/// Equal for sites of the same layer, kind, device and stack: functions and file names, not folders (a program
/// may have been moved), not addresses.
std::string site_key(const Report& report, const SiteReport& site, const SiteKeyOptions& options);

/// The frames that a key was made of, in its order.
std::vector<const Frame*> key_frames(const Report& report, const SiteReport& site, const SiteKeyOptions& options);

}  // namespace vramtrack
