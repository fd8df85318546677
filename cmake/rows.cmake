# vramtrack_sources(OUT TABLE MACRO): the sources that a table names, one file for each row `MACRO(name...)`. CMake
# runs again when the table changes.
function(vramtrack_sources out table macro)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${table})
  file(STRINGS ${table} rows REGEX "^${macro}\\(")
  list(TRANSFORM rows REPLACE "^${macro}\\(([a-z_0-9]+).*" "\\1.cpp")
  set(${out} ${rows} PARENT_SCOPE)
endfunction()
