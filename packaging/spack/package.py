from spack.package import *


class Vramtrack(CMakePackage):
    """heaptrack for GPU memory: who holds it, where it was allocated, and why it is still alive."""

    license("Apache-2.0")

    version("main", branch="main")

    depends_on("c", type="build")
    depends_on("cxx", type="build")
    depends_on("cmake@3.25:", type="build")
    depends_on("ninja", type="build")
    depends_on("nlohmann-json@3.11:", type="build")
    depends_on("cli11@2.1:", type="build")
    depends_on("spdlog@1.10:", type="build")
    depends_on("fmt@9:", type="build")
    depends_on("cuda@13:", type="build")  # its headers; nothing of it is linked
    depends_on("elfutils@0.188:")
    depends_on("zlib-api")
    depends_on("utf8proc")
    depends_on("libunwind@1.6:", type=("link", "run"))  # opened by name: the rpath of a linked one leads there

    requires("platform=linux")
    requires("target=x86_64:", "target=aarch64:", policy="one_of")

    generator("ninja")

    def cmake_args(self):
        return [
            self.define("VRAMTRACK_TESTS", False),
            self.define("VRAMTRACK_CUDA_INCLUDE_DIR", self.spec["cuda"].prefix.include),
        ]

    def setup_run_environment(self, env):
        env.prepend_path("PYTHONPATH", self.prefix.share.vramtrack.python)
