package pluginstore

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"
)

// Override puts an author's own build in the place of a locked plugin for as
// long as `testmesh plugin dev` works on it. Nothing of it is verified.
type Override struct {
	Name    string
	Version string
	Dir     string // absolute
	Command []string
	// Permissions are the manifest's.
	Permissions Permissions
	Descriptor  *testmeshv1.Descriptor
}

// override is an Override in its file.
type override struct {
	Name        string          `json:"name"`
	Version     string          `json:"version"`
	Dir         string          `json:"dir"`
	Command     []string        `json:"command"`
	Permissions Permissions     `json:"permissions"`
	Descriptor  json.RawMessage `json:"descriptor"`
}

const maxOverride = 4 << 20

func (s *Store) overrides() string { return filepath.Join(s.dir(), "dev") }

// OverridePath is the file of an override.
func (s *Store) OverridePath(name string) string {
	return filepath.Join(s.overrides(), name+".json")
}

// Overrides are the builds that stand in for locked plugins now, by name.
func (s *Store) Overrides() ([]Override, error) {
	entries, err := os.ReadDir(s.overrides())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for plugins in development: %w", err)
	}
	var out []Override
	for _, e := range entries {
		if filepath.Ext(e.Name()) != ".json" {
			continue
		}
		o, err := ReadOverride(filepath.Join(s.overrides(), e.Name()))
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}

// ReadOverride reads one override.
func ReadOverride(file string) (Override, error) {
	data, err := readFile(file, maxOverride)
	if err != nil {
		return Override{}, fmt.Errorf("read the plugin in development: %w", err)
	}
	var o override
	if err := json.Unmarshal(data, &o); err != nil {
		return Override{}, fmt.Errorf("read the plugin in development %s: %w; delete the file, or run testmesh plugin dev again", file, err)
	}
	if !ValidName(o.Name) || len(o.Command) == 0 || !filepath.IsAbs(o.Dir) {
		return Override{}, fmt.Errorf("%s says nothing: delete it, or run testmesh plugin dev again", file)
	}
	d, err := ParseDescriptor(o.Descriptor)
	if err != nil {
		return Override{}, fmt.Errorf("%s: %w", file, err)
	}
	return Override{Name: o.Name, Version: o.Version, Dir: o.Dir, Command: o.Command, Permissions: o.Permissions, Descriptor: d}, nil
}

// WriteOverride writes an override into a file, whole or not at all.
func WriteOverride(file string, o Override) error {
	d, err := PrintDescriptor(o.Descriptor)
	if err != nil {
		return fmt.Errorf("print the descriptor: %w", err)
	}
	text, err := json.MarshalIndent(override{
		Name: o.Name, Version: o.Version, Dir: o.Dir, Command: o.Command, Permissions: o.Permissions, Descriptor: d,
	}, "", "  ")
	if err != nil {
		return fmt.Errorf("print the override: %w", err)
	}
	return writeWhole(file, append(text, '\n'))
}

// Override puts a build in the place of a locked plugin until RemoveOverride.
func (s *Store) Override(o Override) error {
	release, err := s.hold()
	if err != nil {
		return err
	}
	defer release()
	if err := os.MkdirAll(s.overrides(), 0o755); err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	return WriteOverride(s.OverridePath(o.Name), o)
}

// RemoveOverride takes a build out again.
func (s *Store) RemoveOverride(name string) error {
	err := os.Remove(s.OverridePath(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
