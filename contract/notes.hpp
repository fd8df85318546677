// The keys of the notes (NoteRecord) that the writers in the traced process and the readers of the trace agree on:
// contract/facts.def.
#pragma once

#include <string_view>

namespace vramtrack::trace::note_key {

#define FACT(name, key, form, when, what) inline constexpr std::string_view name = key;
#include "contract/facts.def"

}  // namespace vramtrack::trace::note_key
