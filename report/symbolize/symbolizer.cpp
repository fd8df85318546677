#include "report/symbolize/symbolizer.hpp"

namespace vramtrack {

struct Symbolizer::Module {};

Symbolizer::Symbolizer() = default;
Symbolizer::~Symbolizer() = default;

std::vector<NativeFrame> Symbolizer::resolve(const std::string&, const std::string&, std::uint64_t) { return {}; }

}  // namespace vramtrack
