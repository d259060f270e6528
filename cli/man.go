package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newMan(s *State) *cobra.Command {
	return &cobra.Command{
		Use:     "man DIR",
		Short:   "Write the manual pages into a folder",
		Long:    "Write one manual page a command into DIR, for `man`: packages install them.",
		Example: "  testmesh man ~/.local/share/man/man1",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := args[0]
			if !filepath.IsAbs(dir) {
				dir = filepath.Join(s.Dir, dir)
			}
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return usage("", "make the folder: %w", err)
			}
			date, err := s.manualDate()
			if err != nil {
				return err
			}
			n, err := writeManual(dir, cmd.Root(), s.Version, date)
			if err != nil {
				return usage("", "write the manual: %w", err)
			}
			_, err = fmt.Fprintf(s.Stdout, "%s in %s\n", counted(n, "page"), args[0])
			return err
		},
	}
}

// manualDate is today, or what SOURCE_DATE_EPOCH says, so that the same source
// gives the same pages (reproducible-builds.org).
func (s *State) manualDate() (time.Time, error) {
	epoch := s.env("SOURCE_DATE_EPOCH")
	if epoch == "" {
		return time.Now(), nil
	}
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		return time.Time{}, usage("", "SOURCE_DATE_EPOCH %q is not a number of seconds", epoch)
	}
	return time.Unix(seconds, 0).UTC(), nil
}

func writeManual(dir string, cmd *cobra.Command, version string, date time.Time) (pages int, err error) {
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-") + ".1"
	if err := os.WriteFile(filepath.Join(dir, name), manualPage(cmd, version, date), 0o644); err != nil {
		return 0, err
	}
	pages = 1
	for _, child := range cmd.Commands() {
		if !child.IsAvailableCommand() {
			continue
		}
		n, err := writeManual(dir, child, version, date)
		pages += n
		if err != nil {
			return pages, err
		}
	}
	return pages, nil
}

// manualPage is the page of one command in the macros of man(7). The libraries
// that do this compile their patterns at the start of every command.
func manualPage(cmd *cobra.Command, version string, date time.Time) []byte {
	var b bytes.Buffer
	title := strings.ReplaceAll(cmd.CommandPath(), " ", "-")
	fmt.Fprintf(&b, ".TH %s 1 %s %s \"TestMesh\"\n", roffQuote(strings.ToUpper(title)), roffQuote(date.UTC().Format("2006-01-02")), roffQuote("testmesh "+version))
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", roff(title), roff(cmd.Short))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n", roff(cmd.UseLine()))
	if about := cmd.Long; about != "" {
		b.WriteString(".SH DESCRIPTION\n")
		roffText(&b, about)
	}
	roffFlags(&b, "OPTIONS", cmd.NonInheritedFlags())
	roffFlags(&b, "OPTIONS OF EVERY COMMAND", cmd.InheritedFlags())
	if cmd.Example != "" {
		fmt.Fprintf(&b, ".SH EXAMPLES\n.nf\n%s\n.fi\n", roff(cmd.Example))
	}
	var also []string
	if cmd.HasParent() {
		also = append(also, strings.ReplaceAll(cmd.Parent().CommandPath(), " ", "-"))
	}
	for _, child := range cmd.Commands() {
		if child.IsAvailableCommand() {
			also = append(also, strings.ReplaceAll(child.CommandPath(), " ", "-"))
		}
	}
	if len(also) > 0 {
		b.WriteString(".SH SEE ALSO\n")
		for i, name := range also {
			end := ","
			if i == len(also)-1 {
				end = ""
			}
			fmt.Fprintf(&b, ".BR %s (1)%s\n", roff(name), end)
		}
	}
	return b.Bytes()
}

func roffFlags(b *bytes.Buffer, title string, flags *pflag.FlagSet) {
	if !flags.HasAvailableFlags() {
		return
	}
	fmt.Fprintf(b, ".SH %s\n", title)
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		kind, about := pflag.UnquoteUsage(f)
		names := `\-\-` + roff(f.Name)
		if f.Shorthand != "" {
			names = `\-` + roff(f.Shorthand) + ", " + names
		}
		fmt.Fprintf(b, ".TP\n.BR \"%s\"", names)
		if kind != "" {
			fmt.Fprintf(b, " \" %s\"", roff(kind))
		}
		fmt.Fprintf(b, "\n%s\n", roff(about))
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "[]" && f.DefValue != "0" && f.DefValue != "0s" {
			fmt.Fprintf(b, "(default %s)\n", roff(f.DefValue))
		}
	})
}

// roffText prints paragraphs; lines keep their ends.
func roffText(b *bytes.Buffer, s string) {
	for i, paragraph := range strings.Split(s, "\n\n") {
		if i > 0 {
			b.WriteString(".PP\n")
		}
		b.WriteString(roff(paragraph) + "\n")
	}
}

// roff escapes what groff would take for its own: backslashes, hyphens that are
// typed, and dots and quotes at the beginning of a line.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "·", `\(bu`, "…", "...").Replace(s)
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, ".") || strings.HasPrefix(l, "'") {
			lines[i] = `\&` + l
		}
	}
	return strings.Join(lines, "\n")
}

func roffQuote(s string) string { return `"` + strings.ReplaceAll(roff(s), `"`, `\(dq`) + `"` }
