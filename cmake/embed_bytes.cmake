# vramtrack_embed(TARGET FILE FUNCTION): compiles FILE's bytes into TARGET behind `std::string_view FUNCTION()` in
# namespace vramtrack::render, declared in a generated header report/render/FUNCTION.hpp. No tool but CMake is needed.
function(vramtrack_embed target file function)
  set(folder ${PROJECT_BINARY_DIR}/embedded/report/render)
  set(header ${folder}/${function}.hpp)
  set(source ${folder}/${function}.cpp)
  file(GENERATE OUTPUT ${header} CONTENT
    "#pragma once\n#include <string_view>\nnamespace vramtrack::render { std::string_view ${function}(); }\n")
  add_custom_command(OUTPUT ${source}
    COMMAND ${CMAKE_COMMAND} -DINPUT=${file} -DOUTPUT=${source} -DFUNCTION=${function}
            -P ${PROJECT_SOURCE_DIR}/cmake/embed_bytes_now.cmake
    DEPENDS ${file} ${PROJECT_SOURCE_DIR}/cmake/embed_bytes_now.cmake VERBATIM)
  target_sources(${target} PRIVATE ${source} ${header})
  target_include_directories(${target} PRIVATE ${PROJECT_BINARY_DIR}/embedded)
endfunction()
