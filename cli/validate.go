package cli

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/testmesh/testmesh/cli/batch"
	"github.com/testmesh/testmesh/flow"
	"github.com/testmesh/testmesh/flow/report/template"
	"github.com/testmesh/testmesh/flow/source"
)

func newValidate(s *State) *cobra.Command {
	f := &runFlags{}
	var allowMissing bool
	var output string
	cmd := &cobra.Command{
		Use:   "validate [PATH ...]",
		Short: "Check flows without running anything",
		Long:  "Check flows without running anything: every key, action, name, expression, file and schema; and templates of reports. Exit code 0 or 2.",
		Example: `  testmesh validate
  testmesh validate flows/ --env staging -o json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if output != "text" && output != "json" {
				return usage("write text or json", "-o %s is not known", output)
			}
			return validate(cmd, s, f, args, allowMissing, output == "json")
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.env, "env", "", "environment: reads environments/NAME.yaml")
	fl.StringVar(&f.envFile, "env-file", "", "dotenv file with values of env")
	fl.StringArrayVar(&f.vars, "var", nil, "value of an input or of env, as NAME=VALUE")
	fl.StringVar(&f.secretFile, "secret-file", "", "dotenv file with values of secret.NAME")
	fl.BoolVar(&allowMissing, "allow-missing-plugins", false, "note actions of plugins that are not installed instead of refusing them")
	fl.StringVarP(&output, "output", "o", "text", "text or json")
	return cmd
}

// finding is a problem as -o json prints it.
type finding struct {
	source.Problem
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
}

func validate(cmd *cobra.Command, s *State, f *runFlags, args []string, allowMissing, asJSON bool) error {
	style, err := s.style(cmd)
	if err != nil {
		return err
	}
	p, err := s.project()
	if err != nil {
		return err
	}
	defer p.close()
	flows, templates, problems, err := s.check(p, f, args, allowMissing)
	if err != nil {
		return err
	}
	failed := len(problems.Errors()) > 0
	if asJSON {
		list := make([]finding, len(problems))
		for i, pr := range problems {
			if pr.Severity == "" {
				pr.Severity = source.Error
			}
			list[i] = finding{Problem: pr, File: pr.Pos.File, Line: pr.Pos.Line, Column: pr.Pos.Column}
		}
		enc := json.NewEncoder(s.Stdout)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(map[string]any{"valid": !failed, "flows": flows, "templates": templates, "problems": list}); err != nil {
			return err
		}
	} else {
		_, notes, err := renderProblems(s.Stdout, style, problems, p, true)
		if err != nil {
			return err
		}
		if !failed && flows+templates > 0 {
			fmt.Fprintf(s.Stdout, "%s  %s", style.Good("VALID"), counted(flows, "flow"))
			if templates > 0 {
				fmt.Fprintf(s.Stdout, " %s %s", style.Dot(), counted(templates, "report template"))
			}
			if notes > 0 {
				fmt.Fprintf(s.Stdout, " %s %s", style.Dot(), counted(notes, "note"))
			}
			fmt.Fprintln(s.Stdout)
		}
	}
	switch {
	case failed:
		return &exitError{code: batch.ExitUsage}
	case flows+templates == 0:
		return &exitError{code: batch.ExitNothing, err: fmt.Errorf("no flow was found\n  hint: flows end in .testmesh.yaml, or have `flow:` at their root")}
	}
	return nil
}

// check compiles all flows of the arguments, and reads the templates of reports
// beside them.
func (s *State) check(p *project, f *runFlags, args []string, allowMissing bool) (flows, templates int, problems source.Problems, err error) {
	options, err := s.compileOptions(p, f, &plan{project: p})
	if err == nil {
		options.AllowMissingPlugins = allowMissing
		var files, over []string
		if files, over, err = p.discover(args); err == nil {
			loader := flow.NewLoader(options)
			var programs []*flow.Program
			for _, file := range slices.Concat(files, over) {
				if isTemplate(file) {
					data, err := s.readTemplate(filepath.Join(p.path, filepath.FromSlash(file)))
					if err != nil {
						return 0, 0, nil, err
					}
					templates++
					_, found := template.Parse(file, data)
					problems = append(problems, found...)
				}
			}
			for _, file := range slices.DeleteFunc(files, isTemplate) {
				compiled, found := loader.Flows(file)
				problems = append(problems, found...)
				programs = append(programs, compiled...)
			}
			problems = append(problems, loader.CheckProject(programs)...)
			return len(programs), templates, problems, nil
		}
	}
	if bad, ok := err.(*problemsError); ok { //nolint:errorlint // made here, never wrapped
		return 0, 0, bad.problems, nil
	}
	return 0, 0, nil, err
}
