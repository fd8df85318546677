# vramtrack_embed(TARGET FUNCTION [NAMESPACE NAME] [FOLDER FOLDER] FILES FILE...): compiles the files' bytes, one behind
# the other, into TARGET as `std::string_view FUNCTION()` in namespace NAME (vramtrack::render), declared in a generated
# header FOLDER/FUNCTION.hpp (report/render/FUNCTION.hpp). No tool but CMake is needed.
function(vramtrack_embed target function)
  cmake_parse_arguments(arg "" "NAMESPACE;FOLDER" "FILES" ${ARGN})
  if(NOT arg_NAMESPACE)
    set(arg_NAMESPACE vramtrack::render)
    set(arg_FOLDER report/render)
  endif()
  set(folder ${PROJECT_BINARY_DIR}/embedded/${arg_FOLDER})
  set(header ${folder}/${function}.hpp)
  set(source ${folder}/${function}.cpp)
  file(GENERATE OUTPUT ${header} CONTENT
    "#pragma once\n#include <string_view>\nnamespace ${arg_NAMESPACE} { std::string_view ${function}(); }\n")
  add_custom_command(OUTPUT ${source}
    COMMAND ${CMAKE_COMMAND} "-DINPUTS=${arg_FILES}" -DOUTPUT=${source} -DFUNCTION=${function}
            -DHEADER=${arg_FOLDER}/${function}.hpp -DNAMESPACE=${arg_NAMESPACE}
            -P ${PROJECT_SOURCE_DIR}/cmake/embed_bytes_now.cmake
    DEPENDS ${arg_FILES} ${PROJECT_SOURCE_DIR}/cmake/embed_bytes_now.cmake VERBATIM)
  target_sources(${target} PRIVATE ${source} ${header})
  target_include_directories(${target} PRIVATE ${PROJECT_BINARY_DIR}/embedded)
endfunction()
