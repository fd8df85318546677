#include "nccl_ranks.hpp"

#include <cuda.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

[[noreturn]] void leave(const std::string& text, int pipe) {
  const ssize_t written = write(pipe, text.data(), text.size());
  _exit(written == static_cast<ssize_t>(text.size()) && text.empty() ? 0 : 1);
}
int g_pipe = -1;

[[noreturn]] void run_rank(Rank rank, const std::function<void(Rank&)>& body, bool join) {
  alarm(300);
  rank.check(cuInit(0) == CUDA_SUCCESS, "cuInit");
  const cudaError_t device = cudaSetDevice(rank.rank);
  rank.check(device == cudaSuccess, std::string("cudaSetDevice: ") + cudaGetErrorString(device));
  rank.check(cudaStreamCreateWithFlags(&rank.stream, cudaStreamNonBlocking) == cudaSuccess, "stream");
  if (join) {
    rank.check(ncclCommInitRank(&rank.comm, rank.ranks, rank.id, rank.rank) == 0, "ncclCommInitRank");
  }
  body(rank);
  if (join && rank.comm != nullptr) rank.check(ncclCommDestroy(rank.comm) == 0, "ncclCommDestroy");
  leave("", g_pipe);
}

}  // namespace

void Rank::check(bool good, const std::string& what) const {
  if (!good) leave("rank " + std::to_string(rank) + ": " + what + "\n", g_pipe);
}

std::string run_ranks(int ranks, const std::function<void(Rank&)>& body, bool join) {
  setenv("VRAMTRACK_SIM", "8x2GiB", 1);
  Rank rank;
  rank.ranks = ranks;
  if (ncclGetUniqueId(&rank.id) != 0) return "ncclGetUniqueId";
  int ends[2];
  if (pipe(ends) != 0) return "pipe";
  g_pipe = ends[1];
  std::vector<pid_t> children;
  for (rank.rank = 0; rank.rank < ranks; ++rank.rank) {
    const pid_t child = fork();
    if (child == 0) run_rank(rank, body, join);
    children.push_back(child);
  }
  close(ends[1]);
  std::string failed;
  char text[512];
  for (ssize_t length; (length = read(ends[0], text, sizeof text)) > 0;)
    failed.append(text, static_cast<size_t>(length));
  close(ends[0]);
  for (const pid_t child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL) {
      failed += "pid " + std::to_string(child) + ": signal " + std::to_string(WTERMSIG(status)) + "\n";
    }
  }
  return failed;
}

DeviceBytes::DeviceBytes(std::size_t size) : bytes(size) { cudaMalloc(reinterpret_cast<void**>(&memory), size + 1); }
DeviceBytes::DeviceBytes(const std::vector<char>& content) : DeviceBytes(content.size()) {
  cudaMemcpy(memory, content.data(), bytes, cudaMemcpyHostToDevice);
}
DeviceBytes::~DeviceBytes() { cudaFree(memory); }
std::vector<char> DeviceBytes::read(cudaStream_t stream) const {
  std::vector<char> content(bytes);
  cudaMemcpyAsync(content.data(), memory, bytes, cudaMemcpyDeviceToHost, stream);
  cudaStreamSynchronize(stream);
  return content;
}
