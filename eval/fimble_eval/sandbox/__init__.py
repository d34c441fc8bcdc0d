"""Running programs that a model wrote, without letting them near anything.

What holds: a program gets no network (a network namespace of its own), an empty environment, a
file tree that is read-only but for one small folder in memory, with the user's home folder and
`/tmp` hidden, limits on time, memory, processes, file size and output, and no privileges. All
that it starts dies with it, even what has left its process group: it is alone in a process
namespace. Where the system gives no namespaces, nothing is run.

What does not hold, so do not run here what somebody wrote to break out:
- It shares the kernel. A hole in the kernel is a hole in this.
- It can read what the user can read outside of the home folder and `/tmp`; it cannot send it
  anywhere, but a verdict is one bit that gets out.
- The memory limit is a process's; all together may use it as often as they may be many.
- It uses the processor, and so it can slow down what runs beside it.
- A program that knows how it is judged can lie about having passed; see `Program.success_code`.
"""
