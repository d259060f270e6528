// Package setting is one table of what a program can be told: each entry is a flag, a
// variable of the environment, a key of a YAML file and a line of the reference page.
// It never reads the environment or a file itself: both are handed in.
package setting

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"github.com/spf13/pflag"
)

// Spec says what a setting is.
type Spec struct {
	// Key is its place in the file: `tls.cert` is cert below tls. The flag --tls-cert and
	// the variable PREFIX_TLS_CERT are made of it.
	Key string
	// Env is the variable, where it is another one.
	Env string
	// Default is the value where nobody says one, as it would be written in a flag.
	Default string
	// What it does, for the flag's help and the reference page: half a sentence.
	What string
	// Secret values are not printed, and may be in a file that the variable NAME_FILE names.
	Secret bool
	// Check refuses values that are none; it is not asked about the default.
	Check func(value string) error
}

// Table holds the settings of one program.
type Table struct {
	prefix string
	list   []*entry
}

// entry is a setting with its value and where that is from.
type entry struct {
	Spec
	value value
	from  string // "" for the default
}

// keys are snake case, with dots between levels.
var keys = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*(\.[a-z][a-z0-9]*(_[a-z0-9]+)*)*$`)
})

// New makes a table whose variables begin with a prefix, such as TESTMESH_SERVER.
func New(prefix string) *Table { return &Table{prefix: prefix} }

// add panics on a table that is wrong: that is a mistake of a program, found by the
// first test that makes it.
func (t *Table) add(s Spec, v value) {
	if !keys().MatchString(s.Key) || s.What == "" {
		panic(fmt.Sprintf("setting %q: a key in snake case and a word on what it does are wanted", s.Key))
	}
	for _, e := range t.list {
		if e.Key == s.Key || strings.HasPrefix(e.Key, s.Key+".") || strings.HasPrefix(s.Key, e.Key+".") {
			panic(fmt.Sprintf("setting %q: there is %q already", s.Key, e.Key))
		}
	}
	if s.Env == "" {
		s.Env = t.prefix + "_" + strings.ToUpper(strings.ReplaceAll(s.Key, ".", "_"))
	}
	if s.Default != "" {
		if err := v.Set(s.Default); err != nil {
			panic(fmt.Sprintf("setting %q: its default: %v", s.Key, err))
		}
	}
	t.list = append(t.list, &entry{Spec: s, value: v})
}

func (e *entry) flag() string { return strings.NewReplacer(".", "-", "_", "-").Replace(e.Key) }

// Flags adds a flag for each setting.
func (t *Table) Flags(fs *pflag.FlagSet) {
	for _, e := range t.list {
		f := fs.VarPF(&flagValue{e}, e.flag(), "", e.What)
		f.DefValue = e.Default
		if _, ok := e.value.(*boolean); ok {
			f.NoOptDefVal = "true"
		}
	}
}

// flagValue is a setting as its flag sees it. A flag wins over everything else.
type flagValue struct{ *entry }

func (f *flagValue) String() string {
	if f.entry == nil {
		return ""
	}
	return f.value.String()
}
func (f *flagValue) Type() string { return f.value.Type() }
func (f *flagValue) Set(text string) error {
	from := "--" + f.flag()
	if f.from != from {
		f.value.reset() // a repeated flag adds to itself, never to the default
	}
	f.from = from
	return f.set(text)
}

func (e *entry) set(text string) error {
	if e.Check != nil {
		if err := e.Check(text); err != nil {
			return err
		}
	}
	return e.value.Set(text)
}

// Sources are where values come from beside the flags, which were parsed before.
type Sources struct {
	LookupEnv func(name string) (string, bool)
	// ReadFile reads the files that hold secrets; nil: there are none.
	ReadFile func(name string) ([]byte, error)
	// File is the name of the file, for messages; Text what it holds. Both empty: none.
	File string
	Text []byte
}

// Load gives every setting its value: the flag's, else the variable's, else the
// file's, else the default. The error names every mistake with its place.
func (t *Table) Load(s Sources) error {
	inFile, problems := t.parse(s.File, s.Text)
	for _, e := range t.list {
		if strings.HasPrefix(e.from, "--") {
			continue
		}
		text, from, err := s.variable(e)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		if text != "" {
			e.from = from
			e.value.reset()
			for _, one := range e.value.split(text) {
				if err := e.set(one); err != nil {
					problems = append(problems, fmt.Errorf("%s: %w", from, err))
				}
			}
			continue
		}
		if n := inFile[e.Key]; n != nil {
			e.from = place(s.File, n)
			problems = append(problems, e.read(s.File, n)...)
		}
	}
	return errors.Join(problems...)
}

// fileSuffix ends the variable that names the file of a secret; maxSecret bounds it.
const (
	fileSuffix = "_FILE"
	maxSecret  = 64 << 10
)

// variable is what the environment says: by the variable itself, or for a secret by the
// file that another one names. An empty file is none, because a supervisor that has no
// secret to hand over may make one; one that is not there is a mistake.
func (s *Sources) variable(e *entry) (text, from string, err error) {
	if s.LookupEnv == nil {
		return "", "", nil
	}
	if text, _ = s.LookupEnv(e.Env); text != "" || !e.Secret || s.ReadFile == nil {
		return text, e.Env, nil
	}
	from = e.Env + fileSuffix
	name, _ := s.LookupEnv(from)
	if name == "" {
		return "", "", nil
	}
	data, err := s.ReadFile(name)
	if err != nil {
		return "", from, fmt.Errorf("%s: %w", from, err)
	}
	if len(data) > maxSecret {
		return "", from, fmt.Errorf("%s: %s has %d bytes, and %d are possible", from, name, len(data), maxSecret)
	}
	return strings.TrimSpace(string(data)), from, nil
}

// Flagged takes over what flags have said in another table of the same settings, so that
// variables and file can be read anew below them.
func (t *Table) Flagged(from *Table) error {
	var problems []error
	for i, e := range from.list {
		if !strings.HasPrefix(e.from, "--") {
			continue
		}
		to := t.list[i]
		to.from = e.from
		to.value.reset()
		for _, one := range said(e.value) {
			problems = append(problems, to.set(one))
		}
	}
	return errors.Join(problems...)
}

// From says where the value of a key is from: "--flag", a variable, "file:line:column",
// or "" for the default.
func (t *Table) From(key string) string {
	for _, e := range t.list {
		if e.Key == key {
			return e.from
		}
	}
	return ""
}
