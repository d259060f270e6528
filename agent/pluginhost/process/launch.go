package process

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"

	"github.com/testmesh/testmesh/sdk/plugin"
	"github.com/testmesh/testmesh/sdk/plugin/wire"
)

// open starts the nth process of a plugin and gives it once it may be called.
func (s *slot) open(n int) (*instance, *plugin.Error) {
	p := wordsOf(s.program)
	dir, err := s.pool.runtime.process(s.pool.cfg.Dir, fmt.Sprintf("%s-%d", p.Name, n))
	if err != nil {
		return nil, p.here(err.Error())
	}
	i, fault := s.prepare(dir)
	if fault == nil {
		fault = i.connect()
	}
	if fault != nil {
		_ = removeAll(dir)
		return nil, fault
	}
	return i, nil
}

// prepare makes everything that the process needs before it is started.
func (s *slot) prepare(dir string) (*instance, *plugin.Error) {
	p := wordsOf(s.program)
	cmd := command{dir: dir, work: filepath.Join(dir, "package"), memory: s.memory(), env: s.environment(dir)}
	switch {
	case p.Dir == "":
	case p.Unverified:
		cmd.work = p.Dir
	default:
		if fault := private(p.Program, cmd.work); fault != nil {
			return nil, fault
		}
	}
	var fault *plugin.Error
	if cmd.argv, fault = argv(p.Program, cmd.work); fault != nil {
		return nil, fault
	}
	i := newInstance(s, dir)
	i.child = newChild(cmd, &s.pool.caps, i.words, s.pool.runtime.guard)
	return i, nil
}

// passed are the variables of the host that every plugin gets: how programs are
// found, how text and times are shown, whom TLS trusts. What may hold a password
// (a proxy's address) is passed where the plugin's manifest names it. The last is
// for Go programs that were built to be measured, as our own are in their tests.
var passed = []string{"PATH", "TZ", "LANG", "LC_ALL", "LC_CTYPE", "SSL_CERT_FILE", "SSL_CERT_DIR", "GOCOVERDIR"}

// onWindows does not start a program without them.
var onWindows = []string{"SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "PATHEXT", "COMSPEC"}

// environment is what a process gets beside go-plugin's own variables.
func (s *slot) environment(dir string) []string {
	tmp := filepath.Join(dir, "tmp")
	out := []string{marker(dir), "TMPDIR=" + tmp, "TMP=" + tmp, "TEMP=" + tmp, "HOME=" + tmp}
	names := slices.Concat(passed, s.program.Env)
	if runtime.GOOS == "windows" {
		names = append(names, onWindows...)
	}
	for _, variable := range s.pool.cfg.Environ {
		name, _, _ := strings.Cut(variable, "=")
		if slices.Contains(names, name) || runtime.GOOS == "windows" && slices.Contains(names, strings.ToUpper(name)) {
			out = append(out, variable) // the last of a name counts
		}
	}
	return out
}

// connect starts the process, shakes hands, and asks what it is.
func (i *instance) connect() *plugin.Error {
	limits := i.s.pool.cfg.Limits
	i.client = goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig:  wire.Handshake(),
		VersionedPlugins: map[int]goplugin.PluginSet{wire.Protocol: {wire.Name: &wire.GRPC{}}},
		RunnerFunc: func(_ hclog.Logger, cmd *exec.Cmd, socket string) (runner.Runner, error) {
			i.child.env = append(i.child.env, cmd.Env...)
			i.child.socket = socket
			return i.child, nil
		},
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		AutoMTLS:         true,
		SkipHostEnv:      true,
		StartTimeout:     limits.StartTimeout,
		UnixSocketConfig: &goplugin.UnixSocketConfig{TempDir: filepath.Dir(i.dir)},
		SyncStdout:       &splitter{to: i.words},
		SyncStderr:       &splitter{to: i.words},
		Logger:           hclog.NewNullLogger(),
	})
	stop := context.AfterFunc(i.s.pool.ctx, func() { _ = i.child.Kill(context.Background()) })
	defer stop()
	_, err := i.client.Start()
	var fault *plugin.Error
	if err != nil {
		i.abort()
		fault = i.startFault(err)
	} else if fault = i.greet(); fault != nil {
		i.abort()
	}
	if fault != nil && i.s.pool.ctx.Err() != nil {
		return i.s.afterClose()
	}
	return fault
}

// abort ends a process that did not come up.
func (i *instance) abort() {
	_ = i.child.Kill(context.Background())
	stuck := time.NewTimer(killIn)
	defer stuck.Stop()
	if i.child.started() {
		select {
		case <-i.child.done:
		case <-stuck.C: // go-plugin would wait for it
			i.couldNotEnd()
			return
		}
	}
	i.client.Kill()
	_ = os.RemoveAll(i.child.socket)
}

// startFault words why a process did not come up.
func (i *instance) startFault(err error) *plugin.Error {
	p, c := wordsOf(i.s.program), i.child
	if !c.started() {
		return p.notStarted(c.argv[0], err)
	}
	first := c.firstLine()
	var foreign *foreignAddress
	switch {
	case errors.As(err, &foreign):
		return i.withWords(errorOf(plugin.BlamePlugin, "only a socket of its own folder, or this machine's loopback, is one of a plugin",
			"plugin %s wants to be called at %s", p.Name, foreign.address))
	case first != "" && !looksLikeHandshake(first):
		return i.withWords(errorOf(plugin.BlamePlugin, "a plugin prints its handshake first; what it has to say goes to standard error",
			"plugin %s printed %s where its handshake belongs", p.Name, quote(first)))
	case first != "":
		return i.withWords(p.handshake(strings.Split(first, "|"), err))
	case c.endedItself():
		return i.ended("ended before its handshake")
	}
	return i.withWords(errorOf(plugin.BlamePlugin, "a plugin shakes hands first and does what takes long afterwards",
		"plugin %s did not shake hands within %s of its start", p.Name, durationText(i.s.pool.cfg.Limits.StartTimeout)))
}

// notStarted words what the system said.
func (p program) notStarted(path string, err error) *plugin.Error {
	switch {
	case errors.Is(err, syscall.ENOEXEC):
		return errorOf(plugin.BlameAgent, "install the plugin for this machine, or ask its author for one",
			"plugin %s cannot be started: its program is not for %s/%s", p.Name, runtime.GOOS, runtime.GOARCH)
	case errors.Is(err, fs.ErrNotExist):
		return errorOf(plugin.BlameAgent, "where the file is there, what it needs to start is not: its interpreter or loader",
			"plugin %s cannot be started: %s was not found", p.Name, path)
	case errors.Is(err, fs.ErrPermission):
		return errorOf(plugin.BlameAgent, "the file must be executable, and the temporary folder must not be mounted noexec: set TMPDIR to another",
			"plugin %s cannot be started: %s may not be executed", p.Name, path)
	}
	return p.here(err.Error())
}

// handshake words one that is not ours.
func (p program) handshake(parts []string, err error) *plugin.Error {
	const other = "install a version of the plugin for this testmesh, or another testmesh"
	switch {
	case parts[0] != strconv.Itoa(goplugin.CoreProtocolVersion):
		return errorOf(plugin.BlamePlugin, other, "plugin %s speaks version %s of the handshake, and this testmesh speaks %d",
			p.Name, clipText(parts[0]), goplugin.CoreProtocolVersion)
	case parts[1] != strconv.Itoa(wire.Protocol):
		return errorOf(plugin.BlamePlugin, other, "plugin %s speaks version %s of the plugin protocol, and this testmesh speaks %d",
			p.Name, clipText(parts[1]), wire.Protocol)
	case len(parts) < 5 || parts[4] != string(goplugin.ProtocolGRPC):
		return errorOf(plugin.BlamePlugin, other, "plugin %s does not speak gRPC", p.Name)
	}
	return errorOf(plugin.BlamePlugin, reportIt, "the handshake of plugin %s is not understood: %s", p.Name, clipText(err.Error()))
}

// greet connects, and asks the process whether it is what was installed.
func (i *instance) greet() *plugin.Error {
	p := wordsOf(i.s.program)
	ctx, release := context.WithTimeout(i.s.pool.ctx, i.s.pool.cfg.Limits.StartTimeout)
	defer release()
	// go-plugin waits without a bound for a socket that takes no handshake.
	stop := context.AfterFunc(ctx, func() { _ = i.child.Kill(context.Background()) })
	defer stop()
	silent := func(err error) *plugin.Error {
		select {
		case <-i.child.done:
			if i.child.endedItself() {
				return i.ended("ended right after its handshake")
			}
		default:
		}
		return i.withWords(errorOf(plugin.BlamePlugin, reportIt, "plugin %s shook hands and cannot be called: %s", p.Name, clipText(plain(err))))
	}
	protocol, err := i.client.Client()
	if err != nil {
		return silent(err)
	}
	raw, err := protocol.Dispense(wire.Name)
	if err != nil {
		return silent(err)
	}
	i.wire = raw.(*wire.Client)
	d, err := i.wire.Describe(ctx)
	if err != nil {
		i.awaitEnd()
		return silent(err)
	}
	if what := differs(i.s.program.Name, d, i.s.program.Descriptor); what != "" {
		return errorOf(plugin.BlamePlugin, again, "plugin %s is not what was installed: %s", p.Name, what)
	}
	host := i.s.pool.cfg.Host
	host.TempDir = filepath.Join(i.dir, "tmp")
	if err := i.wire.Configure(ctx, host); err != nil && status.Code(errors.Unwrap(err)) != codes.Unimplemented {
		i.awaitEnd()
		return silent(err)
	}
	return nil
}

// plain is an error without gRPC's frame around it.
func plain(err error) string {
	var lost *wire.Lost
	if errors.As(err, &lost) {
		err = lost.Err
	}
	if st, ok := status.FromError(err); ok && st.Code() != codes.OK {
		return st.Code().String() + ": " + st.Message()
	}
	return err.Error()
}

// differs says what a plugin says of itself that it did not say at install.
func differs(name string, got, want *testmeshv1.Descriptor) string {
	switch {
	case got.GetName() != name:
		return fmt.Sprintf("it says that its name is %q", clipText(got.GetName()))
	case want == nil || proto.Equal(known(got), known(want)):
		return ""
	case got.GetVersion() != want.GetVersion():
		return fmt.Sprintf("it says that its version is %q, and %q is locked", clipText(got.GetVersion()), want.GetVersion())
	}
	offers := func(d *testmeshv1.Descriptor) (names []string) {
		for _, a := range d.GetActions() {
			names = append(names, a.GetName())
		}
		return names
	}
	for _, action := range offers(want) {
		if !slices.Contains(offers(got), action) {
			return "it has no action " + action
		}
	}
	for _, action := range offers(got) {
		if !slices.Contains(offers(want), action) {
			return "it has another action, " + clipText(action)
		}
	}
	return "it describes what it can do in another way than at install"
}

// known is a descriptor without what only a newer TestMesh could read: the two
// may have come by different ways.
func known(d *testmeshv1.Descriptor) *testmeshv1.Descriptor {
	text, err := proto.Marshal(d)
	if err != nil {
		return d
	}
	var out testmeshv1.Descriptor
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(text, &out); err != nil {
		return d
	}
	return &out
}

// quote shows a line of a plugin, cut short.
func quote(line string) string {
	const most = 120
	if len(line) > most {
		line = strings.ToValidUTF8(line[:most], "") + "…"
	}
	return strconv.Quote(line)
}
