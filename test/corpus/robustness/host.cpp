// What a C++ host program does around its CUDA calls: exceptions, cancelled threads, small stacks, errno. It prints
// what happens; test_robustness.py runs it with and without vramtrack and compares. Usage: host MODE
#include <dlfcn.h>
#include <execinfo.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using Malloc = int (*)(void**, std::size_t);
using Free = int (*)(void*);
using MemGetInfo = int (*)(std::size_t*, std::size_t*);

template <typename Function>
Function runtime(const char* name) {
  static void* const library = dlopen("libcudart.so.13", RTLD_NOW);
  if (library == nullptr) std::exit(90);
  return reinterpret_cast<Function>(dlsym(library, name));
}

int cuda_malloc(void** address, std::size_t bytes) { return runtime<Malloc>("cudaMalloc")(address, bytes); }
int cuda_free(void* address) { return runtime<Free>("cudaFree")(address); }

/// A block whose destructor runs our hook while an exception is on its way.
struct Block {
  void* address = nullptr;
  explicit Block(std::size_t bytes) { std::printf("malloc %d\n", cuda_malloc(&address, bytes)); }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  ~Block() { std::printf("free %d, exceptions %d\n", cuda_free(address), std::uncaught_exceptions()); }
};

struct Thrown : std::runtime_error {
  using std::runtime_error::runtime_error;
};

__attribute__((noinline)) void throws_below(int depth) {
  const Block block(std::size_t{4096} * static_cast<unsigned>(depth));
  if (depth == 1) throw Thrown("from the bottom");
  throws_below(depth - 1);
}

const char* library_of(const char* symbol) {
  Dl_info info;
  void* const address = dlsym(RTLD_DEFAULT, symbol);
  if (address == nullptr || dladdr(address, &info) == 0) return "none";
  const char* const slash = std::strrchr(info.dli_fname, '/');
  return slash != nullptr ? slash + 1 : info.dli_fname;
}

void exceptions() {
  for (const char* symbol :
       {"_Unwind_Backtrace", "_Unwind_RaiseException", "backtrace", "__cxa_throw", "malloc", "read"})
    std::printf("%s is of %s\n", symbol, library_of(symbol));
  for (int round = 0; round < 3; ++round) {
    try {
      throws_below(4);
    } catch (const Thrown& thrown) {
      std::printf("caught %s\n", thrown.what());
    }
  }
  std::exception_ptr carried;
  std::thread([&] {
    try {
      throws_below(2);
    } catch (...) {
      carried = std::current_exception();
    }
  }).join();
  try {
    std::rethrow_exception(carried);
  } catch (const std::exception& thrown) {
    std::printf("carried %s\n", thrown.what());
  }
  try {
    throws_below(1);
  } catch (const std::logic_error&) {
    std::printf("wrong type\n");
  } catch (...) {
    try {
      std::throw_with_nested(std::runtime_error("outer"));
    } catch (const std::exception& outer) {
      try {
        std::rethrow_if_nested(outer);
      } catch (const Thrown& inner) {
        std::printf("%s around %s\n", outer.what(), inner.what());
      }
    }
  }
  int numbers[] = {3, 1, 2};
  try {
    std::qsort(numbers, 3, sizeof(int), [](const void*, const void*) -> int { throws_below(1), std::abort(); });
  } catch (const Thrown&) {
    std::printf("through qsort\n");
  }
  try {
    std::printf("%p\n", static_cast<void*>(new char[std::size_t{1} << 62]));
  } catch (const std::bad_alloc& thrown) {
    std::printf("%s\n", thrown.what());
  }
  void* frames[64];
  std::printf("frames %d\n", backtrace(frames, 64));
}

void terminates() {
  std::set_terminate([] {
    std::puts("terminating");
    std::fflush(stdout);
    std::abort();
  });
  [&]() noexcept { throws_below(2); }();
}

struct Note {
  const char* text;
  ~Note() { std::printf("destroyed %s\n", text); }
};

void* cancelled(void* when) {
  const Note outer{"outer"};
  Block block(8192);
  pthread_cleanup_push([](void*) { std::printf("cleaned up\n"); }, nullptr);
  pthread_barrier_wait(static_cast<pthread_barrier_t*>(when));
  for (;;) pause();
  pthread_cleanup_pop(0);
  return nullptr;
}

/// A cancellation that is pending must not be taken inside a hook: CUDA calls are no cancellation points.
void* cancel_pending(void*) {
  const Note outer{"pending"};
  pthread_cancel(pthread_self());
  void* address = nullptr;
  for (int i = 0; i < 3000; ++i) cuda_malloc(&address, 512);
  std::printf("still here after malloc\n");
  std::fflush(stdout);
  pthread_testcancel();
  std::printf("not cancelled\n");
  return nullptr;
}

void cancellation() {
  std::size_t free_bytes, total;
  // Starts the runtime, so that only our own first event remains for the cancelled thread.
  std::printf("info %d\n", runtime<MemGetInfo>("cudaMemGetInfo")(&free_bytes, &total));
  pthread_t thread;
  void* result = nullptr;
  pthread_create(&thread, nullptr, cancel_pending, nullptr);
  pthread_join(thread, &result);
  std::printf("cancelled %d\n", result == PTHREAD_CANCELED);
  pthread_barrier_t reached;
  pthread_barrier_init(&reached, nullptr, 2);
  pthread_create(&thread, nullptr, cancelled, &reached);
  pthread_barrier_wait(&reached);
  pthread_cancel(thread);
  pthread_join(thread, &result);
  std::printf("cancelled %d\n", result == PTHREAD_CANCELED);
  const Block after(4096);
}

void* on_small_stack(void*) {
  void* address = nullptr;
  std::printf("malloc %d\n", cuda_malloc(&address, 4096));
  std::printf("free %d\n", cuda_free(address));
  return nullptr;
}

void small_stacks() {
  std::size_t free_bytes, total;
  std::printf("info %d\n", runtime<MemGetInfo>("cudaMemGetInfo")(&free_bytes, &total));
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 64 * 1024);
  for (int round = 0; round < 2; ++round) {
    pthread_t thread;
    pthread_create(&thread, &attributes, on_small_stack, nullptr);
    pthread_join(thread, nullptr);
  }
}

void errors() {
  const auto told = [](const char* what, auto call) {
    errno = 77;
    const auto result = call();
    const int left = errno;
    std::printf("%s: %ld, errno %d\n", what, static_cast<long>(result), left);
  };
  void* address = nullptr;
  for (int round = 0; round < 2; ++round) {
    told("malloc", [&] { return cuda_malloc(&address, 4096); });
    told("free", [&] { return cuda_free(address); });
    told("free again", [&] { return cuda_free(address); });
    told("too much", [&] { return cuda_malloc(&address, std::size_t{1} << 50); });
    told("last error", [] { return runtime<int (*)()>("cudaGetLastError")(); });
    told("dlsym", [] { return dlsym(RTLD_DEFAULT, "no_such_symbol") != nullptr; });
    told("dlopen", [] { return dlopen("libcudart.so.13", RTLD_NOW | RTLD_NOLOAD) != nullptr; });
    told("close", [] { return close(12345); });
    told("fork", [&] {
      const pid_t child = fork();
      if (child == 0) _exit(errno);
      int status = 0;
      waitpid(child, &status, 0);
      return WEXITSTATUS(status);
    });
  }
}

/// Many threads at once, each with blocks of its own. What stays: one block of 512 bytes a thread.
void threads() {
  std::vector<std::thread> running;
  for (int t = 0; t < 600; ++t) {
    running.emplace_back([] {
      void* address = nullptr;
      for (int i = 0; i < 20; ++i) {
        cuda_malloc(&address, 4096);
        cuda_free(address);
      }
      cuda_malloc(&address, 512);
    });
  }
  for (std::thread& thread : running) thread.join();
  std::printf("threads %zu\n", running.size());
}

/// 200 children, each with a block; a few end badly. (The parent comes last: CUDA does not survive a fork.)
void children() {
  int ended = 0, killed = 0;
  for (int round = 0; round < 20; ++round) {
    for (int c = 0; c < 10; ++c) {
      std::fflush(stdout);
      if (fork() == 0) {
        void* address = nullptr;
        cuda_malloc(&address, 1000);
        if (c == 3) std::abort();
        _exit(0);
      }
    }
    int status = 0;
    while (wait(&status) > 0) ++(WIFEXITED(status) ? ended : killed);
  }
  std::printf("ended %d, killed %d\n", ended, killed);
  const Block mine(100);
}

/// As a daemon does: all descriptors closed, others opened in their place. stdout is kept as 100.
void closes_all() {
  void* address = nullptr;
  cuda_malloc(&address, 100);
  dup2(STDOUT_FILENO, 100);
  for (int fd = 0; fd < 4096; ++fd)
    if (fd != 100) close(fd);
  char name[] = "/tmp/vramtrack-host-XXXXXX";
  const int file = mkstemp(name);
  unlink(name);
  for (int i = 0; i < 20000; ++i) cuda_malloc(&address, 512);
  dprintf(100, "file %d has %ld bytes\n", file, static_cast<long>(lseek(file, 0, SEEK_END)));
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  if (mode == "exceptions") return exceptions(), 0;
  if (mode == "terminates") return terminates(), 0;
  if (mode == "cancellation") return cancellation(), 0;
  if (mode == "small_stacks") return small_stacks(), 0;
  if (mode == "errors") return errors(), 0;
  if (mode == "threads") return threads(), 0;
  if (mode == "children") return children(), 0;
  if (mode == "closes_all") return closes_all(), 0;
  std::fprintf(stderr, "unknown mode %s\n", mode.c_str());
  return 64;
}
