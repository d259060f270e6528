package mesh

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	"github.com/testmesh/testmesh/sdk/client"

	"github.com/testmesh/testmesh/flow/bundle"
)

// Project is a folder of flows, compiled.
type Project struct {
	Path string
	// Files are the flow files and all that they name, by their paths below it.
	Files map[string][]byte
	Flows int
}

// seen is what a project knows of a control plane: what it last pushed or pulled.
type seen struct {
	Revision int64  `json:"revision"`
	Bundle   string `json:"bundle"`
}

// seenFile holds it, by the address.
const seenFile = ".testmesh/remote.json"

func readSeen(project string) (map[string]seen, error) {
	out := map[string]seen{}
	text, err := os.ReadFile(filepath.Join(project, filepath.FromSlash(seenFile)))
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w\n  hint: delete it; testmesh status then shows all that differs", seenFile, err)
	}
	return out, nil
}

func writeSeen(project, address string, s seen) error {
	all, err := readSeen(project)
	if err != nil {
		return err
	}
	all[address] = s
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", seenFile, err)
	}
	root, err := os.OpenRoot(project)
	if err != nil {
		return fmt.Errorf("write %s: %w", seenFile, err)
	}
	defer root.Close()
	return put(root, seenFile, append(text, '\n'))
}

// put writes a file of a project in one step, and never outside of it.
func put(root *os.Root, name string, data []byte) error {
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	tmp := path.Join(path.Dir(name), "."+path.Base(name)+".tmp")
	if err := root.WriteFile(tmp, data, 0o644); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := root.Rename(tmp, name); err != nil {
		return fmt.Errorf("write %s: %w", name, errors.Join(err, root.Remove(tmp)))
	}
	return nil
}

// sides are the files of a project here, as they are stored, and as they were when this
// project last saw them: sha256 by path.
type sides struct {
	here, there, base map[string]string
	revision          int64
	bundle            string
	seen              seen
	known             bool // this project has seen the control plane
}

// look compares a project with what is stored.
func look(ctx context.Context, cl *client.Client, project string) (*sides, error) {
	s := &sides{here: map[string]string{}}
	stored, err := cl.Flows.ListFlows(ctx, &apiv1.ListFlowsRequest{PageSize: 1})
	if err != nil {
		return nil, refused(err)
	}
	s.revision, s.bundle = stored.GetRevision(), stored.GetBundle()
	if s.there, err = listing(ctx, cl, s.bundle); err != nil {
		return nil, refused(err)
	}
	all, err := readSeen(project)
	if err != nil {
		return nil, err
	}
	s.seen, s.known = all[cl.Address()]
	s.base = s.there
	if s.seen.Bundle != s.bundle {
		if s.base, err = listing(ctx, cl, s.seen.Bundle); connect.CodeOf(err) == connect.CodeNotFound {
			s.known, s.base = false, nil // the control plane is another one than it was
		} else if err != nil {
			return nil, refused(err)
		}
	}
	return s, nil
}

// compiled are the files that the flows of a project name.
func (s *sides) compiled(p *Project) {
	for name, data := range p.Files {
		s.here[name] = sumOf(data)
	}
}

// present are the files on the disk of those that are stored, or were: to pull them the
// flows of the project need not be right.
func (s *sides) present(root *os.Root) error {
	for _, names := range []map[string]string{s.there, s.base} {
		for name := range names {
			data, err := root.ReadFile(name)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return fmt.Errorf("read %s: %w", name, err)
			}
			s.here[name] = sumOf(data)
		}
	}
	return nil
}

func sumOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// listing are the files of a bundle.
func listing(ctx context.Context, cl *client.Client, digest string) (map[string]string, error) {
	out := map[string]string{}
	if digest == "" {
		return out, nil
	}
	res, err := cl.Flows.GetBundle(ctx, &apiv1.GetBundleRequest{Digest: digest})
	if err != nil {
		return nil, err
	}
	if err := bundle.Check(res.GetFiles()); err != nil {
		return nil, err // what is written to this disk must be a bundle
	}
	for _, f := range res.GetFiles() {
		if err := mayWrite(f.GetPath()); err != nil {
			return nil, err
		}
		out[f.GetPath()] = f.GetSha256()
	}
	return out, nil
}

// mayWrite refuses files that other programs obey: who may push flows could otherwise
// have commands run on the machine of whoever pulls them.
func mayWrite(name string) error {
	for part := range strings.SplitSeq(name, "/") {
		if strings.EqualFold(part, ".git") || strings.EqualFold(part, ".testmesh") {
			return fmt.Errorf("the control plane has stored %s, which is no file of flows: nothing was changed", name)
		}
	}
	return nil
}

// difference is a file that is not the same here and there.
type difference struct {
	Path string `json:"path"`
	// State is new (only here), changed or gone (only there).
	State string `json:"state"`
	// By says who changed it since this project last saw the control plane: here,
	// there, or both.
	By string `json:"by"`
}

func (s *sides) differences() []difference {
	list := []difference{}
	names := map[string]bool{}
	for name := range s.here {
		names[name] = true
	}
	for name := range s.there {
		names[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		here, there, base := s.here[name], s.there[name], s.base[name]
		if here == there {
			continue
		}
		d := difference{Path: name, State: "changed", By: "both"}
		switch {
		case there == "":
			d.State = "new"
		case here == "":
			d.State = "gone"
		}
		switch base {
		case there:
			d.By = "here"
		case here:
			d.By = "there"
		}
		list = append(list, d)
	}
	return list
}

func (c *commands) status() *cobra.Command {
	f := &connection{}
	cmd := &cobra.Command{
		Use: "status", Short: "Show what differs between this project and what is stored", Args: cobra.NoArgs,
		Long: "Show what differs between the flows of this project, with all the files that they name, and those that the\n" +
			"control plane has stored: new is here only, gone is stored only. By says where it was changed since the last\n" +
			"push or pull of this project.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cl, err := c.client(f)
			if err != nil {
				return err
			}
			p, err := c.Project(cmd)
			if err != nil {
				return err
			}
			s, err := look(cmd.Context(), cl, p.Path)
			if err != nil {
				return err
			}
			s.compiled(p)
			list := s.differences()
			if f.output == "json" {
				return c.json(map[string]any{"revision": s.revision, "seen_revision": s.seen.Revision, "files": list})
			}
			return c.table(func(w io.Writer) {
				for _, d := range list {
					by := ""
					if d.By != "here" {
						by = map[string]string{"there": "changed there", "both": "changed on both sides"}[d.By]
					}
					fmt.Fprintf(w, "%s\t%s\t%s\n", d.State, d.Path, by)
				}
				switch {
				case len(list) == 0:
					fmt.Fprintf(w, "the same as revision %d: %d files\n", s.revision, len(s.here))
				case !s.known && s.revision > 0:
					fmt.Fprintf(w, "revision %d is stored; this project has not seen it\n", s.revision)
				case s.seen.Revision != s.revision:
					fmt.Fprintf(w, "revision %d is stored; this project has seen %d\n", s.revision, s.seen.Revision)
				}
			})
		},
	}
	f.flags(cmd)
	return cmd
}

func (c *commands) push() *cobra.Command {
	f := &connection{}
	var force bool
	cmd := &cobra.Command{
		Use: "push", Short: "Store the flows of this project at the control plane", Args: cobra.NoArgs,
		Long: "Store the flows of this project, with all the files that they name, as those of the control plane: what the\n" +
			"project lacks is deleted there. It is refused where somebody else has pushed since this project last pushed or\n" +
			"pulled. Flows that are wrong are refused before anything is sent.",
		Example: "  testmesh push\n  testmesh run --remote --stored --tag smoke",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cl, err := c.client(f)
			if err != nil {
				return err
			}
			p, err := c.Project(cmd)
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			s, err := look(ctx, cl, p.Path)
			if err != nil {
				return err
			}
			digest, err := cl.Upload(ctx, p.Files)
			if err != nil {
				return refused(err)
			}
			if digest == s.bundle {
				if err := writeSeen(p.Path, cl.Address(), seen{s.revision, s.bundle}); err != nil {
					return err
				}
				return c.pushed(f, &apiv1.PushResponse{Revision: s.revision}, p)
			}
			base := s.seen.Revision
			if !s.known {
				base = 0
			}
			res, err := cl.Flows.Push(ctx, &apiv1.PushRequest{Bundle: digest, Base: base, Force: force})
			if connect.CodeOf(err) == connect.CodeAborted {
				return &remoteError{fmt.Errorf("somebody else has pushed: revision %d is stored, and this project has seen %d\n  hint: testmesh status shows what differs, testmesh pull brings it, --force replaces it", s.revision, base)}
			}
			if err != nil {
				return refused(err)
			}
			if err := writeSeen(p.Path, cl.Address(), seen{res.GetRevision(), digest}); err != nil {
				return err
			}
			return c.pushed(f, res, p)
		},
	}
	f.flags(cmd)
	cmd.Flags().BoolVar(&force, "force", false, "replace what is stored, whoever has changed it")
	return cmd
}

func (c *commands) pushed(f *connection, res *apiv1.PushResponse, p *Project) error {
	return c.print(f, res, func(w io.Writer) {
		fmt.Fprintf(w, "revision %d: %d added, %d changed, %d deleted, of %d flows in %d files\n",
			res.GetRevision(), res.GetAdded(), res.GetChanged(), res.GetDeleted(), p.Flows, len(p.Files))
	})
}

func (c *commands) pull() *cobra.Command {
	f := &connection{}
	var force bool
	cmd := &cobra.Command{
		Use: "pull", Short: "Bring the stored flows into this project", Args: cobra.NoArgs,
		Long: "Bring the flows that the control plane has stored, with all the files that they name, into this project. A file\n" +
			"that was changed here since the last push or pull is left alone, and so is everything else then, unless --force\n" +
			"says that what is stored wins.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cl, err := c.client(f)
			if err != nil {
				return err
			}
			s, err := look(cmd.Context(), cl, c.Root)
			if err != nil {
				return err
			}
			if s.bundle == "" {
				return &remoteError{errors.New("the control plane has no flows\n  hint: testmesh push stores those of this project")}
			}
			return c.bring(cmd.Context(), f, cl, s, force)
		},
	}
	f.flags(cmd)
	cmd.Flags().BoolVar(&force, "force", false, "replace what was changed here")
	return cmd
}

// pulled is what became of the files that differ.
type pulled struct {
	Revision  int64    `json:"revision"`
	Written   []string `json:"written"`
	Removed   []string `json:"removed"`
	Kept      []string `json:"kept"` // changed here
	conflicts []string
}

// decide says what is to become of them.
func (s *sides) decide(force bool) *pulled {
	p := &pulled{Revision: s.revision, Written: []string{}, Removed: []string{}, Kept: []string{}}
	for _, d := range s.differences() {
		into := &p.Written
		switch {
		case force && d.State == "new", d.By == "there" && d.State == "new":
			into = &p.Removed
		case force, d.By == "there":
		case d.By == "here":
			into = &p.Kept
		default:
			into = &p.conflicts
		}
		*into = append(*into, d.Path)
	}
	return p
}

// bring writes what was changed there. What was changed here as well is a conflict, and
// nothing is written then.
func (c *commands) bring(ctx context.Context, f *connection, cl *client.Client, s *sides, force bool) error {
	root, err := os.OpenRoot(c.Root)
	if err != nil {
		return fmt.Errorf("open the project: %w", err)
	}
	defer root.Close()
	if err := s.present(root); err != nil {
		return err
	}
	p := s.decide(force)
	if len(p.conflicts) > 0 {
		return fmt.Errorf("nothing was changed: %s: changed here and there\n  hint: testmesh status shows all that differs, --force takes what is stored", strings.Join(p.conflicts, ", "))
	}
	for _, name := range p.Written {
		data, err := cl.GetBlob(ctx, s.there[name])
		if err != nil {
			return refused(err)
		}
		if err := put(root, name, data); err != nil {
			return err
		}
	}
	for _, name := range p.Removed {
		if err := root.Remove(name); err != nil {
			return fmt.Errorf("remove %s: %w", name, err)
		}
	}
	if err := writeSeen(c.Root, cl.Address(), seen{s.revision, s.bundle}); err != nil {
		return err
	}
	if f.output == "json" {
		return c.json(p)
	}
	return c.table(func(w io.Writer) {
		for _, one := range []struct {
			what  string
			names []string
		}{{"written", p.Written}, {"removed", p.Removed}, {"kept: changed here", p.Kept}} {
			for _, name := range one.names {
				fmt.Fprintf(w, "%s\t%s\n", name, one.what)
			}
		}
		fmt.Fprintf(w, "revision %d: %d written, %d removed, %d kept\n", s.revision, len(p.Written), len(p.Removed), len(p.Kept))
	})
}
