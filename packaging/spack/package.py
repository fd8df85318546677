# In a clone, with this file in a repository of packages (`spack repo create`): `spack dev-build vramtrack@main`.
# For Spack 1.0 and later.
from spack_repo.builtin.build_systems.cmake import CMakePackage, generator

from spack.package import *


class Vramtrack(CMakePackage):
    """heaptrack for GPU memory: who holds it, where it was allocated, and why it is still alive."""

    license("Apache-2.0")

    version("main", branch="main")

    depends_on("c", type="build")
    depends_on("cxx", type="build")
    depends_on("cmake@3.25:", type="build")
    depends_on("nlohmann-json@3.11:", type="build")
    depends_on("cli11@2.1:", type="build")
    depends_on("spdlog@1.10:", type="build")
    depends_on("fmt@9:", type="build")
    depends_on("cuda@13:", type="build")  # its headers; nothing of it is linked
    depends_on("python@3.9:", type=("build", "run"))  # makes the manual page; runs what is below share/vramtrack/python
    depends_on("elfutils@0.188:")
    # elfutils comes with static libraries too, which are taken where they are: these are what it needs then.
    depends_on("bzip2")
    depends_on("xz")
    depends_on("zstd")
    depends_on("zlib-api")
    depends_on("utf8proc")
    depends_on("libunwind@1.6:", type=("link", "run"))  # opened by name: the wrapper of the compiler adds its rpath

    requires("platform=linux")
    requires("target=x86_64:", "target=aarch64:", policy="one_of")
    conflicts("%gcc@:11", msg="vramtrack is C++20 as gcc 12 has it")
    conflicts("%clang@:13", msg="vramtrack is C++20 as clang 14 has it")

    generator("ninja")

    def cmake_args(self):
        return [
            self.define("VRAMTRACK_TESTS", False),
            self.define("VRAMTRACK_CUDA_INCLUDE_DIR", self.spec["cuda"].prefix.include),
        ]

    def setup_run_environment(self, env: EnvironmentModifications) -> None:
        env.prepend_path("PYTHONPATH", self.prefix.share.vramtrack.python)
