package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/testmesh/testmesh/cli/batch"
	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/syntax"
)

func newFmt(s *State) *cobra.Command {
	var check, diff, ids bool
	cmd := &cobra.Command{
		Use:   "fmt [PATH ...]",
		Short: "Rewrite flows to the standard form",
		Long:  "Rewrite flows to the standard form, in place: accepted dialects become the documented spelling, comments stay.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return format(cmd, s, args, check, diff, ids)
		},
	}
	cmd.Flags().BoolVar(&check, "check", false, "write nothing; exit code 1 if a file would change")
	cmd.Flags().BoolVar(&diff, "diff", false, "write nothing; print what would change")
	cmd.Flags().BoolVar(&ids, "ids", false, "write generated step ids into the file")
	return cmd
}

func format(cmd *cobra.Command, s *State, args []string, check, diff, ids bool) error {
	style, err := s.style(cmd)
	if err != nil {
		return err
	}
	p, err := s.project()
	if err != nil {
		return err
	}
	defer p.close()
	set, err := s.plugins(p, false, false)
	if err != nil {
		return s.refuse(err, style, p)
	}
	files, _, err := p.discover(args)
	var bad *problemsError
	if err != nil && !errors.As(err, &bad) {
		return err
	}
	var problems source.Problems
	if bad != nil {
		problems = bad.problems
	}
	changed := 0
	for _, file := range files {
		before, err := fs.ReadFile(p.fs, file)
		if err != nil {
			return usage("", "read %s: %w", file, err)
		}
		after, found := syntax.Format(file, before, ids, actions(set.descriptors))
		if errs := found.Errors(); len(errs) > 0 {
			problems = append(problems, errs...)
			continue
		}
		if string(after) == string(before) {
			continue
		}
		changed++
		switch {
		case diff:
			fmt.Fprint(s.Stdout, unified(p.shown(file), before, after))
		case check:
			fmt.Fprintln(s.Stdout, p.shown(file))
		default:
			if err := replace(filepath.Join(p.path, filepath.FromSlash(file)), after); err != nil {
				return &exitError{code: batch.ExitErrored, err: err}
			}
			fmt.Fprintln(s.Stdout, p.shown(file))
		}
	}
	if len(problems) > 0 {
		if _, _, err := renderProblems(s.Stderr, style, problems, p, false); err != nil {
			return err
		}
		return &exitError{code: batch.ExitUsage}
	}
	if changed > 0 && (check || diff) {
		return &exitError{code: batch.ExitFailed}
	}
	return nil
}

// replace writes a file whole or not at all, with the mode it had.
func replace(path string, data []byte) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("format %s: %w", path, err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("format %s: %w", path, err)
	}
	_, err = tmp.Write(data)
	err = errors.Join(err, tmp.Chmod(info.Mode().Perm()), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("format %s: %w", path, errors.Join(err, os.Remove(tmp.Name())))
	}
	return nil
}
