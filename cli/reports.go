package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/testmesh/testmesh/flow/report/allure"
	"github.com/testmesh/testmesh/flow/report/csv"
	"github.com/testmesh/testmesh/flow/report/ctrf"
	"github.com/testmesh/testmesh/flow/report/github"
	"github.com/testmesh/testmesh/flow/report/html"
	"github.com/testmesh/testmesh/flow/report/json"
	"github.com/testmesh/testmesh/flow/report/jsonl"
	"github.com/testmesh/testmesh/flow/report/junit"
	"github.com/testmesh/testmesh/flow/report/tap"
	"github.com/testmesh/testmesh/flow/report/template"
	"github.com/testmesh/testmesh/flow/source"
)

// reportKinds are the reports of --report, in the order of the help.
var reportKinds = []string{"human", "jsonl", "json", "junit", "tap", "ctrf", "github", "csv", "html", "allure"}

// output is where a report goes: it appears at its path only when it is whole.
type output interface {
	// finish puts it in its place, or with keep false leaves nothing behind.
	finish(keep bool) error
}

// addReport opens one --report KIND[=PATH]; without a path it goes to stdout.
func (s *sink) addReport(spec string, state *State, human func(io.Writer) eventWriter) error {
	kind, path, toFile := reportSpec(spec)
	if !slices.Contains(reportKinds, kind) && s.templates[kind] == nil {
		return usage("the kinds are "+strings.Join(reportKinds, ", ")+", or a template: a file that ends in .report.yaml", "there is no report %q", kind)
	}
	if toFile && path == "" {
		return usage("", "--report %s= has no path", kind)
	}
	if kind == "allure" {
		return s.addAllure(path, state)
	}
	var page html.Page
	if kind == "html" {
		var err error
		if page, err = state.recordedPage(); err != nil {
			return err
		}
	}
	var out io.Writer = state.Stdout
	if toFile {
		f, err := openReport(path, state.Dir)
		if err != nil {
			return err
		}
		s.outputs = append(s.outputs, f)
		out = f.tmp
	}
	if t := s.templates[kind]; t != nil {
		s.add(t.New(out, template.Options{Now: time.Now}))
		return nil
	}
	if kind == "html" {
		s.add(html.New(out, page))
		return nil
	}
	s.add(s.report(kind, out, human))
	return nil
}

// templateEnds are how the name of a template ends.
var templateEnds = [...]string{".report.yaml", ".report.yml"}

func isTemplate(name string) bool {
	return slices.ContainsFunc(templateEnds[:], func(end string) bool { return strings.HasSuffix(name, end) })
}

// reportSpec takes KIND=PATH apart, where KIND may be the path of a template.
func reportSpec(spec string) (kind, path string, toFile bool) {
	kind, path, toFile = strings.Cut(spec, "=")
	if slices.Contains(reportKinds, kind) {
		return kind, path, toFile
	}
	for _, end := range templateEnds {
		if at := strings.Index(spec, end+"="); at >= 0 {
			return spec[:at+len(end)], spec[at+len(end)+1:], true
		}
		if strings.HasSuffix(spec, end) {
			return spec, "", false
		}
	}
	return kind, path, toFile
}

// templates reads the templates that reports are made with, and says what is
// wrong with them before anything runs.
func (s *State) templates(p *project, specs []string) (map[string]*template.Template, error) {
	out := map[string]*template.Template{}
	var problems source.Problems
	for _, spec := range specs {
		kind, _, _ := reportSpec(spec)
		if _, read := out[kind]; read || !isTemplate(kind) {
			continue
		}
		data, err := s.readTemplate(kind)
		if err != nil {
			return nil, err
		}
		name := kind
		if below, err := p.below(kind); err == nil {
			name = below // so that the lines around a problem can be shown
		}
		t, found := template.Parse(name, data)
		problems = append(problems, found.Errors()...)
		out[kind] = t
	}
	if len(problems) > 0 {
		return nil, &problemsError{problems}
	}
	return out, nil
}

func (s *State) readTemplate(name string) ([]byte, error) {
	full := name
	if !filepath.IsAbs(full) {
		full = filepath.Join(s.Dir, name)
	}
	info, err := os.Stat(full)
	switch {
	case err != nil:
		return nil, usage("", "read the report template: %w", err)
	case !info.Mode().IsRegular():
		return nil, usage("", "the report template %s is no file", name)
	case info.Size() > source.MaxSize:
		return nil, usage("", "the report template %s is over %d MiB", name, source.MaxSize>>20)
	}
	data, err := os.ReadFile(full)
	if err != nil {
		return nil, usage("", "read the report template: %w", err)
	}
	return data, nil
}

// report makes the writer of a kind that is one file.
func (s *sink) report(kind string, out io.Writer, human func(io.Writer) eventWriter) eventWriter {
	switch kind {
	case "jsonl":
		return jsonl.New(out)
	case "json":
		return json.New(out)
	case "junit":
		return junit.New(out, junit.Options{Attachment: s.file})
	case "tap":
		return tap.New(out)
	case "ctrf":
		return ctrf.New(out, ctrf.Options{Version: s.version, Attachment: s.file})
	case "github":
		return github.New(out, github.Options{Place: s.place})
	case "csv":
		return csv.New(out)
	}
	return human(out)
}

// addAllure opens a folder of results.
func (s *sink) addAllure(path string, state *State) error {
	if path == "" {
		return usage("write --report allure=DIR", "the report allure is a folder, and needs a path")
	}
	f, err := openFolder(path, state.Dir)
	if err != nil {
		return err
	}
	s.outputs = append(s.outputs, f)
	s.add(allure.New(allure.Options{Create: f.create, Version: s.version, Executor: state.executor()}))
	return nil
}

// executor is the CI build that the command is part of, as its environment says
// it; nil: it is of none that is known.
func (s *State) executor() *allure.Executor {
	order := func(name string) int64 {
		n, err := strconv.ParseInt(s.env(name), 10, 64)
		if err != nil {
			return 0
		}
		return n
	}
	switch {
	case s.env("GITHUB_ACTIONS") == "true":
		build := s.env("GITHUB_SERVER_URL") + "/" + s.env("GITHUB_REPOSITORY") + "/actions/runs/" + s.env("GITHUB_RUN_ID")
		return &allure.Executor{
			Name: "GitHub Actions", Type: "github", URL: s.env("GITHUB_SERVER_URL"),
			BuildName: s.env("GITHUB_WORKFLOW") + " #" + s.env("GITHUB_RUN_NUMBER"), BuildURL: build, BuildOrder: order("GITHUB_RUN_NUMBER"),
		}
	case s.env("GITLAB_CI") == "true":
		return &allure.Executor{
			Name: "GitLab CI", Type: "gitlab", URL: s.env("CI_SERVER_URL"),
			BuildName: s.env("CI_JOB_NAME") + " #" + s.env("CI_PIPELINE_IID"), BuildURL: s.env("CI_JOB_URL"), BuildOrder: order("CI_PIPELINE_IID"),
		}
	case s.env("JENKINS_URL") != "":
		return &allure.Executor{
			Name: "Jenkins", Type: "jenkins", URL: s.env("JENKINS_URL"),
			BuildName: s.env("JOB_NAME") + " #" + s.env("BUILD_NUMBER"), BuildURL: s.env("BUILD_URL"), BuildOrder: order("BUILD_NUMBER"),
		}
	}
	return nil
}

// annotates tells whether the report for GitHub is added unasked: there, unless
// it was asked for or refused.
func (s *State) annotates(f *runFlags) bool {
	asked := func(spec string) bool { return spec == "github" || strings.HasPrefix(spec, "github=") }
	return s.env("GITHUB_ACTIONS") == "true" && !f.noAutoReport && !slices.ContainsFunc(f.reports, asked)
}

// repositoryPath is where GitHub has a file of the project: below its checkout.
func (s *State) repositoryPath(p *project) func(file string) string {
	root := s.env("GITHUB_WORKSPACE")
	return func(file string) string {
		rel, err := filepath.Rel(root, filepath.Join(p.path, filepath.FromSlash(file)))
		if root == "" || err != nil || !filepath.IsLocal(rel) {
			return p.shown(file)
		}
		return filepath.ToSlash(rel)
	}
}

// reportFile is a report of one file.
type reportFile struct {
	path string
	tmp  *os.File
}

func openReport(path, dir string) (*reportFile, error) {
	path, err := reportPath(path, dir)
	if err != nil {
		return nil, err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return nil, usage("", "open the report: %w", err)
	}
	return &reportFile{path: path, tmp: tmp}, nil
}

// reportPath is an absolute path whose folder is there.
func reportPath(path, dir string) (string, error) {
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", usage("", "make the folder of the report: %w", err)
	}
	return path, nil
}

// finish implements output.
func (f *reportFile) finish(keep bool) error {
	errs := []error{f.tmp.Close()}
	if keep {
		errs = append(errs, os.Chmod(f.tmp.Name(), 0o644), os.Rename(f.tmp.Name(), f.path))
	} else {
		errs = append(errs, os.Remove(f.tmp.Name()))
	}
	return errors.Join(errs...)
}

// reportFolder is a report of many files.
type reportFolder struct{ path, tmp string }

func openFolder(path, dir string) (*reportFolder, error) {
	path, err := reportPath(path, dir)
	if err != nil {
		return nil, err
	}
	beside := filepath.Dir(path)
	if info, err := os.Stat(path); err == nil {
		if !info.IsDir() {
			return nil, usage("", "the report needs a folder, and %s is a file", path)
		}
		beside = path // which may be another file system, as a volume is
	}
	tmp, err := os.MkdirTemp(beside, "."+filepath.Base(path)+".*")
	if err != nil {
		return nil, usage("", "open the report: %w", err)
	}
	return &reportFolder{path: path, tmp: tmp}, nil
}

// create makes a file of the folder.
func (f *reportFolder) create(name string) (io.WriteCloser, error) {
	if name != filepath.Base(name) || !filepath.IsLocal(name) {
		return nil, fmt.Errorf("%q is no name of a file", name)
	}
	return os.OpenFile(filepath.Join(f.tmp, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
}

// finish implements output. Where the folder is there already, its files stay and
// those of the report are added: that is how results of several commands come
// together, and how the history of an earlier report does.
func (f *reportFolder) finish(keep bool) error {
	if !keep {
		return os.RemoveAll(f.tmp)
	}
	if err := os.Chmod(f.tmp, 0o755); err != nil {
		return err
	}
	if _, err := os.Stat(f.path); errors.Is(err, fs.ErrNotExist) {
		return os.Rename(f.tmp, f.path)
	}
	entries, err := os.ReadDir(f.tmp)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.Rename(filepath.Join(f.tmp, e.Name()), filepath.Join(f.path, e.Name())); err != nil {
			return err
		}
	}
	return os.Remove(f.tmp)
}

// close puts the finished reports in their places, or leaves nothing behind.
func (s *sink) close(keep bool) error {
	var errs []error
	for _, o := range s.outputs {
		errs = append(errs, o.finish(keep))
	}
	s.outputs = nil
	return errors.Join(errs...)
}
