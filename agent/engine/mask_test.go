package engine

import (
	"reflect"
	"strings"
	"testing"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/sdk/redact"
)

const hidden = "s3cret-value"

// own are the texts of an event that come from the flow file, from us or from
// the command line, and never from a system: they are not masked.
var own = map[string]bool{
	"Event.BatchID": true, "Event.RunID": true, "Event.Flow": true, "Event.Type": true,
	"Step.ID": true, "Step.Action": true, "Step.Phase": true, "Step.Path": true, "Step.File": true,
	"RunStarted.File": true, "RunStarted.Version": true, "RunStarted.Suite": true, "RunStarted.Tags": true,
	"RunStarted.Environment": true, "RunStarted.Agent": true,
	"Log.Level": true, "Exchange.Protocol": true, "Exchange.Timings": true,
	"Artifact.MediaType": true, "Artifact.SHA256": true, "Artifact.Data": true,
	"Retrying.Status": true, "StepFinished.Status": true, "StepFinished.Effect": true, "RunFinished.Status": true,
	"Error.Code": true, "Error.Blame": true, "Change.Path": true, "Used.Name": true, "Used.Origin": true,
	"RunFinished.Steps": true, "RunFinished.Assertions": true,
}

// fill puts the secret into every text of an event that is not our own, and
// makes each flag true, so that nothing is left out when it is printed.
func fill(v reflect.Value, field string) {
	if own[field] {
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("with " + hidden)
	case reflect.Bool:
		v.SetBool(!strings.HasSuffix(field, "Missing"))
	case reflect.Interface:
		v.Set(reflect.ValueOf(map[string]any{"k": []any{hidden}}))
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]any{"k": hidden}))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), field)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), field)
	case reflect.Struct:
		if v.Type().Name() == "Time" {
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i), v.Type().Name()+"."+v.Type().Field(i).Name)
		}
	}
}

func TestEveryTextOfAnEventIsMasked(t *testing.T) {
	m := redact.New()
	if err := m.Add("KEY", hidden); err != nil {
		t.Fatal(err)
	}
	kinds := reflect.TypeFor[event.Event]()
	for i := range kinds.NumField() {
		f := kinds.Field(i)
		if f.Type.Kind() != reflect.Pointer || strings.HasPrefix(f.Name, "Batch") {
			continue // a batch has no run's secrets
		}
		t.Run(f.Name, func(t *testing.T) {
			e := &event.Event{}
			fill(reflect.ValueOf(e).Elem().Field(i), "Event."+f.Name)
			before := string(event.AppendJSON(nil, e))
			if !strings.Contains(before, hidden) {
				t.Fatalf("the event was not filled: %s", before)
			}
			shown := *e
			maskEvent(m, &shown)
			if after := string(event.AppendJSON(nil, &shown)); strings.Contains(after, hidden) {
				t.Errorf("shown: %s", after)
			}
			if again := string(event.AppendJSON(nil, e)); again != before {
				t.Errorf("masking changed what the engine works with: %s", again)
			}
		})
	}
}
