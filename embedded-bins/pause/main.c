// The process that holds a pod's namespaces: it waits for the signal that ends the pod, and, where the containers of a
// pod share one PID namespace, it is the parent that orphans fall to.
#include <signal.h>

int main(void) {
  // The kernel reaps the children of a process that ignores SIGCHLD, inherited ones included.
  signal(SIGCHLD, SIG_IGN);
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  sigaddset(&stop, SIGINT);
  // Process 1 of a PID namespace gets only signals that it handles or, as here, blocks and waits for.
  sigprocmask(SIG_BLOCK, &stop, 0);
  int received;
  return sigwait(&stop, &received);
}
