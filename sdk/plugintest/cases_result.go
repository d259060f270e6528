package plugintest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	pluginv1 "github.com/testmesh/testmesh/proto/testmesh/plugin/v1"
	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"
)

func resultShape(ctx context.Context, k *kit) error {
	st, err := k.anyCall()
	if err != nil {
		return err
	}
	return k.with(ctx, func(s *subject, in *session) error {
		d, err := s.describe(ctx)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(d.GetActions(), func(a *testmeshv1.Action) bool { return a.GetName() == st.action })
		if i < 0 {
			return fmt.Errorf("the manifest's conformance uses %s, which the descriptor does not have", st.action)
		}
		for _, st.exchange = range []bool{false, true} {
			out, err := in.succeed(ctx, st)
			if err != nil {
				return err
			}
			if err := fitsResult(out, d.GetActions()[i].GetResultSchema()); err != nil {
				return err
			}
			if err := fitsReports(out.reports, st.exchange); err != nil {
				return err
			}
		}
		return nil
	})
}

// fitsResult compares the keys of a result with those that the schema declares.
func fitsResult(out *ended, text string) error {
	var result map[string]json.RawMessage
	if err := json.Unmarshal(out.result, &result); err != nil || result == nil {
		return fmt.Errorf("the result %s is not a JSON object", cut(string(out.result), 100))
	}
	var schema struct {
		Properties map[string]json.RawMessage
		Required   []string
	}
	if err := json.Unmarshal([]byte(text), &schema); err != nil {
		return fmt.Errorf("read the result's schema: %w", err)
	}
	for key := range result {
		if schema.Properties[key] == nil {
			return fmt.Errorf("the result has the key %s, which its schema does not declare", key)
		}
	}
	for _, key := range schema.Required {
		if result[key] == nil {
			return fmt.Errorf("the result lacks the key %s, which its schema requires", key)
		}
	}
	return nil
}

// fitsReports looks at what a call reported on its way.
func fitsReports(reports []*pluginv1.ExecuteResponse, wantExchange bool) error {
	for _, m := range reports {
		switch e := m.GetEvent().(type) {
		case *pluginv1.ExecuteResponse_Log:
			if !slices.Contains([]string{"debug", "info", "warn", "error"}, e.Log.GetLevel()) {
				return fmt.Errorf("a log line has the level %q, which is none of debug, info, warn, error", e.Log.GetLevel())
			}
		case *pluginv1.ExecuteResponse_Exchange:
			if !wantExchange {
				return errors.New("it sent an exchange that nobody wanted")
			}
			for _, text := range [][]byte{e.Exchange.GetRequestJson(), e.Exchange.GetResponseJson()} {
				if len(text) > 0 && !json.Valid(text) {
					return fmt.Errorf("an exchange holds %q, which is not JSON", cut(string(text), 100))
				}
			}
		case nil:
			return errors.New("it sent a message of no kind")
		}
	}
	return nil
}
