package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/testmesh/testmesh/cli/batch"
	"github.com/testmesh/testmesh/flow/report/text"
	"github.com/testmesh/testmesh/flow/source"
)

// renderProblems prints definition errors, each with its excerpt, and one line
// that counts them. It gives the numbers of errors and notes.
func renderProblems(out io.Writer, style text.Style, problems source.Problems, p *project, withNotes bool) (errors, notes int, err error) {
	var b bytes.Buffer
	errors, notes, files := problemBlocks(&b, style, problems, p, withNotes)
	if errors > 0 {
		fmt.Fprintf(&b, "%s  %s in %s %s nothing was run %s exit 2\n", style.Bad("INVALID"),
			counted(errors, "problem"), counted(files, "file"), style.Dot(), style.Dot())
	}
	_, err = out.Write(b.Bytes())
	return errors, notes, err
}

// problemBlocks prints problems, each with its excerpt, and counts them.
func problemBlocks(b *bytes.Buffer, style text.Style, problems source.Problems, p *project, withNotes bool) (errors, notes, inFiles int) {
	files := map[string]bool{}
	for _, found := range problems {
		if found.Severity == source.Note {
			notes++
			if !withNotes {
				continue
			}
		} else {
			errors++
			files[found.Pos.File] = true
		}
		text := p.source(found.Pos.File)
		if text != nil { // else it is a path as typed
			found.Pos.File = p.shown(found.Pos.File)
		}
		style.Problem(b, found, text)
	}
	return errors, notes, len(files)
}

func counted(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// refuse prints definition errors and ends with exit code 2; any other error is
// the command's own.
func (s *State) refuse(err error, style text.Style, p *project) error {
	var bad *problemsError
	if !errors.As(err, &bad) {
		return err
	}
	if _, _, err := renderProblems(s.Stderr, style, bad.problems, p, false); err != nil {
		return err
	}
	return &exitError{code: batch.ExitUsage}
}
