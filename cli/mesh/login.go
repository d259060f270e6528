package mesh

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	"github.com/testmesh/testmesh/sdk/client"
)

// logins are the control planes that this person has logged in at.
type logins struct {
	// Current is the address that is asked where a command names none.
	Current string           `json:"current"`
	Servers map[string]login `json:"servers"`
}

// login is how one of them is spoken with.
type login struct {
	Key    string `json:"key,omitempty"`
	CAFile string `json:"ca_file,omitempty"`
}

// loginFile is where they are kept, of the person alone.
const loginFile = "servers.json"

// maxKey bounds what is read as a key.
const maxKey = 4 << 10

// loginPath is in the user's folder of configuration.
func loginPath(lookup func(string) (string, bool)) (string, error) {
	if dir, _ := lookup("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "testmesh", loginFile), nil
	}
	if dir, _ := lookup("HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, ".config", "testmesh", loginFile), nil
	}
	return "", errors.New("there is no folder for the login: HOME is not set\n  hint: set XDG_CONFIG_HOME, or use TESTMESH_SERVER and TESTMESH_KEY")
}

// readLogins reads the file; none is an empty one. A file that others can read is
// refused: the keys in it are known to them.
func readLogins(lookup func(string) (string, bool)) (*logins, error) {
	l := &logins{Servers: map[string]login{}}
	file, err := loginPath(lookup)
	if err != nil {
		return l, nil //nolint:nilerror // nothing can be kept there, so nothing is
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the logins: %w", err)
	}
	info, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("read the logins: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("%s has mode %#o, so that others can read the keys in it\n  hint: chmod 600 %s, and have new keys made", file, mode, file)
	}
	if err := json.Unmarshal(text, l); err != nil {
		return nil, fmt.Errorf("read %s: %w\n  hint: delete it and log in again", file, err)
	}
	if l.Servers == nil {
		l.Servers = map[string]login{}
	}
	return l, nil
}

// write replaces the file, in one step.
func (l *logins) write(lookup func(string) (string, bool)) error {
	file, err := loginPath(lookup)
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		return fmt.Errorf("write the logins: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("write the logins: %w", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), "."+loginFile+".*") // of mode 0600
	if err != nil {
		return fmt.Errorf("write the logins: %w", err)
	}
	_, err = tmp.Write(append(text, '\n'))
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), file)
	}
	if err != nil {
		return fmt.Errorf("write the logins: %w", errors.Join(err, os.Remove(tmp.Name())))
	}
	return nil
}

// Target says which control plane a command means, and as whom: what the command line
// says wins over the environment, and that over the login. A key is only ever sent to
// the server that it was given for.
type Target struct{ Address, Key, CAFile string }

// Resolve completes a target.
func Resolve(t Target, lookup func(string) (string, bool)) (Target, error) {
	if t.Address == "" {
		t.Address, _ = lookup("TESTMESH_SERVER")
	}
	if t.Key == "" {
		t.Key, _ = lookup("TESTMESH_KEY")
	}
	if name, _ := lookup("TESTMESH_KEY_FILE"); t.Key == "" && name != "" {
		text, err := os.ReadFile(name)
		if err != nil {
			return t, fmt.Errorf("TESTMESH_KEY_FILE: %w", err)
		}
		t.Key = strings.TrimSpace(string(text))
	}
	known, err := readLogins(lookup)
	if err != nil {
		return t, err
	}
	if t.Address == "" {
		t.Address = known.Current
	}
	if t.Address == "" {
		return t, errors.New("which control plane?\n  hint: testmesh login ADDRESS, or --server http://127.0.0.1:7070, or TESTMESH_SERVER")
	}
	t.Address = strings.TrimSuffix(t.Address, "/")
	if one, ok := known.Servers[t.Address]; ok {
		if t.Key == "" {
			t.Key = one.Key
		}
		if t.CAFile == "" {
			t.CAFile = one.CAFile
		}
	}
	return t, nil
}

// Connect makes a client of a target.
func Connect(t Target, lookup func(string) (string, bool)) (*client.Client, error) {
	t, err := Resolve(t, lookup)
	if err != nil {
		return nil, err
	}
	return client.New(client.Config{Address: t.Address, Key: t.Key, CAFile: t.CAFile})
}

func (c *commands) login() *cobra.Command {
	var caFile string
	var list, use bool
	cmd := &cobra.Command{
		Use:   "login [ADDRESS]",
		Short: "Remember a control plane and the key for it",
		Long: "Remember a control plane and the key for it, and ask it from now on where a command names none. The key is\n" +
			"asked for, or read from stdin where that is no terminal; it is tried before it is kept, in a file that only you\n" +
			"can read. --server, --key and TESTMESH_SERVER, TESTMESH_KEY win over it.",
		Example: "  testmesh login https://mesh.example.com:7070\n" +
			"  testmesh login https://mesh.example.com:7070 < key.txt\n" +
			"  testmesh login --list\n" +
			"  testmesh login --use https://other.example.com",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			known, err := readLogins(c.LookupEnv)
			if err != nil {
				return err
			}
			if list {
				return c.listLogins(known)
			}
			address := known.Current
			if len(args) == 1 {
				address = strings.TrimSuffix(args[0], "/")
			}
			if address == "" {
				return errors.New("at which control plane?\n  hint: testmesh login https://mesh.example.com:7070")
			}
			one := known.Servers[address]
			if caFile != "" {
				if one.CAFile, err = filepath.Abs(caFile); err != nil {
					return fmt.Errorf("find the certificate authority: %w", err)
				}
			}
			if use {
				if _, ok := known.Servers[address]; !ok {
					return fmt.Errorf("there is no login at %s\n  hint: testmesh login --list shows those that there are", address)
				}
			} else if one.Key, err = c.readKey(address); err != nil {
				return err
			}
			cl, err := client.New(client.Config{Address: address, Key: one.Key, CAFile: one.CAFile})
			if err != nil {
				return err
			}
			got, err := cl.Cluster.GetCluster(cmd.Context(), &apiv1.GetClusterRequest{})
			if err != nil {
				return refused(err)
			}
			known.Servers[address], known.Current = one, address
			if err := known.write(c.LookupEnv); err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.Stdout, "logged in at %s (version %s)\n", address, got.GetVersion())
			return err
		},
	}
	cmd.Flags().StringVar(&caFile, "ca-file", "", "certificate authority to trust beside the system's")
	cmd.Flags().BoolVar(&list, "list", false, "list the control planes that are known; keys are not shown")
	cmd.Flags().BoolVar(&use, "use", false, "make one that is known the current one, with the key that it has")
	cmd.MarkFlagsMutuallyExclusive("list", "use")
	return cmd
}

func (c *commands) listLogins(known *logins) error {
	for _, address := range slices.Sorted(maps.Keys(known.Servers)) {
		mark := " "
		if address == known.Current {
			mark = "*"
		}
		if _, err := fmt.Fprintf(c.Stdout, "%s %s\n", mark, address); err != nil {
			return err
		}
	}
	return nil
}

// readKey asks for a key without showing it, or reads the first line of stdin. An empty
// one is none: `testmesh dev` wants none.
func (c *commands) readKey(address string) (string, error) {
	if c.Password != nil {
		key, err := c.Password("Key for " + address + ": ")
		return strings.TrimSpace(key), err
	}
	return c.line("a key")
}

// line reads the first line of stdin.
func (c *commands) line(what string) (string, error) {
	if c.Stdin == nil {
		return "", nil
	}
	text, err := bufio.NewReader(io.LimitReader(c.Stdin, maxKey)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read %s from stdin: %w", what, err)
	}
	return strings.TrimSpace(text), nil
}

func (c *commands) logout() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use: "logout [ADDRESS]", Short: "Forget a control plane and the key for it", Args: cobra.MaximumNArgs(1),
		Example: "  testmesh logout\n  testmesh logout --all",
		RunE: func(_ *cobra.Command, args []string) error {
			known, err := readLogins(c.LookupEnv)
			if err != nil {
				return err
			}
			forget := slices.Sorted(maps.Keys(known.Servers))
			if !all {
				address := known.Current
				if len(args) == 1 {
					address = strings.TrimSuffix(args[0], "/")
				}
				if _, ok := known.Servers[address]; !ok {
					return errors.New("there is no such login\n  hint: testmesh login --list shows those that there are")
				}
				forget = []string{address}
			}
			for _, address := range forget {
				delete(known.Servers, address)
				if known.Current == address {
					known.Current = ""
				}
			}
			if err := known.write(c.LookupEnv); err != nil {
				return err
			}
			for _, address := range forget {
				if _, err := fmt.Fprintf(c.Stdout, "logged out of %s\n", address); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "forget all of them")
	return cmd
}
