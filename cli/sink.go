package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/report/csv"
	"github.com/testmesh/testmesh/flow/report/ctrf"
	"github.com/testmesh/testmesh/flow/report/github"
	"github.com/testmesh/testmesh/flow/report/html"
	"github.com/testmesh/testmesh/flow/report/json"
	"github.com/testmesh/testmesh/flow/report/jsonl"
	"github.com/testmesh/testmesh/flow/report/junit"
	"github.com/testmesh/testmesh/flow/report/tap"
)

// sink hands every event to every report, and stores artifacts.
type sink struct {
	writers   []eventWriter
	files     []*reportFile
	exchanges bool
	version   string // of the program, for reports that name their tool
	// place is the path of a flow's file as the repository has it.
	place func(file string) string

	artifacts string // folder of this batch's artifacts, made with the first
	mu        sync.Mutex
	stored    int
}

// Emit implements engine.Sink.
func (s *sink) Emit(_ context.Context, e *event.Event) error {
	if e.Type == event.TypeStepArtifact {
		if err := s.store(e); err != nil {
			return err
		}
	}
	for _, w := range s.writers {
		if err := w.Write(e); err != nil {
			return fmt.Errorf("write report: %w", err)
		}
	}
	return nil
}

// WantsExchanges implements engine.Sink.
func (s *sink) WantsExchanges() bool { return s.exchanges }

func (s *sink) add(w eventWriter) {
	s.writers = append(s.writers, w)
	s.exchanges = s.exchanges || w.WantsExchanges()
}

// file is where an artifact is stored, below the batch's folder: its name is data
// and must not lead out of it. "": it is not stored.
func (s *sink) file(e *event.Event) string {
	if s.artifacts == "" || e.Artifact.Data == nil {
		return ""
	}
	name := filepath.Base(filepath.Clean("/" + e.Artifact.Name))
	if name == "/" || name == "." {
		name = "artifact"
	}
	// The number of the event keeps two artifacts of one name apart.
	return filepath.Join(s.artifacts, e.RunID, fmt.Sprintf("%d-%s", e.Seq, name))
}

// store writes an artifact.
func (s *sink) store(e *event.Event) error {
	file := s.file(e)
	if file == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("store artifact %q: %w", e.Artifact.Name, err)
	}
	if err := os.WriteFile(file, e.Artifact.Data, 0o644); err != nil {
		return fmt.Errorf("store artifact %q: %w", e.Artifact.Name, err)
	}
	s.mu.Lock()
	s.stored++
	s.mu.Unlock()
	return nil
}

// reportFile is a report that appears at its path only when it is whole.
type reportFile struct {
	path string
	tmp  *os.File
}

// reportKinds are the reports of --report, in the order of the help.
var reportKinds = []string{"human", "jsonl", "json", "junit", "tap", "ctrf", "github", "csv", "html"}

// addReport opens one --report KIND[=PATH]; without a path it goes to stdout.
func (s *sink) addReport(spec string, stdout io.Writer, dir string, human func(io.Writer) eventWriter) error {
	kind, path, toFile := strings.Cut(spec, "=")
	var out io.Writer = stdout
	if toFile {
		if path == "" {
			return usage("", "--report %s= has no path", kind)
		}
		f, err := openReport(path, dir)
		if err != nil {
			return err
		}
		s.files = append(s.files, f)
		out = f.tmp
	}
	switch kind {
	case "human":
		s.add(human(out))
	case "jsonl":
		s.add(jsonl.New(out))
	case "json":
		s.add(json.New(out))
	case "junit":
		s.add(junit.New(out, junit.Options{Attachment: s.file}))
	case "tap":
		s.add(tap.New(out))
	case "ctrf":
		s.add(ctrf.New(out, ctrf.Options{Version: s.version, Attachment: s.file}))
	case "github":
		s.add(github.New(out, github.Options{Place: s.place}))
	case "csv":
		s.add(csv.New(out))
	case "html":
		s.add(html.New(out))
	default:
		return usage("the kinds are "+strings.Join(reportKinds, ", "), "there is no report %q", kind)
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

func openReport(path, dir string) (*reportFile, error) {
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, usage("", "make the folder of the report: %w", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return nil, usage("", "open the report: %w", err)
	}
	return &reportFile{path: path, tmp: tmp}, nil
}

// close puts the finished reports in their places, or leaves nothing behind.
func (s *sink) close(keep bool) error {
	var errs []error
	for _, f := range s.files {
		errs = append(errs, f.tmp.Close())
		if !keep {
			errs = append(errs, os.Remove(f.tmp.Name()))
			continue
		}
		errs = append(errs, os.Chmod(f.tmp.Name(), 0o644), os.Rename(f.tmp.Name(), f.path))
	}
	s.files = nil
	return errors.Join(errs...)
}
