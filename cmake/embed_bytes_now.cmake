# The build step of vramtrack_embed: the bytes of INPUTS -> a C++ array in OUTPUT.
set(bytes "")
foreach(input IN LISTS INPUTS)
  file(READ ${input} hex HEX)
  string(APPEND bytes "${hex}")
endforeach()
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
string(REGEX REPLACE "((0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,))" "\\1\n" bytes "${bytes}")
file(WRITE ${OUTPUT}
  "#include \"${HEADER}\"\n"
  "namespace ${NAMESPACE} {\n"
  "namespace {\nconstexpr unsigned char ${FUNCTION}_bytes[] = {\n${bytes}\n};\n}\n"
  "std::string_view ${FUNCTION}() { return {reinterpret_cast<const char*>(${FUNCTION}_bytes), sizeof ${FUNCTION}_bytes}; }\n"
  "}\n")
