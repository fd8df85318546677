# vramtrack_precompile(TARGET [REUSE OTHER]): the standard library's headers, parsed once for all files of a target. Half of
# the time of a build from nothing is theirs. A file includes what it uses all the same: without the option, or with another
# compiler cache, nothing else stands in for it.
option(VRAMTRACK_PRECOMPILE "Precompile standard headers: quicker from nothing, but compiler caches want settings for it" OFF)

function(vramtrack_precompile target)
  cmake_parse_arguments(arg "" "REUSE" "HEADERS" ${ARGN})
  if(NOT VRAMTRACK_PRECOMPILE)
    return()
  endif()
  if(arg_REUSE)
    target_precompile_headers(${target} REUSE_FROM ${arg_REUSE})
    return()
  endif()
  target_precompile_headers(${target} PRIVATE <algorithm> <array> <filesystem> <fstream> <functional> <map> <memory>
    <optional> <set> <span> <sstream> <string> <string_view> <tuple> <unordered_map> <utility> <vector> ${arg_HEADERS})
endfunction()
