// What the doctor can say of a program before it runs: how it is linked, what interprets it, what that has installed.
#pragma once

#include <string>

namespace vramtrack::tools::doctor {

/// `command`: what was named; `path`: its file.
void check_program(const std::string& command, const std::string& path);

/// `python`: the interpreter to look at; "": the PATH's python3.
void check_python(const std::string& python);

/// The Python interpreter that runs the program, or "" for another kind of program.
std::string python_of(const std::string& path);

}  // namespace vramtrack::tools::doctor
