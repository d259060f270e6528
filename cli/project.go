package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/testmesh/testmesh/agent/pluginstore"
	"github.com/testmesh/testmesh/flow"
	"github.com/testmesh/testmesh/flow/source"
)

// project is the folder that flows belong to, as FindRoot says.
type project struct {
	root *os.Root
	path string // absolute
	dir  string // the working directory below it, slash-separated; "." at the root
	fs   fs.FS
}

func (s *State) project() (*project, error) {
	top := FindRoot(s.Dir)
	root, err := os.OpenRoot(top)
	if err != nil {
		return nil, fmt.Errorf("open the project: %w", err)
	}
	rel, err := filepath.Rel(top, s.Dir)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("find the project: %w", err), root.Close())
	}
	return &project{root: root, path: top, dir: filepath.ToSlash(rel), fs: root.FS()}, nil
}

func (p *project) close() { _ = p.root.Close() } // it was only read

// FindRoot is the project of a folder: the nearest one upward with .testmesh/ or
// plugins.lock, else with .git, else the folder itself.
func FindRoot(dir string) string {
	for _, markers := range [][]string{{".testmesh", pluginstore.LockFile}, {".git"}} {
		for d := dir; ; d = filepath.Dir(d) {
			for _, marker := range markers {
				if info, err := os.Stat(filepath.Join(d, marker)); err == nil && (marker != ".testmesh" || info.IsDir()) {
					return d
				}
			}
			if d == filepath.Dir(d) {
				break
			}
		}
	}
	return dir
}

// below turns a path of the command line into one of the project.
func (p *project) below(name string) (string, error) {
	abs := name
	if !filepath.IsAbs(abs) {
		abs = filepath.Join(p.path, filepath.FromSlash(p.dir), name)
	}
	rel, err := filepath.Rel(p.path, abs)
	if err != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return "", usage("run the command in the project that the file belongs to, or make its folder a project with an empty .testmesh/",
			"%s is outside the project %s", name, p.path)
	}
	return filepath.ToSlash(rel), nil
}

// shown is a path of the project as the person in the working directory types it.
func (p *project) shown(name string) string {
	if rel, err := filepath.Rel(filepath.FromSlash(p.dir), filepath.FromSlash(name)); err == nil {
		return filepath.ToSlash(rel)
	}
	return name
}

// source reads a file for excerpts; nil where it cannot be read.
func (p *project) source(name string) []byte {
	data, err := fs.ReadFile(p.fs, name)
	if err != nil {
		return nil
	}
	return data
}

// environment reads environments/NAME.yaml, the nearest one from the working
// directory up to the project's root.
func (p *project) environment(name string) (*flow.Environment, error) {
	if name == "" {
		return nil, nil
	}
	for dir := p.dir; ; dir = path.Dir(dir) {
		file := path.Join(dir, flow.EnvironmentPath(name))
		data, err := fs.ReadFile(p.fs, file)
		if err == nil {
			env, problems := flow.ParseEnvironment(file, data)
			if bad := problems.Errors(); len(bad) > 0 {
				return nil, &problemsError{bad}
			}
			return env, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, usage("", "read environment %s: %w", name, err)
		}
		if dir == "." || dir == "/" {
			return nil, usage(p.environmentHint(name), "there is no environment %q: %s does not exist", name, flow.EnvironmentPath(name))
		}
	}
}

func (p *project) environmentHint(name string) string {
	files, err := fs.Glob(p.fs, "environments/*.yaml")
	if err != nil || len(files) == 0 {
		return "make the file, with env: and services: in it"
	}
	var names []string
	for _, f := range files {
		names = append(names, strings.TrimSuffix(path.Base(f), ".yaml"))
	}
	if hint := source.Suggest(name, names); hint != "" {
		return hint
	}
	return "there are: " + strings.Join(names, ", ")
}

// dotenv reads a file of the command line, which may stand outside the project.
func (s *State) dotenv(name string) ([]flow.Binding, error) {
	full := name
	if !filepath.IsAbs(full) {
		full = filepath.Join(s.Dir, name)
	}
	data, err := os.ReadFile(full)
	if err != nil {
		return nil, usage("", "read %s: %w", name, err)
	}
	list, problems := flow.ParseDotenv(name, data)
	if bad := problems.Errors(); len(bad) > 0 {
		return nil, &problemsError{bad}
	}
	return list, nil
}

// problemsError are definition errors: they are rendered with their excerpts.
type problemsError struct{ problems source.Problems }

func (e *problemsError) Error() string { return e.problems.Error() }

// secrets gives secret.NAME its value: --secret-file, the environment's
// sources, TESTMESH_SECRET_NAME.
type secrets struct {
	state *State
	file  map[string]string
	env   *flow.Environment
	root  string
}

// commandTimeout bounds a command that prints a secret.
const commandTimeout = 30 * time.Second

func (s *secrets) known(name string) bool {
	if _, ok := s.file[name]; ok {
		return true
	}
	if s.env != nil {
		for _, src := range s.env.Secrets {
			if src.Name == name {
				return true
			}
		}
	}
	_, ok := s.state.LookupEnv("TESTMESH_SECRET_" + name)
	return ok
}

// given is the value of a secret that no source has to be asked for.
func (s *secrets) given(name string) (string, bool) {
	if v, ok := s.file[name]; ok {
		return v, true
	}
	if s.env != nil {
		for _, src := range s.env.Secrets {
			if src.Name == name {
				return "", false
			}
		}
	}
	return s.state.LookupEnv("TESTMESH_SECRET_" + name)
}

func (s *secrets) value(name string) (string, error) {
	if v, ok := s.file[name]; ok {
		return v, nil
	}
	if s.env != nil {
		for _, src := range s.env.Secrets {
			if src.Name == name {
				return s.fetch(src)
			}
		}
	}
	if v, ok := s.state.LookupEnv("TESTMESH_SECRET_" + name); ok {
		return v, nil
	}
	return "", fmt.Errorf("secret %s is not known", name)
}

func (s *secrets) fetch(src flow.SecretSource) (string, error) {
	switch src.From {
	case "env":
		v, ok := s.state.LookupEnv(src.Env)
		if !ok {
			return "", fmt.Errorf("secret %s: the environment variable %s is not set", src.Name, src.Env)
		}
		return v, nil
	case "file":
		data, err := os.ReadFile(filepath.Join(s.root, filepath.FromSlash(src.File)))
		if err != nil {
			return "", fmt.Errorf("secret %s: %w", src.Name, err)
		}
		return strings.TrimRight(string(data), "\r\n"), nil
	case "command":
		ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
		defer cancel()
		cmd := exec.CommandContext(ctx, src.Command[0], src.Command[1:]...)
		cmd.Dir, cmd.WaitDelay = s.root, time.Second
		out, err := cmd.Output()
		if err != nil {
			return "", fmt.Errorf("secret %s: run %s: %w", src.Name, src.Command[0], err)
		}
		return strings.TrimRight(string(out), "\r\n"), nil
	}
	return "", fmt.Errorf("secret %s: source %q is not known", src.Name, src.From)
}
