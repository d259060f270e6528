// Package process runs plugins as processes of their own, started on first use
// by hashicorp/go-plugin and shared by every run, and keeps what they do wrong to
// themselves. It never interprets configs or results, never makes a call a second
// time, and never starts what it has not checked.
//
// # What is started
//
// The files of a package are copied into a private directory (0700) and hashed
// on the way; the copy is started. A byte that is not what the lock file says, a
// link, a missing file: the plugin is not started, and the machine is to blame.
// There is no moment between check and start, because what was read is what was
// written. Not covered: an interpreter that the command names by an absolute
// path (/usr/bin/node), and an author's own build (Program.Unverified). A
// built-in is our own executable; on Linux by /proc/self/exe, which is the very
// file that runs.
//
// A plugin gets a few variables of the host's environment (passed) and those that
// its manifest names, an empty standard input, a working directory and a
// temporary directory of its own, and mutual TLS over a socket in the private
// directory. An address elsewhere is refused.
//
// # What is left of it
//
// Nothing, three seconds after Close or after kill -9 of the host:
//
//	                         plugin    what it started   what it daemonized
//	Linux, root              kernel    kernel            kernel
//	Linux, otherwise, Close  host      host              host, by its environment
//	Linux, otherwise, kill   kernel    guardian          guardian, by its environment
//	other Unix, Close        host      host, by group    –
//	other Unix, kill         SDK       –                 –
//	Windows, Close           host      –                 –
//	Windows, kill            –         –                 –
//
// As root on Linux, unless a container forbids it, a plugin is the first process
// of a PID namespace and has a parent-death signal: the kernel ends the whole
// namespace with it, and it with its host. Elsewhere on Linux the plugin alone has
// that signal; what it daemonized is found by a variable that every process
// inherits, which one that starts with another environment has not. A guardian, a
// small shell script that waits for the end of its host, does that where the host
// cannot any more, and the next host on the machine where there was no guardian.
// SDK means that plugins made with sdk/plugin/serve watch their parent and end by
// themselves.
//
// The host does not make itself a subreaper: it would inherit the orphans of
// every other command of its process, and to wait for them would take the ends of
// others' children from os/exec.
//
// # What it may take
//
// Memory is bounded by a control group where this process may make one below its
// own, else its resident memory and that of its descendants is read five times a
// second, and each process is bounded in what it may ask for (RLIMIT_DATA). The
// address space is not: see dataSlack. Where a group is, tasks are bounded too;
// RLIMIT_NPROC would count everything that the user runs. None of this holds
// outside of Linux.
//
// # What its faults cost
//
// The calls in the process, and what it kept for the runs that used it. They are
// errored, by the plugin's fault, with its last words, in which the secrets of
// every run that used it are masked. The next call starts another process, within
// a budget; a run that had a session hears that it is gone.
package process
