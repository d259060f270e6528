package bundle

import (
	"io/fs"

	"google.golang.org/protobuf/types/known/structpb"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"

	"github.com/testmesh/testmesh/flow"
	"github.com/testmesh/testmesh/flow/catalog"
	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
)

// Stored is a flow as a list of a workspace has it, with the paths of all files that it
// names, in alphabetical order.
type Stored struct {
	Flow  *apiv1.Flow
	Files []string
}

// Flows are the flows of a bundle: those of every file that is one.
func Flows(fsys fs.FS, c *catalog.Catalog) ([]Stored, source.Problems) {
	files, _, problems := flow.Discover(fsys, []string{"."})
	if bad := problems.Errors(); len(bad) > 0 {
		return nil, bad
	}
	loader := flow.NewLoader(flow.Options{FS: fsys, Catalog: c, AllowMissingPlugins: true})
	var list []Stored
	for _, file := range files {
		programs, found := loader.Flows(file)
		problems = append(problems, found.Errors()...)
		for i, p := range programs {
			list = append(list, Stored{
				Flow:  &apiv1.Flow{File: file, Index: int32(i), Name: p.Name, Description: p.Description, Suite: p.Suite, Tags: p.Tags},
				Files: flow.Files(p.Bundle),
			})
		}
	}
	return list, problems.Errors()
}

// Describe says what a flow is queued with: its inputs, and what it asks of an agent.
func Describe(fsys fs.FS, c *catalog.Catalog, file string, index int) (*apiv1.GetFlowResponse, source.Problems) {
	loader := Loader{loader: flow.NewLoader(flow.Options{FS: fsys, Catalog: c, AllowMissingPlugins: true})}
	p, problems := loader.Program(file, index)
	if len(problems) > 0 {
		return nil, problems
	}
	out := &apiv1.GetFlowResponse{Plugins: p.Plugins}
	if out.Target, problems = target(p); len(problems) > 0 {
		return nil, problems
	}
	if p.Data != nil && p.Data.As == "" {
		out.Rows = int32(len(p.Data.Rows))
	}
	for _, s := range p.Steps {
		out.Steps = append(out.Steps, s.ID)
	}
	for _, in := range p.Inputs {
		out.Inputs = append(out.Inputs, input(in))
	}
	return out, nil
}

func input(in flow.Input) *apiv1.FlowInput {
	out := &apiv1.FlowInput{Name: in.Name, Type: in.Type, Description: in.Description, Required: in.Required, Secret: in.Secret}
	if in.HasDefault && !in.Secret {
		out.Default = Value(in.Default)
	}
	for _, v := range in.Enum {
		out.Enum = append(out.Enum, Value(v))
	}
	return out
}

// Value is a value of the language as the API carries it, whose numbers are doubles: one
// that is none is a text.
func Value(v any) *structpb.Value {
	switch x := v.(type) {
	case *value.Decimal:
		return number(x, x.String())
	case int64:
		return number(x, value.Compact(x))
	case []any:
		list := &structpb.ListValue{Values: make([]*structpb.Value, len(x))}
		for i, one := range x {
			list.Values[i] = Value(one)
		}
		return structpb.NewListValue(list)
	case map[string]any:
		return structpb.NewStructValue(Struct(x))
	}
	out, err := structpb.NewValue(v)
	if err != nil {
		return structpb.NewStringValue(value.Text(v))
	}
	return out
}

// Struct is a map of the language as the API carries it.
func Struct(m map[string]any) *structpb.Struct {
	s := &structpb.Struct{Fields: make(map[string]*structpb.Value, len(m))}
	for k, v := range m {
		s.Fields[k] = Value(v)
	}
	return s
}

// number is exact, or the text that it was written as.
func number(n any, text string) *structpb.Value {
	f, ok := value.Float(n)
	if exact, same := value.CompareNumbers(n, f); !ok || !same || exact != 0 {
		return structpb.NewStringValue(text)
	}
	return structpb.NewNumberValue(f)
}
