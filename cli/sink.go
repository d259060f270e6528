package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/report/template"
)

// sink hands every event to every report, and stores artifacts.
type sink struct {
	writers   []eventWriter
	outputs   []output
	templates map[string]*template.Template // by their paths as typed
	wants     event.Wants
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
	var errs []error
	for _, w := range s.writers {
		if err := w.Write(e); err != nil { // the others are written all the same
			errs = append(errs, fmt.Errorf("write report: %w", err))
		}
	}
	return errors.Join(errs...)
}

// Wants implements engine.Sink.
func (s *sink) Wants() event.Wants { return s.wants }

func (s *sink) add(w eventWriter) {
	s.writers = append(s.writers, w)
	s.wants = s.wants.Or(w.Wants())
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
