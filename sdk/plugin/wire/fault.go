package wire

import (
	"errors"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	pluginv1 "github.com/testmesh/testmesh/proto/testmesh/plugin/v1"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// toFault prints an error of a plugin; one without words for people is a fault
// of the plugin. The cause is for the plugin's own code and stays there.
func toFault(err error) *pluginv1.Fault {
	var e *plugin.Error
	if !errors.As(err, &e) {
		return &pluginv1.Fault{Code: plugin.CodePlugin, Message: valid(err.Error()), Blame: pluginv1.Blame_BLAME_PLUGIN}
	}
	var details []string
	for _, d := range e.Details {
		details = append(details, valid(d))
	}
	var secrets []*pluginv1.Secret
	for _, s := range e.Secrets {
		secrets = append(secrets, &pluginv1.Secret{Name: valid(s.Name), Value: []byte(s.Value)})
	}
	return &pluginv1.Fault{
		Secrets: secrets,
		Code:    valid(e.Code), Message: valid(e.Message), Hint: valid(e.Hint), Blame: toBlame(e.Blame), Field: valid(e.Field),
		Details: details, Failed: e.Failed, RetryAfter: toDuration(e.RetryAfter),
	}
}

func fromFault(f *pluginv1.Fault) *plugin.Error {
	e := &plugin.Error{
		Code: f.GetCode(), Message: f.GetMessage(), Hint: f.GetHint(), Blame: fromBlame(f.GetBlame()),
		Field: f.GetField(), Details: f.GetDetails(), Failed: f.GetFailed(), RetryAfter: f.GetRetryAfter().AsDuration(),
	}
	for _, s := range f.GetSecrets() {
		e.Secrets = append(e.Secrets, plugin.Secret{Name: s.GetName(), Value: string(s.GetValue())})
	}
	if e.Code == "" {
		e.Code = plugin.CodePlugin
	}
	if e.Message == "" {
		e.Message = "the plugin gave no reason"
	}
	return e
}

// toBlame leaves out our own bugs: no plugin can have them, and where it says
// so, the bug is its own.
func toBlame(b plugin.Blame) pluginv1.Blame {
	switch b {
	case plugin.BlamePlugin, plugin.BlameTestMesh:
		return pluginv1.Blame_BLAME_PLUGIN
	case plugin.BlameAgent:
		return pluginv1.Blame_BLAME_AGENT
	case plugin.BlameDefinition:
		return pluginv1.Blame_BLAME_DEFINITION
	case plugin.BlameSystem:
		return pluginv1.Blame_BLAME_SYSTEM
	}
	return pluginv1.Blame_BLAME_UNSPECIFIED
}

func fromBlame(b pluginv1.Blame) plugin.Blame {
	switch b {
	case pluginv1.Blame_BLAME_PLUGIN:
		return plugin.BlamePlugin
	case pluginv1.Blame_BLAME_AGENT:
		return plugin.BlameAgent
	case pluginv1.Blame_BLAME_DEFINITION:
		return plugin.BlameDefinition
	case pluginv1.Blame_BLAME_SYSTEM, pluginv1.Blame_BLAME_UNSPECIFIED:
	}
	return plugin.BlameSystem
}

// toDuration leaves out a zero, which means that there is none.
func toDuration(d time.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(d)
}

// valid is text as protobuf takes it: one invalid byte would cost the message.
func valid(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }
