// A library whose function calls back from a frame of LOCALS words. The code has the same length for both sizes.
extern "C" __attribute__((visibility("default"), noinline)) int plugin_call(void (*back)(void*), void* data) {
  volatile long locals[LOCALS];
  locals[0] = 1;
  locals[LOCALS - 1] = 2;
  back(data);
  return static_cast<int>(locals[0] + locals[LOCALS - 1]);
}
