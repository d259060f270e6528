package cli

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/testmesh/testmesh/flow/source"
)

const (
	// completeTime bounds what a person waits for after the tab key; what was
	// found by then is offered.
	completeTime = 200 * time.Millisecond
	// maxCompletions bounds what a shell is given: nobody reads more.
	maxCompletions = 500
)

type completion = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective)

// completeRun lets the shell complete paths of flows, tags, suites,
// environments and reports.
func completeRun(cmd *cobra.Command, s *State) {
	cmd.ValidArgsFunction = s.completion(func(p *project, typed string) []string { return p.completePaths(typed) })
	flag := func(name string, f completion) {
		if cmd.Flags().Lookup(name) != nil {
			// Fails only for a flag that does not exist or has one already.
			_ = cmd.RegisterFlagCompletionFunc(name, f)
		}
	}
	fixed := func(words ...string) completion {
		return func(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
			var out []string
			for _, w := range words {
				if strings.HasPrefix(w, typed) {
					out = append(out, w)
				}
			}
			return out, cobra.ShellCompDirectiveNoFileComp
		}
	}
	tags := s.completion(func(p *project, typed string) []string { return p.completeTags(typed) })
	flag("tag", tags)
	flag("exclude", tags)
	flag("step-tag", tags)
	flag("suite", s.completion(func(p *project, _ string) []string { return p.headers("suite") }))
	flag("env", s.completion(func(p *project, _ string) []string { return p.environments() }))
	flag("format", fixed("auto", "list", "line", "dot", "quiet", "verbose", "jsonl"))
	flag("report", fixed(reportKinds...))
	for _, name := range []string{"shard", "seed", "iterations", "repeat", "delay", "timeout", "parallel", "var", "from", "to", "break", "flow", "row"} {
		flag(name, fixed())
	}
}

// completion opens the project for list and keeps what fits.
func (s *State) completion(list func(p *project, typed string) []string) completion {
	return func(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		const directive = cobra.ShellCompDirectiveNoFileComp
		p, err := s.project()
		if err != nil {
			return nil, directive | cobra.ShellCompDirectiveError
		}
		defer p.close()
		var out []string
		for _, word := range list(p, typed) {
			// A shell splits what it is given at blanks and colons of its own.
			if strings.HasPrefix(word, typed) && !strings.ContainsAny(word, "\n\t") {
				out = append(out, word)
			}
		}
		if len(out) > maxCompletions {
			out = out[:maxCompletions]
		}
		if len(out) == 1 && strings.HasSuffix(out[0], "/") {
			return out, directive | cobra.ShellCompDirectiveNoSpace
		}
		return out, directive
	}
}

// completePaths lists what stands in the folder that is typed: folders, and
// files that can be flows.
func (p *project) completePaths(typed string) []string {
	dir, _ := path.Split(typed)
	below, err := p.below("./" + dir)
	if err != nil || path.IsAbs(typed) {
		return nil
	}
	entries, err := fs.ReadDir(p.fs, below)
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		name := e.Name()
		switch {
		case strings.HasPrefix(name, ".") || name == "node_modules":
		case e.IsDir():
			out = append(out, dir+name+"/")
		case yamlName(name) && name != "folder.yaml" && name != "folder.yml":
			out = append(out, dir+name)
		}
	}
	return out
}

func yamlName(name string) bool {
	return strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml")
}

// completeTags completes the last name of a tag expression: in "smoke+!fl" it
// is fl.
func (p *project) completeTags(typed string) []string {
	at := strings.LastIndexAny(typed, "+,!()&| ") + 1
	var out []string
	for _, tag := range p.headers("tags") {
		out = append(out, typed[:at]+tag)
	}
	return out
}

func (p *project) environments() []string {
	files, err := fs.Glob(p.fs, "environments/*.yaml")
	if err != nil {
		return nil
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(path.Base(f), ".yaml")
	}
	return files
}

var errCompleteTime = errors.New("completion took too long")

// headers collects a key of the project's flows and folders, a text or a list
// of texts, for as long as completion may take.
func (p *project) headers(key string) []string {
	deadline := time.Now().Add(completeTime)
	found := map[string]bool{}
	// What ended the walk, a folder that cannot be read or the time, leaves what
	// was found before: completion is a convenience.
	_ = fs.WalkDir(p.fs, ".", func(name string, e fs.DirEntry, err error) error {
		switch {
		case time.Now().After(deadline):
			return errCompleteTime
		case err != nil:
			return nil
		case e.IsDir():
			if name != "." && (strings.HasPrefix(e.Name(), ".") || e.Name() == "node_modules") {
				return fs.SkipDir
			}
			return nil
		case !yamlName(name):
			return nil
		}
		data, err := fs.ReadFile(p.fs, name)
		if err != nil || !strings.Contains(string(data), key) {
			return nil
		}
		docs, _ := source.Load(name, data)
		for _, doc := range docs {
			take(doc, key, found)
			take(doc.Get("flow"), key, found)
		}
		return nil
	})
	out := make([]string, 0, len(found))
	for word := range found {
		out = append(out, word)
	}
	slices.Sort(out)
	return out
}

func take(doc *source.Node, key string, found map[string]bool) {
	switch v := doc.Get(key).Plain().(type) {
	case string:
		found[v] = true
	case []any:
		for _, item := range v {
			if text, ok := item.(string); ok {
				found[text] = true
			}
		}
	}
}
