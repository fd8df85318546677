# The build step of vramtrack_embed: INPUT's bytes -> a C++ array in OUTPUT.
file(READ ${INPUT} bytes HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
string(REGEX REPLACE "((0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,))" "\\1\n" bytes "${bytes}")
file(WRITE ${OUTPUT}
  "#include \"report/render/${FUNCTION}.hpp\"\n"
  "namespace vramtrack::render {\n"
  "namespace {\nconstexpr unsigned char k_bytes[] = {\n${bytes}\n};\n}\n"
  "std::string_view ${FUNCTION}() { return {reinterpret_cast<const char*>(k_bytes), sizeof k_bytes}; }\n"
  "}\n")
