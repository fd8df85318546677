# Cross-builds for aarch64 with Debian's toolchain (g++-aarch64-linux-gnu). CMAKE_SYSROOT is a folder with the arm64
# packages of the build, unpacked; ./test.sh --arm makes one. Programs of the build are run by qemu.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES CMAKE_SYSROOT)
find_program(VRAMTRACK_QEMU NAMES qemu-aarch64-static qemu-aarch64)
if(VRAMTRACK_QEMU)
  set(CMAKE_CROSSCOMPILING_EMULATOR ${VRAMTRACK_QEMU} -L ${CMAKE_SYSROOT})
endif()
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE BOTH) # CUDA's headers may lie anywhere
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
