package plugin

import (
	"context"
	"encoding/json"
	"testing"
)

// BenchmarkCall is what a call costs beside the author's function: a config of a
// usual size read and checked, and its result printed.
func BenchmarkCall(b *testing.B) {
	p := echo()
	req := &Request{Action: "demo.echo", RunID: "run", Config: json.RawMessage(`{"host":"db","port":5432,"wait":"30s","headers":{"a":"b","c":"d"},"anything":{"id":17,"total":59.80},"inner":{"name":"a"}}`)}
	for b.Loop() {
		if _, err := p.Execute(context.Background(), req, nil); err != nil {
			b.Fatal(err)
		}
	}
}
