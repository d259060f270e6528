package cli

import (
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/testmesh/testmesh/flow/archive"
	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/report/html"
	"github.com/testmesh/testmesh/sdk/redact"
)

// addRecord opens a run archive: it appears at its path only when it is whole.
func (s *sink) addRecord(path string, state *State, o archive.Options) error {
	f, err := openReport(path, state.Dir)
	if err != nil {
		return err
	}
	s.outputs = append(s.outputs, f)
	o.Program = state.Version
	s.add(archive.NewWriter(f.tmp, o))
	return nil
}

// Record makes a run archive of events that were recorded. records are the runs as a
// control plane has them, by their ids.
func (s *State) Record(cmd *cobra.Command, file string, records map[string][]byte, events []*event.Event) error {
	out := &sink{version: s.Version}
	if err := out.addRecord(file, s, archive.Options{Record: func(id string) []byte { return records[id] }}); err != nil {
		return err
	}
	for _, e := range events {
		if err := out.Emit(cmd.Context(), e); err != nil {
			return errors.Join(err, out.close(false))
		}
	}
	return out.close(true)
}

// remembered gives secrets as they were, and a masker of all that were given: what is
// kept of the files of flows goes through it at the end.
func remembered(value func(name string) (string, error)) (func(name string) (string, error), *redact.Masker) {
	masker := redact.New()
	return func(name string) (string, error) {
		text, err := value(name)
		if err == nil {
			_ = masker.Add(name, text) // one that cannot be masked the engine refuses, too, and says so
		}
		return text, err
	}, masker
}

// wantsPage says whether a report has the page in it.
func wantsPage(reports []string) bool {
	return slices.ContainsFunc(reports, func(spec string) bool { return spec == "html" || strings.HasPrefix(spec, "html=") })
}

// recordedPage is the page of a recording.
func (s *State) recordedPage() (html.Page, error) {
	var page html.Page
	files, err := s.pageFiles()
	if err != nil {
		return page, err
	}
	for name, to := range map[string]*[]byte{"theme.js": &page.Theme, "recorded/recorded.js": &page.Script, "recorded/recorded.css": &page.Style} {
		if *to, err = fs.ReadFile(files, name); err != nil {
			return page, usage("make build makes one that has it", "this program was built without its page")
		}
	}
	return page, nil
}

func (s *State) pageFiles() (fs.FS, error) {
	if s.Page == nil {
		return nil, usage("make build makes one that has it", "this program has no page")
	}
	files, err := s.Page()
	if err != nil {
		return nil, usage("", "read the page: %w", err)
	}
	return files, nil
}
