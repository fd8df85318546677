// stepper PRELOAD STEPS PROGRAM ARGUMENTS...: runs the program with LD_PRELOAD=PRELOAD up to its first SIGTRAP, then so
// many instructions of that thread, and kills it. Says how many it made: fewer where the second SIGTRAP came before.
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

static int raised(pid_t child) {
  siginfo_t info;
  return ptrace(PTRACE_GETSIGINFO, child, 0, &info) == 0 && info.si_code == SI_TKILL;
}

int main(int count, char** arguments) {
  if (count < 4) return 2;
  const long most = atol(arguments[2]);
  const pid_t child = fork();
  if (child == 0) {
    setenv("LD_PRELOAD", arguments[1], 1);
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    execv(arguments[3], arguments + 3);
    _exit(127);
  }
  int status, marks = 0;
  long steps = 0;
  while (waitpid(child, &status, 0) == child && WIFSTOPPED(status)) {
    int deliver = WSTOPSIG(status);
    if (deliver == SIGTRAP) {
      deliver = 0;
      if (raised(child)) marks++;
    }
    if (marks == 2 || (marks == 1 && steps == most)) break;
    if (marks == 1) steps++;
    if (ptrace(marks == 1 ? PTRACE_SINGLESTEP : PTRACE_CONT, child, 0, deliver) != 0) return 3;
  }
  if (!WIFSTOPPED(status)) return 4;
  kill(child, SIGKILL);
  waitpid(child, &status, 0);
  printf("%ld\n", steps);
  return 0;
}
