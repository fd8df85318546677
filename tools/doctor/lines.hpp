// The doctor's lines: a verdict, what it is about, and what was found or what to do.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace vramtrack::tools::doctor {

enum class Verdict { ok, note, missing };

void say(Verdict verdict, const std::string& what, const std::string& text);

/// Names in lines of a terminal's width; nothing for none.
void list(const std::string& what, const std::vector<std::string>& names);

/// What a traced process reached, from its trace. Whether it allocated anything.
bool show_trace(const std::filesystem::path& path);

}  // namespace vramtrack::tools::doctor
