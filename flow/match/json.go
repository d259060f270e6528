package match

import (
	"fmt"

	"github.com/testmesh/testmesh/flow/expr"
	"github.com/testmesh/testmesh/flow/value"
)

// CompileJSON compiles a pattern that a plugin was given in its config (`where`):
// JSON, already expanded.
func CompileJSON(text []byte) (*Pattern, error) {
	v, err := value.Decode(text)
	if err != nil {
		return nil, fmt.Errorf("read the pattern: %w", err)
	}
	return CompileValue(v)
}

// MatchJSON compares a JSON text with a pattern of CompileJSON.
func (p *Pattern) MatchJSON(text []byte) ([]Mismatch, error) {
	v, err := value.Decode(text)
	if err != nil {
		return nil, fmt.Errorf("read what is compared: %w", err)
	}
	return p.Match(v, &expr.Env{})
}
