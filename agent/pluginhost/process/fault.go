package process

import (
	"fmt"
	"strings"
	"time"

	"github.com/testmesh/testmesh/agent/pluginhost"
	"github.com/testmesh/testmesh/sdk/plugin"
)

const (
	// maxMessage and maxDetails bound what a plugin can put into an error.
	maxMessage = 2000
	maxDetails = 100

	reportIt = "report it to the author of the plugin, with its last words"
	again    = "testmesh plugin install puts back what plugins.lock says"
)

// program is a plugin in the errors about it.
type program struct{ pluginhost.Program }

// wordsOf gives the errors about a plugin their words.
func wordsOf(p pluginhost.Program) program { return program{p} }

// errorOf is an error in words for people.
func errorOf(blame plugin.Blame, hint, format string, args ...any) *plugin.Error {
	return &plugin.Error{Code: plugin.CodePlugin, Blame: blame, Message: fmt.Sprintf(format, args...), Hint: hint}
}

func notInstalled(name string) *plugin.Error {
	return errorOf(plugin.BlameAgent, "", "plugin %s is not installed on this machine", name)
}

// broken is a package that is not as it was installed.
func (p program) broken(what string) *plugin.Error {
	return errorOf(plugin.BlameAgent, again, "plugin %s is not what plugins.lock says: %s", p.Name, what)
}

// changed is a file whose bytes are others than at install.
func (p program) changed(m *mismatch) *plugin.Error {
	return errorOf(plugin.BlameAgent, "the file was changed after it was installed, and the plugin was not started; "+again,
		"plugin %s is not what plugins.lock says: %s has SHA-256 %s, and %s is locked", p.Name, m.name, short(m.got), short(m.want))
}

func short(digest string) string {
	if len(digest) > 12 {
		return digest[:12] + "…"
	}
	return digest
}

// here is what this machine refuses.
func (p program) here(what string) *plugin.Error {
	return errorOf(plugin.BlameAgent, "", "plugin %s cannot be started: %s", p.Name, what)
}

// refused is a plugin that had its faults.
func (s *slot) refused(wait time.Duration) *plugin.Error {
	limits := s.pool.cfg.Limits
	err := errorOf(plugin.BlamePlugin, "the other runs go on without it; the details are of the last time",
		"plugin %s failed %d times within %s and is not started again for %s", s.program.Name, len(s.faults), durationText(limits.Window), durationText(wait))
	if s.last != nil {
		err.Details = append([]string{s.last.Message}, s.last.Details...)
	}
	return err
}

func (s *slot) afterClose() *plugin.Error {
	return errorOf(plugin.BlameTestMesh, "", "plugin %s was asked for after its host had closed", s.program.Name)
}

func (s *slot) notYet(cause error) *plugin.Error {
	return errorOf(plugin.BlameAgent, "", "plugin %s was still starting when the step ended: %v", s.program.Name, cause)
}

// clone lets everyone who waited for the same start have an error to change.
func clone(e *plugin.Error) *plugin.Error {
	c := *e
	c.Details = append([]string(nil), e.Details...)
	return &c
}

// addHint adds what to know to what to do.
func addHint(e *plugin.Error, hint string) {
	switch {
	case hint == "":
	case e.Hint == "":
		e.Hint = hint
	default:
		e.Hint += "; " + hint
	}
}

// clip bounds what a plugin said of its fault, and names it where it spoke of
// itself.
func (p program) clip(e *plugin.Error) {
	if rest, ok := strings.CutPrefix(e.Message, "the plugin "); ok && e.Code == plugin.CodePlugin {
		e.Message = "plugin " + p.Name + " " + rest
	}
	e.Message, e.Hint, e.Field = clipText(e.Message), clipText(e.Hint), clipText(e.Field)
	if len(e.Details) > maxDetails {
		e.Details = e.Details[:maxDetails]
	}
	for i, d := range e.Details {
		e.Details[i] = clipText(d)
	}
}

func clipText(text string) string {
	if len(text) <= maxMessage {
		return text
	}
	return strings.ToValidUTF8(text[:maxMessage], "") + "…"
}

// durationText is a duration as people say it.
func durationText(d time.Duration) string {
	switch {
	case d >= time.Minute && d%time.Minute == 0:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d >= time.Second:
		d = d.Round(time.Second)
	default:
		d = d.Round(time.Millisecond)
	}
	return d.String()
}

func bytesText(n int64) string {
	switch {
	case n >= 1<<30:
		return strings.TrimSuffix(fmt.Sprintf("%.1f", float64(n)/(1<<30)), ".0") + " GiB"
	case n >= 1<<20:
		return strings.TrimSuffix(fmt.Sprintf("%.1f", float64(n)/(1<<20)), ".0") + " MiB"
	}
	return fmt.Sprintf("%d bytes", n)
}
