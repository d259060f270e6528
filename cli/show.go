package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/testmesh/testmesh/cli/batch"
	"github.com/testmesh/testmesh/cli/show"
	"github.com/testmesh/testmesh/flow/archive"
	"github.com/testmesh/testmesh/flow/report/text"
	"github.com/testmesh/testmesh/sdk/loopback"
)

type showFlags struct {
	format, addr string
	noOpen       bool
	reports      []string
}

func newShow(s *State) *cobra.Command {
	f := &showFlags{}
	cmd := &cobra.Command{
		Use:   "show FILE",
		Short: "Show a run archive: in a browser, or as a report",
		Long: "Show a run archive (.tmrun), as testmesh run --record and testmesh results --record write them: its page is served to\n" +
			"this machine alone until Ctrl-C, and opened in a browser where there is one. --format text prints what the terminal\n" +
			"showed then, --report makes the reports of testmesh run. The exit code is 0 whatever the verdict: it is shown.",
		Example: "  testmesh show checkout.tmrun\n  testmesh show checkout.tmrun --format text\n  testmesh show checkout.tmrun --report junit=report.xml",
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return s.show(cmd, f, args[0]) },
	}
	fl := cmd.Flags()
	fl.StringVar(&f.format, "format", "page", "page: a page in a browser; text: what the terminal showed")
	fl.StringVar(&f.addr, "addr", "127.0.0.1:0", "where the page is served: an address of this machine, with port 0 for any that is free")
	fl.BoolVar(&f.noOpen, "no-open", false, "open no browser")
	fl.StringArrayVar(&f.reports, "report", nil, "make a report instead, as testmesh run has them: KIND or KIND=PATH; may be repeated")
	return cmd
}

func (s *State) show(cmd *cobra.Command, f *showFlags, name string) error {
	file, a, err := s.openArchive(name)
	if err != nil {
		return err
	}
	defer file.Close()
	if len(f.reports) > 0 {
		return s.recordedReports(cmd, f.reports, sourceOf(a), a.Events)
	}
	switch f.format {
	case "text":
		return s.showText(cmd, a)
	case "page":
		return s.servePage(cmd.Context(), f, name, a)
	}
	return usage("write page or text", "--format %q is not known", f.format)
}

func (s *State) openArchive(name string) (*os.File, *archive.Archive, error) {
	full := name
	if !filepath.IsAbs(full) {
		full = filepath.Join(s.Dir, name)
	}
	file, err := os.Open(full)
	if err != nil {
		return nil, nil, usage("", "open the recording: %w", err)
	}
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil, nil, errors.Join(usage("", "%s is no file", name), file.Close())
	}
	a, err := archive.Open(file, info.Size())
	if err != nil {
		return nil, nil, usage("", "%s cannot be shown: %w", name, errors.Join(err, file.Close()))
	}
	return file, a, nil
}

// showText prints what the terminal showed.
func (s *State) showText(cmd *cobra.Command, a *archive.Archive) error {
	style, err := s.style(cmd)
	if err != nil {
		return err
	}
	width, _ := s.terminal()
	return a.Events(text.New(s.Stdout, text.Options{Format: text.List, Style: style, Width: width, Source: sourceOf(a)}).Write)
}

// sourceOf are the files of the flows as they were run then.
func sourceOf(a *archive.Archive) func(string) []byte {
	return func(name string) []byte {
		source, _ := a.Source(name)
		return source
	}
}

// servePage serves the page until somebody ends it.
func (s *State) servePage(ctx context.Context, f *showFlags, name string, a *archive.Archive) error {
	page, err := s.recordedPage()
	if err != nil {
		return err
	}
	if _, _, err := net.SplitHostPort(f.addr); err != nil || !loopback.Host(f.addr) {
		return usage("write 127.0.0.1:PORT, or leave it out", "--addr %q is no address of this machine alone", f.addr)
	}
	listener, err := net.Listen("tcp", f.addr)
	if err != nil {
		return &exitError{code: batch.ExitErrored, err: fmt.Errorf("listen at %s: %w", f.addr, err)}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.endBySignal(ctx, cancel)
	address := "http://" + listener.Addr().String() + "/"
	server := &http.Server{Handler: show.Handler(a, page), ReadHeaderTimeout: readHeaderWithin}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	fmt.Fprintf(s.Stdout, "%s  %s\nPress Ctrl-C to stop.\n", name, address)
	if _, person := s.terminal(); person && !f.noOpen && s.Browser != nil {
		if open := s.Browser(address); open != nil {
			if err := open(); err != nil {
				fmt.Fprintf(s.Stderr, "no browser was opened: %v\n", err)
			}
		}
	}
	select {
	case err = <-ended:
		return &exitError{code: batch.ExitErrored, err: fmt.Errorf("serve the page: %w", err)}
	case <-ctx.Done():
		return server.Close()
	}
}

// readHeaderWithin bounds what a browser may take to say what it wants.
const readHeaderWithin = 10 * time.Second
